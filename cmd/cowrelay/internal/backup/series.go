package backup

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"cowrelay/cmd/cowrelay/internal/wholefile"
	"cowrelay/cow/engine"
	"cowrelay/cow/pebblestore"
)

const (
	nameForm = "2006-01-02T15-04-05Z" // names sort by time, and no file system minds them
	partial  = ".partial"             // ends the name of a backup that is being made or removed
)

// series is a folder with backups. While it is open no other process adds or removes
// any. openSeries makes it.
type series struct {
	dir  string
	lock io.Closer
}

// one is a backup of a series.
type one struct {
	name     string
	path     string
	manifest engine.Manifest
	err      error // why it is no whole one; nil: it is
}

// openSeries makes the folder where there is none, and clears away what a process left
// there that was killed.
func openSeries(dir string) (*series, error) {
	if err := wholefile.MakeFolder(dir, 0o700); err != nil {
		return nil, err
	}
	lock, err := pebblestore.LockFolder(dir)
	if errors.Is(err, engine.ErrInUse) {
		return nil, fmt.Errorf("another backup is being made in %q: wait until it has ended", dir)
	}
	if err != nil {
		return nil, err
	}
	s := &series{dir, lock}
	list, err := os.ReadDir(dir)
	for _, f := range list {
		if name, ok := strings.CutSuffix(f.Name(), partial); ok && isName(name) {
			err = errors.Join(err, os.RemoveAll(filepath.Join(dir, f.Name())))
		}
	}
	if err != nil {
		return nil, errors.Join(err, lock.Close())
	}
	return s, nil
}

func isName(name string) bool {
	_, err := time.Parse(nameForm, name)
	return err == nil
}

// list is all backups of a folder, the newest first.
func list(dir string) (all []one, err error) {
	names, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	for _, f := range names {
		if !f.IsDir() || !isName(f.Name()) {
			continue
		}
		b := one{name: f.Name(), path: filepath.Join(dir, f.Name())}
		b.manifest, b.err = engine.ReadBackup(b.path)
		all = append(all, b)
	}
	slices.SortFunc(all, func(a, b one) int { return strings.Compare(b.name, a.name) })
	return all, nil
}

// had is the tables of the newest whole backup, and what is wrong with newer ones.
func (s *series) had() (tables []engine.Had, wrong []error) {
	all, err := list(s.dir)
	if err != nil {
		return nil, []error{err}
	}
	for _, b := range all {
		if b.err != nil {
			wrong = append(wrong, b.err)
			continue
		}
		for _, f := range b.manifest.Files {
			path := filepath.Join(b.path, f.Name)
			// One that is cut or gone is sent again.
			if info, err := os.Lstat(path); err == nil && info.Mode().IsRegular() && info.Size() == f.Size && engine.IsTable(f.Name) {
				tables = append(tables, engine.Had{File: f, Path: path})
			}
		}
		return tables, wrong
	}
	return nil, wrong
}

// begin makes the folder of a new backup. The second is its name when it is whole.
func (s *series) begin(now time.Time) (folder, name string, err error) {
	for {
		name = filepath.Join(s.dir, now.UTC().Format(nameForm))
		if _, err := os.Lstat(name); errors.Is(err, fs.ErrNotExist) {
			break
		} else if err != nil {
			return "", "", err
		}
		time.Sleep(100 * time.Millisecond) // one was made in this second
		now = time.Now()
	}
	return name + partial, name, os.Mkdir(name+partial, 0o700)
}

// finish gives a backup that is whole its name.
func (s *series) finish(folder, name string) error {
	if err := os.Rename(folder, name); err != nil {
		return err
	}
	return s.sync()
}

func (s *series) sync() error {
	d, err := os.Open(s.dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// keep removes whole backups but the newest n. Damaged ones stay: somebody should look.
func (s *series) keep(n int) (removed []string, err error) {
	all, err := list(s.dir)
	if err != nil {
		return nil, err
	}
	for _, b := range all {
		if b.err != nil {
			continue
		}
		if n--; n >= 0 {
			continue
		}
		// First the name, so that no half of it passes for a backup.
		if err := os.Rename(b.path, b.path+partial); err != nil {
			return removed, err
		}
		if err := os.RemoveAll(b.path + partial); err != nil {
			return removed, err
		}
		removed = append(removed, b.name)
	}
	return removed, s.sync()
}

func (s *series) Close() error { return s.lock.Close() }
