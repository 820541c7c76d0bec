package engine

import (
	"math/rand/v2"
	"slices"
	"sync"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"cowrelay/cow/filelog"
)

// TestJournal_I3_KillAtEveryChangeOfTheFolder kills a store before each file that it
// makes, renames or removes: while it opens what another kill left, and while it
// closes. What is left opens, and holds what was acknowledged.
//
// CrashClone alone shows none of this: it brings back each file whose removal is
// not synced. After a kill of the process the file is gone.
func TestJournal_I3_KillAtEveryChangeOfTheFolder(t *testing.T) {
	for _, mode := range modes {
		t.Run(mode.String(), func(t *testing.T) {
			t.Parallel()
			s := newScript(5)
			disk := &killFS{MemFS: vfs.NewCrashableMem()}
			l := mustOpen(t, "data", small(Options{FS: disk, Sync: mode, Logger: quiet}))
			for range 20 {
				s.step(l)
			}
			disk = &killFS{MemFS: disk.copy()}
			if err := l.Close(); err != nil {
				t.Fatal(err)
			}
			l = mustOpen(t, "data", small(Options{FS: disk, Sync: mode, Logger: quiet}))
			got, err := read(l)
			if err != nil {
				t.Fatal(err)
			}
			found := int64(slices.IndexFunc(s.states, got.equal))
			if found < 0 || mode == filelog.Always && found != s.acked.Load() {
				t.Fatalf("the kill left state %d of %d", found, s.acked.Load())
			}
			if err := l.Close(); err != nil {
				t.Fatal(err)
			}
			t.Logf("%d kills", len(disk.kills))
			if len(disk.kills) < 10 {
				t.Fatalf("only %d changes were seen", len(disk.kills))
			}
			for i, c := range disk.kills {
				if raceEnabled && i%4 > 0 {
					continue // the plain run looks at each
				}
				c.low, c.high = found, found
				verify(t, s, c)
			}
		})
	}
}

// killFS copies the disk before each change of a folder.
type killFS struct {
	*vfs.MemFS
	mu    sync.Mutex // held over each change
	kills []crash    // guarded by mu
}

// copy returns the disk as the next process would find it.
func (f *killFS) copy() *vfs.MemFS {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.copyLocked()
}

func (f *killFS) copyLocked() *vfs.MemFS {
	to := f.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: 100, RNG: rand.New(rand.NewPCG(1, 2))})
	for _, dir := range []string{"data", "data/log"} {
		there, _ := f.List(dir)
		names, _ := to.List(dir)
		for _, name := range names {
			if !slices.Contains(there, name) {
				to.Remove(to.PathJoin(dir, name))
			}
		}
	}
	return to
}

// kill copies the disk and keeps its names as they are until the change is done.
func (f *killFS) kill() (done func()) {
	f.mu.Lock()
	f.kills = append(f.kills, crash{write: len(f.kills), unsynced: 100, fs: f.copyLocked()})
	return f.mu.Unlock
}

func (f *killFS) Create(name string, c vfs.DiskWriteCategory) (vfs.File, error) {
	defer f.kill()()
	return f.MemFS.Create(name, c)
}

// OpenReadWrite makes the files of the log.
func (f *killFS) OpenReadWrite(name string, c vfs.DiskWriteCategory, opts ...vfs.OpenOption) (vfs.File, error) {
	if _, err := f.Stat(name); err != nil {
		defer f.kill()()
	}
	return f.MemFS.OpenReadWrite(name, c, opts...)
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
