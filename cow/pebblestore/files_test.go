package pebblestore

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
	"cowrelay/cow/replay"
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
func fillTables(t *testing.T, s *Store, each func(round int)) (slots []cow.SlotRecord, rounds int) {
	t.Helper()
	slots = make([]cow.SlotRecord, 20)
	for i := range slots {
		slots[i].Slot = cow.ID{byte(i * 13), 1, byte(i)}
	}
	for round := 0; ; round++ {
		m := s.db.Metrics()
		flushes := int64(30)
		if raceEnabled {
			flushes = 8
		}
		if m.Flush.Count >= flushes && m.Compact.Count-m.Compact.MoveCount >= flushes/6 {
			return slots, round
		}
		if round > 20_000 {
			t.Fatalf("%d flushes and %d compactions", m.Flush.Count, m.Compact.Count)
		}
		data := make([]byte, 60_000)
		rand.Read(data) // tables don't shrink it
		json := []byte(`{"data":"` + hex.EncodeToString(data) + `"}`)
		r := &slots[round%len(slots)]
		g := replay.Group{Op: cow.OpAppend, Slot: r.Slot, First: r.Count, Events: []event.Event{{JSON: json}}}
		r.Count++
		r.Bytes += uint64(len(json))
		g.Count, g.Bytes = r.Count, r.Bytes
		mustApply(t, s, &replay.Batch{Seq: uint64(round) + 1, Groups: []replay.Group{g}})
		if each != nil {
			each(round)
		}
	}
}

// With the fewest descriptors that Options allow the store flushes, compacts
// and loads, and it keeps to them.
func TestStore_OpenFiles(t *testing.T) {
	fs := &countingFS{FS: vfs.NewMem()}
	s := mustOpen(t, "data", small(Options{FS: fs, Logger: quiet, OpenFiles: 1}))
	slots, rounds := fillTables(t, s, nil)
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for _, r := range slots {
				if events, err := load(s, r.Slot, 0); err != nil || uint64(len(events)) != r.Count {
					t.Error(len(events), err)
				}
			}
		})
	}
	wg.Wait()
	m := s.db.Metrics()
	t.Logf("%d rounds, %d flushes, %d compactions, %d tables: at most %d files open", rounds, m.Flush.Count, m.Compact.Count, m.Total().TablesCount, fs.peak.Load())
	if n := fs.peak.Load(); n > MinOpenFiles+4 {
		t.Errorf("%d files were open", n)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	if n := fs.open.Load(); n != 0 {
		t.Errorf("%d files stay open", n)
	}
}

// The store outlives a time without a descriptor, wherever it meets it, and
// asks for one.
func TestStore_NoFiles(t *testing.T) {
	fs := &countingFS{FS: vfs.NewMem()}
	var asked atomic.Int64
	s := mustOpen(t, filepath.Join("a", "data"), small(Options{FS: fs, Logger: quiet, OpenFiles: 1,
		NoFiles: func() {
			if asked.Add(1)%3 == 0 {
				fs.crowded.Store(false)
			}
		},
		Fatal: func(err error) { t.Errorf("the store ends: %v", err) },
	}))
	slots, _ := fillTables(t, s, func(round int) {
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
	for _, r := range slots {
		if events, err := load(s, r.Slot, 0); err != nil || uint64(len(events)) != r.Count {
			t.Errorf("slot %s: %d, %v", r.Slot, len(events), err)
		}
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}
