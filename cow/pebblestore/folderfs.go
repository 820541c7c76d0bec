package pebblestore

import (
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"sync"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// folderFS sees to the order in which names come and go, where Pebble (v2.1.7) leaves
// it to the file system.
type folderFS struct {
	vfs.FS
	s *Store
}

// Create makes the names in the folder durable before it makes a marker: that names
// another file, which must not be lost when the marker stays.
func (f folderFS) Create(name string, c vfs.DiskWriteCategory) (vfs.File, error) {
	if strings.HasPrefix(f.FS.PathBase(name), "marker.") {
		dir, err := f.FS.OpenDir(f.FS.PathDir(name))
		if err != nil {
			return nil, err
		}
		if err := errors.Join(dir.Sync(), dir.Close()); err != nil {
			return nil, err
		}
	}
	file, err := f.FS.Create(name, c)
	if err == nil && isLog(name) {
		return unusedLog{file}, nil
	}
	return file, err
}

func isLog(name string) bool { return strings.HasSuffix(name, ".log") }

// unusedLog is the log file that Pebble makes at each start although its log is off.
// Nothing goes there but a mark at its end, when the store is closed. For that Pebble
// would allocate a whole log, and fail where the disk is full. An empty log has an
// end as well.
type unusedLog struct{ vfs.File }

func (unusedLog) Write(p []byte) (int, error)  { return len(p), nil }
func (unusedLog) Preallocate(_, _ int64) error { return nil }
func (unusedLog) SyncTo(_ int64) (bool, error) { return true, nil }

// Remove keeps Pebble's log files until the store is open. See oldLogs.
func (f folderFS) Remove(name string) error {
	if !isLog(name) {
		return f.FS.Remove(name)
	}
	return f.s.oldLogs.remove(f.FS, name)
}

// OpenDir wraps the folder: Pebble panics on some goroutine of its own when it can't
// sync the name of a new manifest. While Open runs that is an ordinary error.
func (f folderFS) OpenDir(name string) (vfs.File, error) {
	dir, err := f.FS.OpenDir(name)
	if err != nil {
		return nil, err
	}
	return folder{dir, f.s}, nil
}

type folder struct {
	vfs.File
	s *Store
}

func (f folder) Sync() error {
	err := f.File.Sync()
	if err != nil && f.s.running.Load() {
		f.s.die(fmt.Errorf("syncing the folder failed: %w", err))
	}
	return err
}

func (f folderFS) Unwrap() vfs.FS { return f.FS }

// oldLogs keeps the logs that Pebble has replayed until the store is open. A store of
// format 1 has logs of Pebble's own, one of them at least. A later one has one too,
// which is empty: Pebble makes it at each start, although its log is off.
//
//	replay the logs -> flush them -> remove them     (a goroutine of Pebble's)
//	                              \-> make a new log -> the store is open
//
// Pebble removes them beside making the new log (v2.1.7). A process that is
// killed between the two leaves a store without any log. checkFolder cannot
// tell that from a store whose logs were lost, and refuses it. So a removal
// waits here until the new log is made and its name is durable.
//
// Where the open fails the logs stay. The next open replays nothing of them:
// the manifest says that they are flushed.
type oldLogs struct {
	mu     sync.Mutex
	opened bool     // guarded by mu
	names  []string // guarded by mu; to be removed when the store is open
}

func (o *oldLogs) remove(fsys vfs.FS, name string) error {
	if o.keep(name) {
		return nil
	}
	return fsys.Remove(name)
}

// keep reports whether the store is still being opened.
func (o *oldLogs) keep(name string) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	if !o.opened {
		o.names = append(o.names, name)
	}
	return !o.opened
}

// release removes what was kept. Pebble has opened the store.
func (o *oldLogs) release(fsys vfs.FS) (err error) {
	o.mu.Lock()
	names := o.names
	o.opened, o.names = true, nil
	o.mu.Unlock()
	for _, name := range names {
		if e := fsys.Remove(name); e != nil && !errors.Is(e, fs.ErrNotExist) {
			err = errors.Join(err, e)
		}
	}
	return err
}
