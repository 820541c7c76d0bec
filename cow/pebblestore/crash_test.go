package pebblestore

import (
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"
)

// crash is a copy of the disk as a crash would leave it.
type crash struct {
	n        int // how many were before
	fs       *vfs.MemFS
	low      int64 // the number that the store had called durable before
	high     int64 // that of the newest batch that it was given
	unsynced int
}

type recorder struct {
	fs    vfs.FS
	reuse *reuseFS
	mu    sync.Mutex
	done  bool
	seen  int // the crashes there were; each every-th is in list
	list  []crash
}

// recordCrashes takes two copies of the disk before each write to it: one without
// anything unsynced, one with a random half of that. It keeps each every-th copy.
// bounds returns what a store may hold at that moment.
func recordCrashes(disk *vfs.MemFS, seed uint64, every int, bounds func() (low, high int64)) *recorder {
	r := &recorder{reuse: &reuseFS{FS: disk}}
	r.fs = errorfs.Wrap(r.reuse, errorfs.InjectorFunc(func(op errorfs.Op) error {
		if op.Kind.ReadOrWrite() != errorfs.OpIsWrite {
			return nil
		}
		r.mu.Lock()
		defer r.mu.Unlock()
		if r.done {
			return nil
		}
		for _, unsynced := range []int{0, 50} {
			n := r.seen
			if r.seen++; n%every > 0 {
				continue
			}
			c := crash{n: n, unsynced: unsynced}
			c.low, _ = bounds()
			r.reuse.mu.Lock()
			c.fs = disk.CrashClone(vfs.CrashCloneCfg{
				UnsyncedDataPercent: unsynced,
				RNG:                 rand.New(rand.NewPCG(seed, uint64(n))),
			})
			r.reuse.mu.Unlock()
			_, c.high = bounds()
			r.list = append(r.list, c)
		}
		return nil
	}))
	return r
}

// under makes writes go on to fs, which ends at the same disk.
func (r *recorder) under(fs vfs.FS) { r.reuse.FS = fs }

func (r *recorder) stop() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.done = true
}

// reuseFS keeps CrashClone out of ReuseForWrite, which in MemFS (pebble
// v2.1.7) read-locks a lock that it holds for reading already: a clone that
// asks for the lock between the two waits for ever.
type reuseFS struct {
	vfs.FS
	mu sync.Mutex
}

func (f *reuseFS) ReuseForWrite(oldname, newname string, c vfs.DiskWriteCategory) (vfs.File, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.FS.ReuseForWrite(oldname, newname, c)
}

// TestStore_CrashAtEveryWrite stops the machine at each write to the disk in turn,
// from the first one of the making of the store, and opens what is left. It is the
// state behind some batch, which it names, and never one before what the store had
// called durable.
func TestStore_CrashAtEveryWrite(t *testing.T) {
	const seed = 11
	s := newScript(seed)
	disk := vfs.NewCrashableMem()
	var bounds sync.Mutex // guards the two below
	var low, high int64
	every := 1
	if raceEnabled {
		every = 41 // the plain run looks at each. Odd, so that both kinds of crash are among them
	}
	crashes := recordCrashes(disk, seed, every, func() (int64, int64) {
		bounds.Lock()
		defer bounds.Unlock()
		return low, high
	})
	st := mustOpen(t, "data", small(Options{FS: crashes.fs, Logger: quiet}))
	for i := range 120 {
		b := s.plan()
		bounds.Lock()
		high = int64(b.Seq)
		bounds.Unlock()
		mustApply(t, st, b)
		switch i % 12 {
		case 5: // one that runs beside the next batches
			if _, err := st.flush(); err != nil {
				t.Fatal(err)
			}
		case 11:
			if err := st.db.Flush(); err != nil {
				t.Fatal(err)
			}
		}
		durable := int64(st.Durable())
		if i%12 == 11 && durable != high {
			t.Fatalf("durable is %d behind a flush of %d", durable, high)
		}
		bounds.Lock()
		low = durable
		bounds.Unlock()
	}
	if err := st.Close(); err != nil {
		t.Fatal(err)
	}
	crashes.stop()
	t.Logf("%d crashes", crashes.seen)
	if crashes.seen < 200 {
		t.Fatalf("only %d writes were seen", crashes.seen/2)
	}
	for i, c := range crashes.list {
		crashes.list[i] = crash{} // a disk takes memory
		verify(t, s, c)
	}
}

