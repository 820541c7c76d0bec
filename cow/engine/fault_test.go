package engine

import (
	"errors"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"

	"cowrelay/cow"
	"cowrelay/cow/event"
	"cowrelay/cow/filelog"
)

// faulty is a disk whose operations of one kind fail once it is broken, and a
// store on it that tells its end.
type faulty struct {
	disk   *vfs.MemFS
	broken atomic.Bool
	l      *Journal
	fatal  chan error // what Options.Fatal was called with
}

func newFaulty(t *testing.T, sync filelog.Sync, fails func(errorfs.Op) bool, returns bool) *faulty {
	t.Helper()
	f := &faulty{disk: vfs.NewCrashableMem(), fatal: make(chan error, 10)}
	fs := errorfs.Wrap(f.disk, errorfs.InjectorFunc(func(op errorfs.Op) error {
		if f.broken.Load() && fails(op) {
			return errorfs.ErrInjected
		}
		return nil
	}))
	f.l = mustOpen(t, "data", small(Options{FS: fs, Sync: sync, Interval: time.Millisecond, Logger: quiet, Fatal: func(err error) {
		f.fatal <- err
		if !returns {
			runtime.Goexit()
		}
	}}))
	return f
}

func isLog(op errorfs.Op) bool { return strings.HasPrefix(op.Path, "data/log/") }

var faults = []struct {
	name  string
	fails func(errorfs.Op) bool
	later bool // the log goes on, and with it commits, until the store is found to be broken
}{
	{"write", func(op errorfs.Op) bool { return isLog(op) && op.Kind == errorfs.OpFileWriteAt }, false},
	{"sync", func(op errorfs.Op) bool {
		return isLog(op) && (op.Kind == errorfs.OpFileSync || op.Kind == errorfs.OpFileSyncData || op.Kind == errorfs.OpFileSyncTo)
	}, false},
	// A new segment comes when one is full, a new manifest with a full memtable: these
	// fail much later.
	{"segment", func(op errorfs.Op) bool {
		return isLog(op) && (op.Kind == errorfs.OpOpen || op.Kind == errorfs.OpRename)
	}, false},
	{"manifest", func(op errorfs.Op) bool {
		return strings.Contains(op.Path, "MANIFEST") && op.Kind == errorfs.OpFileWrite
	}, true},
}

// TestJournal_I3_FailedWrite breaks the disk under a running script: the process
// ends through Options.Fatal, nothing that is not durable is acknowledged, and
// what was acknowledged before is there after a crash.
func TestJournal_I3_FailedWrite(t *testing.T) {
	for _, fault := range faults {
		for _, returns := range []bool{false, true} {
			name := fault.name + "/Fatal exits"
			if returns {
				name = fault.name + "/Fatal returns"
			}
			t.Run(name, func(t *testing.T) {
				f := newFaulty(t, filelog.Always, fault.fails, returns)
				s := newScript(3)
				for range 10 {
					s.step(f.l)
				}
				f.broken.Store(true)
				done := make(chan struct{})
				go func() {
					defer close(done)
					for range 10_000 {
						s.step(f.l)
					}
				}()
				var err error
				select {
				case err = <-f.fatal:
				case <-done:
					t.Fatal("10,000 steps passed on a broken disk")
				case <-time.After(time.Minute):
					t.Fatal("Fatal was not called")
				}
				if !errors.Is(err, errorfs.ErrInjected) || !strings.Contains(err.Error(), `"data`) {
					t.Errorf("Fatal was called with %q, want the disk's error and the folder", err)
				}
				// Whoever waits, waits for ever: nothing is acknowledged late.
				time.Sleep(20 * time.Millisecond)
				acked := s.acked.Load()
				time.Sleep(20 * time.Millisecond)
				if now := s.acked.Load(); now != acked && !fault.later {
					t.Errorf("%d steps were acknowledged after the failure", now-acked)
				}
				if len(f.fatal) > 0 {
					t.Errorf("Fatal was called twice: %v", <-f.fatal)
				}
				if !fault.later && f.l.Stats().LastError == nil {
					t.Error("Stats has no error")
				}
				// A batch that was durable when the failure was found may have
				// been acknowledged meanwhile; then the disk holds it.
				verify(t, s, crash{fs: f.disk.CrashClone(vfs.CrashCloneCfg{}), low: acked, high: s.begun.Load()})
			})
		}
	}
}

