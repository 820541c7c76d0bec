package pebblelog

import (
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"sync"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// walFS ends the process when an operation on a log file fails, before Pebble sees
// the error. Pebble can't go on after any of them. It returns some to the caller
// that commits (see write). But after an error at a rotation of the log it panics
// with its main mutex in a state that Go can't recover from (pebble v2.1.7): that
// would be exit 2 and a dump of all goroutines instead of Options.Fatal.
//
// While Open runs they are ordinary errors.
type walFS struct {
	vfs.FS
	l *Log
}

func isLogFile(name string) bool { return strings.HasSuffix(name, ".log") }

func (l *Log) walError(doing, name string, err error) {
	if err != nil && l.running.Load() {
		l.die(fmt.Errorf("%s %s failed: %w", doing, name, err))
	}
}

func (f walFS) Create(name string, c vfs.DiskWriteCategory) (vfs.File, error) {
	file, err := f.FS.Create(name, c)
	return f.wrap(name, file, err)
}

func (f walFS) ReuseForWrite(oldname, newname string, c vfs.DiskWriteCategory) (vfs.File, error) {
	file, err := f.FS.ReuseForWrite(oldname, newname, c)
	return f.wrap(newname, file, err)
}

func (f walFS) Remove(name string) error {
	if !isLogFile(name) {
		return f.FS.Remove(name)
	}
	return f.l.oldLogs.remove(f.FS, name)
}

func (f walFS) wrap(name string, file vfs.File, err error) (vfs.File, error) {
	if !isLogFile(name) {
		return file, err
	}
	f.l.walError("making", name, err)
	if err != nil {
		return nil, err
	}
	return walFile{file, f.l, name}, nil
}

// OpenDir wraps the folder too: if its sync fails, the name of a log may be lost.
func (f walFS) OpenDir(name string) (vfs.File, error) {
	dir, err := f.FS.OpenDir(name)
	if err != nil {
		return nil, err
	}
	return walFile{dir, f.l, name}, nil
}

func (f walFS) Unwrap() vfs.FS { return f.FS }

type walFile struct {
	vfs.File
	l    *Log
	name string
}

func (f walFile) Write(p []byte) (int, error) {
	n, err := f.File.Write(p)
	f.l.walError("writing", f.name, err)
	return n, err
}

func (f walFile) Sync() error {
	err := f.File.Sync()
	f.l.walError("syncing", f.name, err)
	return err
}

func (f walFile) SyncData() error {
	err := f.File.SyncData()
	f.l.walError("syncing", f.name, err)
	return err
}

func (f walFile) SyncTo(length int64) (bool, error) {
	full, err := f.File.SyncTo(length)
	f.l.walError("syncing", f.name, err)
	return full, err
}

func (f walFile) Close() error {
	err := f.File.Close()
	f.l.walError("closing", f.name, err)
	return err
}

// oldLogs keeps the logs that Pebble has replayed until the store is open.
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
