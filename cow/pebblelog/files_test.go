package pebblelog

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"io"
	"path/filepath"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"cowrelay/cow"
	"cowrelay/cow/event"
)

// countingFS counts the files that are open, and has none to give while it is
// crowded.
type countingFS struct {
	vfs.FS
	open, peak atomic.Int64
	crowded    atomic.Bool
	refused    atomic.Int64
}

func (f *countingFS) count(file vfs.File, err error) (vfs.File, error) {
	if err != nil {
		return nil, err
	}
	n := f.open.Add(1)
	for p := f.peak.Load(); n > p && !f.peak.CompareAndSwap(p, n); p = f.peak.Load() {
	}
	return &countedFile{File: file, fs: f}, nil
}

// room says whether there is a descriptor.
func (f *countingFS) room(name string) error {
	if f.crowded.Load() {
		f.refused.Add(1)
		return errors.Join(errors.New("open "+name), syscall.EMFILE)
	}
	return nil
}

func (f *countingFS) Create(name string, c vfs.DiskWriteCategory) (vfs.File, error) {
	if err := f.room(name); err != nil {
		return nil, err
	}
	return f.count(f.FS.Create(name, c))
}

func (f *countingFS) Open(name string, o ...vfs.OpenOption) (vfs.File, error) {
	if err := f.room(name); err != nil {
		return nil, err
	}
	return f.count(f.FS.Open(name, o...))
}

func (f *countingFS) OpenReadWrite(name string, c vfs.DiskWriteCategory, o ...vfs.OpenOption) (vfs.File, error) {
	if err := f.room(name); err != nil {
		return nil, err
	}
	return f.count(f.FS.OpenReadWrite(name, c, o...))
}

func (f *countingFS) OpenDir(name string) (vfs.File, error) {
	if err := f.room(name); err != nil {
		return nil, err
	}
	return f.count(f.FS.OpenDir(name))
}

// ReuseForWrite renames before it opens, as the real disk does.
func (f *countingFS) ReuseForWrite(oldname, newname string, c vfs.DiskWriteCategory) (vfs.File, error) {
	if err := f.FS.Rename(oldname, newname); err != nil {
		return nil, err
	}
	return f.OpenReadWrite(newname, c)
}

func (f *countingFS) Lock(name string) (io.Closer, error) {
	if err := f.room(name); err != nil {
		return nil, err
	}
	return f.FS.Lock(name)
}

func (f *countingFS) List(dir string) ([]string, error) {
	if err := f.room(dir); err != nil {
		return nil, err
	}
	return f.FS.List(dir)
}

type countedFile struct {
	vfs.File
	fs   *countingFS
	once sync.Once
}

func (f *countedFile) Close() error {
	f.once.Do(func() { f.fs.open.Add(-1) })
	return f.File.Close()
}

// fillTables appends to many slots in turn until the store has flushed and
// compacted many times.
func fillTables(t *testing.T, l *Log, each func(round int)) (slots []cow.ID, rounds int) {
	t.Helper()
	slots = make([]cow.ID, 20)
	counts := make([]uint64, len(slots))
	bytes := make([]uint64, len(slots))
	for i := range slots {
		slots[i] = cow.ID{byte(i * 13), 1, byte(i)}
		commitOne(t, l, cow.Group{Op: cow.OpCreate, Slot: slots[i], Token: [32]byte{1}})
	}
	for round := 0; ; round++ {
		m := l.db.Metrics()
		if m.Flush.Count >= 30 && m.Compact.Count-m.Compact.MoveCount >= 5 {
			return slots, round
		}
		if round > 20_000 {
			t.Fatalf("%d flushes and %d compactions", m.Flush.Count, m.Compact.Count)
		}
		i := round % len(slots)
		g := cow.Group{Op: cow.OpAppend, Slot: slots[i], Version: counts[i], First: counts[i], Count: counts[i] + 1, Bytes: bytes[i]}
		data := make([]byte, 60_000)
		rand.Read(data) // tables don't shrink it
		json := []byte(`{"data":"` + hex.EncodeToString(data) + `"}`)
		g.Events = []event.Event{{JSON: json}}
		g.Bytes += uint64(len(json))
		commitOne(t, l, g)
		counts[i], bytes[i] = g.Count, g.Bytes
		if each != nil {
			each(round)
		}
	}
}

// With the fewest descriptors that Options allow the store flushes, compacts
// and loads, and it keeps to them.
func TestLog_OpenFiles(t *testing.T) {
	fs := &countingFS{FS: vfs.NewMem()}
	l := mustOpen(t, "data", small(Options{FS: fs, Sync: Off, Logger: quiet, OpenFiles: 1}))
	slots, rounds := fillTables(t, l, nil)
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for _, s := range slots {
				if _, err := count(l, s, 0); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	m := l.db.Metrics()
	t.Logf("%d rounds, %d flushes, %d compactions, %d tables: at most %d files open", rounds, m.Flush.Count, m.Compact.Count, m.Total().TablesCount, fs.peak.Load())
	if n := fs.peak.Load(); n > MinOpenFiles+4 {
		t.Errorf("%d files were open", n)
	}
	if err := l.Close(); err != nil {
		t.Error(err)
	}
	if n := fs.open.Load(); n != 0 {
		t.Errorf("%d files stay open", n)
	}
}

// The store outlives a time without a descriptor, wherever it meets it, and
// asks for one.
func TestLog_NoFiles(t *testing.T) {
	for _, sync := range []Sync{Always, Off} {
		fs := &countingFS{FS: vfs.NewMem()}
		var asked atomic.Int64
		dir := filepath.Join("a", "data")
		l := mustOpen(t, dir, small(Options{FS: fs, Sync: sync, Logger: quiet, OpenFiles: 1,
			NoFiles: func() {
				if asked.Add(1)%3 == 0 {
					fs.crowded.Store(false)
				}
			},
			Fatal: func(err error) { t.Errorf("the store ends: %v", err) },
		}))
		slots, _ := fillTables(t, l, func(round int) {
			if round%3 == 0 {
				fs.crowded.Store(true)
			}
		})
		end := time.Now().Add(30 * time.Second)
		for fs.refused.Load() < 10 && time.Now().Before(end) {
			time.Sleep(time.Millisecond)
		}
		if fs.refused.Load() < 10 {
			t.Errorf("%d files refused", fs.refused.Load())
		}
		fs.crowded.Store(false)
		for _, s := range slots {
			if n, err := count(l, s, 0); err != nil || n == 0 {
				t.Errorf("slot %s: %d, %v", s, n, err)
			}
		}
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	}
}
