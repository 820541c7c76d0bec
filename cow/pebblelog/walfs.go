package pebblelog

import (
	"fmt"
	"strings"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// walFS ends the process where an operation on a log file fails, before Pebble
// sees the error. Pebble gives some of these errors to whoever commits (see
// write), but one at a rotation of the log makes it panic with its main mutex
// in a state that Go can't recover from: exit 2 and a dump of all goroutines
// instead of Options.Fatal (pebble v2.1.7). It can't go on after any of them.
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

// OpenDir wraps the folder: a log file whose name is not durable is lost.
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
