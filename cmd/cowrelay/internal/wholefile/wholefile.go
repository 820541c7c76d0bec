package wholefile

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

// wholeFile is a regular file under way, which takes its name only when it is
// whole and durable. Until then it has a random name beside that, which nobody
// can have prepared.
type File struct {
	*os.File
	path string // what it will be called
}

// createWhole begins the file that will be called path, with exactly these
// permissions. What is there then is replaced, so it has to be a regular file or
// nothing.
func Create(path string, mode fs.FileMode) (*File, error) {
	// Made with O_EXCL, and readable by nobody else.
	f, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".*.partial")
	if err != nil {
		return nil, err
	}
	if err := f.Chmod(mode); err != nil {
		return nil, errors.Join(err, f.Close(), os.Remove(f.Name()))
	}
	return &File{f, path}, nil
}

// commit makes the file durable and gives it its name. Where it fails, the file
// stays under Name.
func (w *File) Commit() error {
	if err := errors.Join(w.Sync(), w.Close()); err != nil {
		return err
	}
	if err := os.Rename(w.Name(), w.path); err != nil {
		return err
	}
	return syncFolder(filepath.Dir(w.path))
}

// writeWhole writes a file whole, or leaves what was there.
func Write(path string, data []byte, mode fs.FileMode) error {
	w, err := Create(path, mode)
	if err != nil {
		return err
	}
	if _, err = w.Write(data); err == nil {
		err = w.Commit()
	}
	if err != nil {
		w.Close()
		os.Remove(w.Name())
	}
	return err
}

// syncFolder makes the names in a folder durable.
func syncFolder(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// makeFolder makes a folder and those above it, durably.
func MakeFolder(dir string, mode fs.FileMode) error {
	if info, err := os.Stat(dir); err == nil && info.IsDir() {
		return nil
	}
	parent := filepath.Dir(dir)
	if parent != dir {
		if err := MakeFolder(parent, mode); err != nil {
			return err
		}
	}
	if err := os.Mkdir(dir, mode); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return syncFolder(parent)
}

// replaceable follows the symbolic links of path and returns the name of the
// regular file that a new one may replace, or that is not there yet. It is ""
// where something else is there: a device, a FIFO, or a file behind a link of
// /proc, which is an open one. Those can be written to, not replaced.
//
// In a folder where others may make files, a link of theirs is not followed.
func Replaceable(path string) (name string, err error) {
	if info, err := os.Stat(path); err == nil && info.IsDir() {
		return "", fmt.Errorf("%s is a folder", path)
	} else if err == nil && !info.Mode().IsRegular() {
		return "", nil
	}
	for range 40 { // as many as the system follows
		info, err := os.Lstat(path)
		if errors.Is(err, fs.ErrNotExist) || err == nil && info.Mode().IsRegular() {
			return path, nil
		}
		if err != nil {
			return "", err
		}
		dir, err := filepath.EvalSymlinks(filepath.Dir(path))
		if err != nil {
			return "", err
		}
		if strings.HasPrefix(dir, "/proc/") {
			return "", nil
		}
		if err := trustLink(path, dir, info); err != nil {
			return "", err
		}
		to, err := os.Readlink(path)
		if err != nil {
			return "", err
		}
		if path = to; !filepath.IsAbs(to) {
			path = filepath.Join(dir, to)
		}
	}
	return "", fmt.Errorf("%s: too many symbolic links", path)
}

// trustLink refuses a link that somebody else may have prepared.
func trustLink(path, dir string, link fs.FileInfo) error {
	folder, err := os.Stat(dir)
	if err != nil {
		return err
	}
	if by := Owner(link); folder.Mode().Perm()&0o022 != 0 && by != os.Geteuid() && by != Owner(folder) {
		return fmt.Errorf("%s is a symbolic link of another user (%d) in a folder where others may make some: it is not followed", path, by)
	}
	return nil
}

// ownerOf returns the id of the user that a file belongs to.
func Owner(info fs.FileInfo) int { return int(info.Sys().(*syscall.Stat_t).Uid) }