// verify opens what a crash left; of some twice, as the first open writes, too.
func verify(t *testing.T, s *script, c crash) {
	t.Helper()
	for range 1 + c.n/2%3/2 {
		st, err := Open("data", small(Options{FS: c.fs, Logger: quiet}))
		if err != nil {
			t.Fatalf("crash %d with %d %% of the unsynced: %v", c.n, c.unsynced, err)
		}
		got, err := read(st)
		if err != nil {
			t.Fatalf("crash %d with %d %% of the unsynced: %v", c.n, c.unsynced, err)
		}
		if seq := int64(got.seq); seq < c.low || seq > c.high {
			t.Fatalf("crash %d with %d %% of the unsynced: the store stands at %d, want %d to %d", c.n, c.unsynced, got.seq, c.low, c.high)
		}
		if !slices.ContainsFunc(s.states, got.equal) {
			t.Fatalf("crash %d with %d %% of the unsynced: the store is in none of the states:\n%+v", c.n, c.unsynced, got)
		}
		if d := st.Durable(); d != got.seq {
			t.Fatalf("crash %d: durable is %d, the store stands at %d", c.n, d, got.seq)
		}
		if err := st.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if c.n%7 == 0 && c.high > 0 {
		if _, faults := inspect(t, "data", c.fs); len(faults) > 0 {
			t.Fatalf("crash %d with %d %% of the unsynced: %d faults, such as: %v", c.n, c.unsynced, len(faults), faults[0])
		}
	}
}

// killFS copies the disk before each change of a folder, as a kill of the process
// would leave it: CrashClone alone brings back each file whose removal is not
// synced.
type killFS struct {
	*vfs.MemFS
	mu    sync.Mutex // held over each change
	kills []crash    // guarded by mu
}

// kill copies the disk and keeps its names as they are until the change is done.
func (f *killFS) kill() (done func()) {
	f.mu.Lock()
	to := f.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: 100, RNG: rand.New(rand.NewPCG(1, 2))})
	there, _ := f.List("data")
	names, _ := to.List("data")
	for _, name := range names {
		if !slices.Contains(there, name) {
			to.Remove(to.PathJoin("data", name))
		}
	}
	f.kills = append(f.kills, crash{unsynced: 100, fs: to})
	return f.mu.Unlock
}

// Create makes a log only when no other is left, or after a moment: Pebble
// removes replayed logs on a goroutine of its own.
func (f *killFS) Create(name string, c vfs.DiskWriteCategory) (vfs.File, error) {
	for deadline := time.Now().Add(100 * time.Millisecond); isLog(name) && f.logs() > 0 && time.Now().Before(deadline); {
		time.Sleep(time.Millisecond)
	}
	defer f.kill()()
	return f.MemFS.Create(name, c)
}

func (f *killFS) logs() (n int) {
	names, _ := f.List("data")
	for _, name := range names {
		if isLog(name) {
			n++
		}
	}
	return n
}

func (f *killFS) Remove(name string) error {
	defer f.kill()()
	return f.MemFS.Remove(name)
}

func (f *killFS) Rename(oldname, newname string) error {
	defer f.kill()()
	return f.MemFS.Rename(oldname, newname)
}

func (f *killFS) ReuseForWrite(oldname, newname string, c vfs.DiskWriteCategory) (vfs.File, error) {
	defer f.kill()()
	return f.MemFS.ReuseForWrite(oldname, newname, c)
}