// TestJournal_I3_FailedSyncAcknowledgesNothing looks at the one commit that fails.
func TestJournal_I3_FailedSyncAcknowledgesNothing(t *testing.T) {
	for _, fault := range faults[:2] {
		t.Run(fault.name, func(t *testing.T) {
			f := newFaulty(t, filelog.Always, fault.fails, false)
			id := cow.NewID()
			f.l.Commit([]cow.Group{{Op: cow.OpCreate, Slot: id}})
			f.broken.Store(true)
			e := scriptEvent(id, 0)
			groups := []cow.Group{{Op: cow.OpAppend, Slot: id, Events: []event.Event{e}, Count: 1, Bytes: uint64(len(e.JSON))}}
			var commitReturned, putReturned atomic.Bool
			go func() {
				f.l.Commit(groups)
				commitReturned.Store(true)
			}()
			<-f.fatal
			time.Sleep(20 * time.Millisecond)
			if commitReturned.Load() {
				t.Fatalf("commit returned and answered %d", groups[0].Outcome)
			}
			if got := f.l.Totals(); got.EventsPosted != 0 {
				t.Errorf("totals count an event that is not durable: %+v", got)
			}
			// The failed batch is readable in Pebble, but not through Load (I4).
			if err := f.l.Load(id, 0, func(*cow.Append) error { return errors.New("visible") }); err != nil {
				t.Errorf("load of the slot: %v", err)
			}
			// Everybody else waits for ever.
			go func() {
				f.l.Put("key", []byte("value"), 0, cow.Totals{})
				putReturned.Store(true)
			}()
			time.Sleep(20 * time.Millisecond)
			if putReturned.Load() {
				t.Error("a put was acknowledged after the failure")
			}
		})
	}
}

// TestJournal_FailedPut: a put or delete that can't be made durable does not
// return, and its watchers are not told.
func TestJournal_FailedPut(t *testing.T) {
	f := newFaulty(t, filelog.Always, faults[1].fails, false)
	version, err := f.l.Put("key", []byte("old"), 0, cow.Totals{})
	if err != nil {
		t.Fatal(err)
	}
	var told, returned atomic.Bool
	f.l.Watch("", func(string, []byte, uint64) { told.Store(true) })
	f.broken.Store(true)
	go func() {
		f.l.Put("key", []byte("new"), version, cow.Totals{})
		returned.Store(true)
	}()
	<-f.fatal
	time.Sleep(20 * time.Millisecond)
	if returned.Load() || told.Load() {
		t.Fatalf("the failed put returned (%v) or was told (%v)", returned.Load(), told.Load())
	}
}

// TestJournal_FailedWriteOtherModes: the modes that acknowledge before the sync
// end the process as well, at the next sync or at a later write.
func TestJournal_FailedWriteOtherModes(t *testing.T) {
	tests := []struct {
		sync  filelog.Sync
		fault int
	}{{filelog.Interval, 0}, {filelog.Interval, 1}, {filelog.Off, 0}}
	for _, test := range tests {
		fault := faults[test.fault]
		t.Run(test.sync.String()+"/"+fault.name, func(t *testing.T) {
			f := newFaulty(t, test.sync, fault.fails, false)
			s := newScript(4)
			s.step(f.l)
			f.broken.Store(true)
			done := make(chan struct{})
			go func() {
				defer close(done)
				for range 10_000 {
					s.step(f.l)
					time.Sleep(100 * time.Microsecond)
				}
			}()
			select {
			case err := <-f.fatal:
				if !errors.Is(err, errorfs.ErrInjected) {
					t.Errorf("Fatal was called with %v, want the disk's error", err)
				}
			case <-done:
				t.Fatal("10,000 steps passed on a broken disk")
			}
		})
	}
}

// TestJournal_BackgroundErrors: a flush that can't write its table is counted and
// tried again; commits go on.
func TestJournal_BackgroundErrors(t *testing.T) {
	f := newFaulty(t, filelog.Always, func(op errorfs.Op) bool {
		return strings.HasSuffix(op.Path, ".sst") && op.Kind == errorfs.OpFileWrite
	}, false)
	s := newScript(5)
	s.step(f.l)
	f.broken.Store(true)
	flushed := make(chan struct{})
	go func() {
		flush(f.l)
		close(flushed)
	}()
	for f.l.Stats().Errors() == 0 {
		time.Sleep(time.Millisecond)
	}
	s.step(f.l)
	if err := f.l.Stats().Store.LastError; !errors.Is(err, errorfs.ErrInjected) {
		t.Errorf("last error %v, want the disk's", err)
	}
	f.broken.Store(false)
	<-flushed
	for range 10 {
		s.step(f.l)
	}
	if err := f.l.Close(); err != nil {
		t.Fatal(err)
	}
	verify(t, s, crash{fs: f.disk, low: s.acked.Load(), high: s.acked.Load()})
}
