package pebblestore

import (
	"errors"
	"reflect"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"
)

// faulty is a disk whose operations of one kind fail once it is broken, and a
// store on it that tells its end.
type faulty struct {
	disk   *vfs.MemFS
	broken atomic.Bool
	st     *Store
	fatal  chan error // what Options.Fatal was called with
}

func newFaulty(t *testing.T, err error, fails func(errorfs.Op) bool) *faulty {
	t.Helper()
	f := &faulty{disk: vfs.NewCrashableMem(), fatal: make(chan error, 10)}
	fs := errorfs.Wrap(f.disk, errorfs.InjectorFunc(func(op errorfs.Op) error {
		if f.broken.Load() && fails(op) {
			return err
		}
		return nil
	}))
	f.st = mustOpen(t, "data", small(Options{FS: fs, Logger: quiet, Fatal: func(err error) {
		f.fatal <- err
		runtime.Goexit()
	}}))
	return f
}

// run gives the store batches, with flushes between them, until it fails.
func (f *faulty) run(s *script, durable *atomic.Int64) error {
	for {
		if err := s.step(f.st); err != nil {
			return err
		}
		if s.applied.Load()%5 == 0 {
			if _, err := f.st.flush(); err != nil {
				return err
			}
		}
		durable.Store(int64(f.st.Durable()))
	}
}

// TestStore_Fatal breaks what Pebble can't go on without, under a running script.
// The process ends through Options.Fatal, and the disk holds all that was called
// durable.
func TestStore_Fatal(t *testing.T) {
	for name, fails := range map[string]func(errorfs.Op) bool{
		"manifest write": func(op errorfs.Op) bool {
			return strings.Contains(op.Path, "MANIFEST") && op.Kind == errorfs.OpFileWrite
		},
		"manifest sync": func(op errorfs.Op) bool {
			return strings.Contains(op.Path, "MANIFEST") && (op.Kind == errorfs.OpFileSync || op.Kind == errorfs.OpFileSyncData)
		},
		"folder sync": func(op errorfs.Op) bool { return op.Path == "data" && op.Kind == errorfs.OpFileSync },
	} {
		t.Run(name, func(t *testing.T) {
			f := newFaulty(t, errorfs.ErrInjected, fails)
			s := newScript(3)
			var durable atomic.Int64
			ended := make(chan error, 1)
			go func() { ended <- f.run(s, &durable) }()
			for s.applied.Load() < 20 {
				time.Sleep(time.Millisecond)
			}
			f.broken.Store(true)
			var err error
			select {
			case err = <-f.fatal:
			case <-time.After(time.Minute):
				t.Fatal("Fatal was not called")
			}
			if !errors.Is(err, errorfs.ErrInjected) || !strings.Contains(err.Error(), `"data"`) {
				t.Errorf("Fatal was called with %q, want the disk's error and the folder", err)
			}
			select { // it may wait for ever, too
			case err := <-ended:
				if err == nil || !strings.Contains(err.Error(), "failed before") {
					t.Errorf("apply behind the failure: %v", err)
				}
			case <-time.After(50 * time.Millisecond):
			}
			if len(f.fatal) > 0 {
				t.Errorf("Fatal was called twice: %v", <-f.fatal)
			}
			if f.st.lastError.Load() == nil {
				t.Error("Stats has no error")
			}
			low := durable.Load()
			disk := f.disk.CrashClone(vfs.CrashCloneCfg{})
			verify(t, s, crash{fs: disk, low: low, high: int64(s.states[s.begun.Load()].seq)})
		})
	}
}

