package pebblestore

import (
	"errors"
	"io"
	"log/slog"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// patientFS waits where the process, or the machine, has no descriptor left for a
// file. Pebble itself takes that for a broken disk: if it can't make a log file the
// process ends.
//
// The store keeps to its bound of descriptors, and the process leaves it as many.
// This is for a descriptor that was not counted.
type patientFS struct {
	vfs.FS
	s *Store
}

const (
	filesLeastWait = 5 * time.Millisecond
	filesMostWait  = 250 * time.Millisecond
)

func noFiles(err error) bool { return errors.Is(err, syscall.EMFILE) || errors.Is(err, syscall.ENFILE) }

// patient calls open until it finds a descriptor, at most for
// Options.FilesPatience.
func patient[T any](s *Store, open func() (T, error)) (T, error) {
	wait := filesLeastWait
	for began := time.Now(); ; wait = min(2*wait, filesMostWait) {
		f, err := open()
		if err == nil || !noFiles(err) || time.Since(began) > s.opts.FilesPatience {
			return f, err
		}
		s.filesLog.log(s.opts.Logger, slog.LevelWarn, "the store waits for a descriptor", "error", err,
			"do", "raise the limit of open files")
		s.opts.NoFiles()
		time.Sleep(wait)
	}
}

func (f patientFS) Create(name string, c vfs.DiskWriteCategory) (vfs.File, error) {
	return patient(f.s, func() (vfs.File, error) { return f.FS.Create(name, c) })
}

func (f patientFS) Open(name string, opts ...vfs.OpenOption) (vfs.File, error) {
	open := func() (vfs.File, error) { return f.FS.Open(name, opts...) }
	if f.s.readers == nil || !strings.HasSuffix(name, ".sst") {
		return patient(f.s, open)
	}
	return f.s.readers.open(func() (vfs.File, error) { return patient(f.s, open) })
}

// readers bounds the tables that are open to be read. Pebble closes a table that
// left its cache on another goroutine than the one that opens the next. So without
// this a fast reader could have any number of tables open.
type readers struct {
	free chan struct{}
}

// readersPatience is how long a reader waits for another table to be closed. Then
// it goes on: the readers that hold the others may be waiting for it.
const readersPatience = 100 * time.Millisecond

func newReaders(most int) *readers {
	r := &readers{free: make(chan struct{}, most)}
	for range most {
		r.free <- struct{}{}
	}
	return r
}

func (r *readers) open(open func() (vfs.File, error)) (vfs.File, error) {
	counted := true
	timer := time.NewTimer(readersPatience)
	defer timer.Stop()
	select {
	case <-r.free:
	case <-timer.C:
		counted = false
	}
	f, err := open()
	if !counted {
		return f, err
	}
	if err != nil {
		r.free <- struct{}{}
		return nil, err
	}
	return &readerFile{File: f, readers: r}, nil
}

type readerFile struct {
	vfs.File
	readers *readers
	closed  atomic.Bool
}

func (f *readerFile) Close() error {
	err := f.File.Close()
	if !f.closed.Swap(true) {
		f.readers.free <- struct{}{}
	}
	return err
}

func (f patientFS) OpenReadWrite(name string, c vfs.DiskWriteCategory, opts ...vfs.OpenOption) (vfs.File, error) {
	return patient(f.s, func() (vfs.File, error) { return f.FS.OpenReadWrite(name, c, opts...) })
}

func (f patientFS) OpenDir(name string) (vfs.File, error) {
	return patient(f.s, func() (vfs.File, error) { return f.FS.OpenDir(name) })
}

// ReuseForWrite renames first, and that only once.
func (f patientFS) ReuseForWrite(oldname, newname string, c vfs.DiskWriteCategory) (vfs.File, error) {
	file, err := f.FS.ReuseForWrite(oldname, newname, c)
	if err == nil || !noFiles(err) {
		return file, err
	}
	if _, missing := f.FS.Stat(oldname); missing == nil {
		if err := f.FS.Rename(oldname, newname); err != nil {
			return nil, err
		}
	}
	return f.OpenReadWrite(newname, c)
}

func (f patientFS) List(dir string) ([]string, error) {
	return patient(f.s, func() ([]string, error) { return f.FS.List(dir) })
}

func (f patientFS) Lock(name string) (io.Closer, error) {
	return patient(f.s, func() (io.Closer, error) { return f.FS.Lock(name) })
}

func (f patientFS) Unwrap() vfs.FS { return f.FS }
