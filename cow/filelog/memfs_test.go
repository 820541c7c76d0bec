package filelog

import (
	"errors"
	"io"
	"io/fs"
	"maps"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
	"sync"
)

// memFS is a disk in memory that can lose power. What was not synced survives a crash
// sector by sector, or not. Changes of names survive in their order, up to some one.
type memFS struct {
	mu     sync.Mutex
	names  map[string]*memNode // as the running system sees them
	stable map[string]*memNode // as a crash surely leaves them
	moves  []func(map[string]*memNode)
	steps  int                             // writes, syncs and changes of names so far
	before func(step int, op string) error // may refuse one
}

const sector = 512

type memNode struct {
	data   []byte
	stable []byte
	writes map[int64][][]byte // by sector: what was written since the last sync
}

var errPower = errors.New("the power failed")

func newMemFS() *memFS {
	return &memFS{names: map[string]*memNode{}, stable: map[string]*memNode{}}
}

// onStep has before called at each change from now on.
func (m *memFS) onStep(before func(step int, op string) error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.before = before
}

// step counts a change. mu is held.
func (m *memFS) step(op string) error {
	m.steps++
	if m.before != nil {
		return m.before(m.steps, op)
	}
	return nil
}

// crash returns the disk as it may be when the power comes back. keep is the chance
// of what was not synced.
func (m *memFS) crash(r *rand.Rand, keep float64) *memFS {
	m.mu.Lock()
	defer m.mu.Unlock()
	after := newMemFS()
	names := maps.Clone(m.stable)
	for _, move := range m.moves {
		if r.Float64() >= keep {
			break
		}
		move(names)
	}
	for name, node := range names {
		data := append([]byte(nil), node.stable...)
		if len(node.data) > len(data) && r.Float64() < keep {
			data = append(data, make([]byte, len(node.data)-len(data))...)
		}
		for i, versions := range node.writes {
			n := len(versions)
			if r.Float64() >= keep {
				n = r.IntN(n + 1)
			}
			if n > 0 && i*sector < int64(len(data)) {
				copy(data[i*sector:], versions[n-1])
			}
		}
		fresh := &memNode{data: data, stable: append([]byte(nil), data...), writes: map[int64][][]byte{}}
		after.names[name], after.stable[name] = fresh, fresh
	}
	return after
}

// clone returns the disk as another process sees it: all that was written, and all
// that a test changed.
func (m *memFS) clone() *memFS {
	m.mu.Lock()
	defer m.mu.Unlock()
	after := newMemFS()
	for name, node := range m.names {
		fresh := &memNode{data: slices.Clone(node.data), stable: slices.Clone(node.data), writes: map[int64][][]byte{}}
		after.names[name], after.stable[name] = fresh, fresh
	}
	return after
}

func (m *memFS) change(op string, move func(map[string]*memNode)) error {
	if err := m.step(op); err != nil {
		return err
	}
	move(m.names)
	m.moves = append(m.moves, move)
	return nil
}

func (m *memFS) Open(name string, write, create bool) (File, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	node := m.names[name]
	if node == nil {
		if !create {
			return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
		}
		node = &memNode{writes: map[int64][][]byte{}}
		if err := m.change("create", func(names map[string]*memNode) { names[name] = node }); err != nil {
			return nil, err
		}
	}
	return &memFile{m, node, write}, nil
}

func (m *memFS) List(dir string) ([]string, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.names[dir] == nil {
		return nil, fs.ErrNotExist
	}
	var names []string
	for name := range m.names {
		if filepath.Dir(name) == dir {
			names = append(names, filepath.Base(name))
		}
	}
	return names, nil
}

func (m *memFS) MakeFolder(dir string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.names[dir] == nil {
		node := &memNode{}
		m.names[dir], m.stable[dir] = node, node
	}
	return nil
}

func (m *memFS) Rename(from, to string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.change("rename", func(names map[string]*memNode) {
		if node := names[from]; node != nil {
			names[to] = node
			delete(names, from)
		}
	})
}

func (m *memFS) Remove(name string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.change("remove", func(names map[string]*memNode) { delete(names, name) })
}

func (m *memFS) SyncFolder(dir string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.step("sync folder"); err != nil {
		return err
	}
	m.stable, m.moves = maps.Clone(m.names), nil
	return nil
}

type memFile struct {
	m     *memFS
	node  *memNode
	write bool
}

func (f *memFile) ReadAt(p []byte, off int64) (int, error) {
	f.m.mu.Lock()
	defer f.m.mu.Unlock()
	if off >= int64(len(f.node.data)) {
		return 0, io.EOF
	}
	n := copy(p, f.node.data[off:])
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

func (f *memFile) WriteAt(p []byte, off int64) (int, error) {
	f.m.mu.Lock()
	defer f.m.mu.Unlock()
	if !f.write {
		return 0, fs.ErrPermission
	}
	if err := f.m.step("write"); err != nil {
		if errors.Is(err, errPower) { // the write was under way
			f.put(p[:max((off+int64(len(p)/2))/sector*sector-off, 0)], off)
		}
		return 0, err
	}
	f.put(p, off)
	return len(p), nil
}

func (f *memFile) put(p []byte, off int64) {
	end := off + int64(len(p))
	if end > int64(len(f.node.data)) {
		f.node.data = append(f.node.data, make([]byte, end-int64(len(f.node.data)))...)
	}
	copy(f.node.data[off:], p)
	for i := off / sector; i*sector < end; i++ {
		now := f.node.data[i*sector : min((i+1)*sector, int64(len(f.node.data)))]
		f.node.writes[i] = append(f.node.writes[i], append([]byte(nil), now...))
	}
}

func (f *memFile) Size() (int64, error) {
	f.m.mu.Lock()
	defer f.m.mu.Unlock()
	return int64(len(f.node.data)), nil
}

func (f *memFile) Reserve(int64) error {
	f.m.mu.Lock()
	defer f.m.mu.Unlock()
	return f.m.step("reserve")
}

func (f *memFile) Sync() error {
	f.m.mu.Lock()
	defer f.m.mu.Unlock()
	if err := f.m.step("sync"); err != nil {
		return err
	}
	f.node.stable = append([]byte(nil), f.node.data...)
	f.node.writes = map[int64][][]byte{}
	return nil
}

func (f *memFile) Close() error { return nil }

// segments returns the names of the segments in order.
func (m *memFS) segments() []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	var names []string
	for name := range m.names {
		if strings.HasSuffix(name, ".log") {
			names = append(names, filepath.Base(name))
		}
	}
	var sorted []string
	for _, n := range segmentNumbers(names) {
		sorted = append(sorted, filepath.Join("/log", segmentName(n)))
	}
	return sorted
}