// TestStore_FullDisk: while tables can't be written, Apply goes on until the
// memtables are full, and then waits; nothing is called durable, reads go on. When
// there is room all goes on.
func TestStore_FullDisk(t *testing.T) {
	f := newFaulty(t, syscall.ENOSPC, func(op errorfs.Op) bool {
		return strings.HasSuffix(op.Path, ".sst") && (op.Kind == errorfs.OpFileWrite || op.Kind == errorfs.OpCreate)
	})
	s := newScript(5)
	for range 10 {
		if err := s.step(f.st); err != nil {
			t.Fatal(err)
		}
	}
	if err := f.st.db.Flush(); err != nil {
		t.Fatal(err)
	}
	before := f.st.Durable()
	if before != s.states[10].seq {
		t.Fatalf("durable is %d, want %d", before, s.states[10].seq)
	}
	f.broken.Store(true)
	var stop atomic.Bool
	done := make(chan error, 1)
	go func() {
		for !stop.Load() {
			if err := s.step(f.st); err != nil {
				done <- err
				return
			}
		}
		done <- nil
	}()
	deadline := time.Now().Add(time.Minute)
	for f.st.Stats().WriteStalls == 0 || f.st.Stats().BackgroundErrors == 0 {
		if time.Now().After(deadline) {
			t.Fatalf("behind a minute: %+v", f.st.Stats())
		}
		time.Sleep(time.Millisecond)
	}
	stop.Store(true)
	if err := f.st.Stats().LastError; !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("last error %v, want the disk's", err)
	}
	if d := f.st.Durable(); d != before {
		t.Errorf("durable went from %d to %d on a full disk", before, d)
	}
	if _, err := read(f.st); err != nil {
		t.Errorf("reading on a full disk: %v", err)
	}
	select {
	case err := <-done:
		t.Fatalf("apply did not wait: %v", err)
	default:
	}
	// A crash now costs what was not durable, no more.
	verify(t, s, crash{fs: f.disk.CrashClone(vfs.CrashCloneCfg{}), low: int64(before), high: int64(before)})
	f.broken.Store(false)
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	if err := f.st.db.Flush(); err != nil {
		t.Fatal(err)
	}
	last := s.states[s.applied.Load()].seq
	if d := f.st.Durable(); d != last {
		t.Errorf("durable is %d behind the full disk, want %d", d, last)
	}
	if err := f.st.Close(); err != nil {
		t.Fatal(err)
	}
	verify(t, s, crash{fs: f.disk.CrashClone(vfs.CrashCloneCfg{}), low: int64(last), high: int64(last)})
}

// TestStore_AHangingDiskCanBeRead: while a write of Pebble's manifest hangs, loads
// end and Stats answers.
func TestStore_AHangingDiskCanBeRead(t *testing.T) {
	hangs, thaw := make(chan struct{}), make(chan struct{})
	var once sync.Once
	f := newFaulty(t, nil, func(op errorfs.Op) bool {
		if strings.Contains(op.Path, "MANIFEST") && op.Kind == errorfs.OpFileWrite {
			once.Do(func() { close(hangs) })
			<-thaw
		}
		return false
	})
	release := sync.OnceFunc(func() { close(thaw) })
	t.Cleanup(release) // also if the test ends early
	s := newScript(7)
	for range 10 {
		if err := s.step(f.st); err != nil {
			t.Fatal(err)
		}
	}
	want, err := read(f.st)
	if err != nil {
		t.Fatal(err)
	}
	applied := f.st.Stats().Applied
	f.broken.Store(true)
	flushed := make(chan error, 1)
	go func() { flushed <- f.st.db.Flush() }()
	<-hangs
	done := make(chan struct{})
	go func() {
		defer close(done)
		if got, err := read(f.st); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("read on a hanging disk: %v, or other content", err)
		}
		if st := f.st.Stats(); st.Applied != applied || st.Pebble == nil {
			t.Errorf("the figures on a hanging disk: %+v", st)
		}
	}()
	select {
	case <-done:
	case <-time.After(time.Minute):
		t.Error("a read or the figures hang with the disk")
	}
	release()
	if err := <-flushed; err != nil {
		t.Error(err)
	}
}

// TestStore_FlushGivesUp: a stop on a disk that takes nothing ends, and says what it
// costs.
func TestStore_FlushGivesUp(t *testing.T) {
	f := newFaulty(t, syscall.ENOSPC, func(op errorfs.Op) bool {
		return op.Kind == errorfs.OpFileWrite && (strings.HasSuffix(op.Path, ".sst") || isLog(op.Path))
	})
	s := newScript(6)
	for range 10 {
		if err := s.step(f.st); err != nil {
			t.Fatal(err)
		}
	}
	f.broken.Store(true)
	if err := f.st.Flush(); err != nil {
		t.Fatal(err)
	}
	if d := f.st.Durable(); d != 0 {
		t.Errorf("durable is %d", d)
	}
	closed := make(chan error, 1)
	go func() { closed <- f.st.Close() }()
	select {
	case err := <-closed:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(time.Minute):
		t.Fatal("close hangs")
	}
	verify(t, s, crash{fs: f.disk.CrashClone(vfs.CrashCloneCfg{}), low: 0, high: 0})
}
