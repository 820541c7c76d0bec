package engine

import (
	"archive/tar"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"cowrelay/cow/pebblestore"
)

// Folders in the data folder while a copy comes in. Files arrive in the first. When
// all are there and verified it is renamed to the second: from then on the copy is the
// store, whatever happens, and its files move up one by one.
const (
	arriving = "restoring"
	arrived  = "restored"
)

// ErrNotEmpty: the folder holds something already.
var ErrNotEmpty = errors.New("the data folder is not empty")

// RestoreOptions of Restore. The zero value means the defaults.
type RestoreOptions struct {
	// Received is told how many bytes of files have come. Default none.
	Received func(bytes int64)
	// Verified is told how many bytes of events were verified. Default none.
	Verified func(bytes int64)
	// Log is the shared log that the store must belong to. Zero: to whichever it does.
	Log [16]byte
	// Reserve is the free space that must stay on the disk.
	Reserve uint64
	// Journal is what the store is opened with to be verified.
	Journal Options
}

// Empty says whether a folder is missing, or holds nothing but the rest of a Restore
// that did not end.
func Empty(dir string) (bool, error) {
	names, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return true, nil
	}
	for _, n := range names {
		switch n.Name() {
		case arriving, "lost+found":
		default:
			return false, err
		}
	}
	return true, err
}

// Restore makes a data folder of an archive that Checkpoint.WriteTo wrote. The folder
// must be Empty. Each file is held against its checksum, and then the whole store is
// verified. Until that is done the folder stays empty, so a Restore that was cut off
// can be begun again.
func Restore(ctx context.Context, dir string, archive io.Reader, o RestoreOptions) (_ Manifest, err error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return Manifest{}, err
	}
	lock, err := pebblestore.LockFolder(dir)
	if err != nil {
		return Manifest{}, err
	}
	defer lock.Close()
	if empty, err := Empty(dir); err != nil {
		return Manifest{}, err
	} else if !empty {
		return Manifest{}, fmt.Errorf("%w: %q: a copy goes into an empty one", ErrNotEmpty, dir)
	}
	r := restore{receiving{RestoreOptions: o, folder: filepath.Join(dir, arriving)}, dir}
	if err := os.RemoveAll(r.folder); err != nil {
		return Manifest{}, err
	}
	if err := os.Mkdir(r.folder, 0o700); err != nil {
		return Manifest{}, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.RemoveAll(r.folder))
		}
	}()
	if err := r.receive(ctx, tar.NewReader(archive)); err != nil {
		return Manifest{}, fmt.Errorf("the copy can't be used: %w", err)
	}
	if err := r.describe(); err != nil {
		return Manifest{}, fmt.Errorf("the copy can't be used: %w", err)
	}
	if err := r.verify(ctx); err != nil {
		return Manifest{}, fmt.Errorf("the copy can't be used: %w", err)
	}
	if err := r.forgetLog(); err != nil {
		return Manifest{}, err
	}
	if err := os.Rename(r.folder, filepath.Join(dir, arrived)); err != nil {
		return Manifest{}, err
	}
	if err := syncFolder(dir); err != nil {
		return Manifest{}, err
	}
	return r.manifest, finishRestore(dir)
}

// restore is one run of Restore.
type restore struct {
	receiving
	dir string
}

// forgetLog lets the store of a relay with a log of its own begin another one: the copy
// has all that the store had, and no log.
func (r *restore) forgetLog() error {
	if r.manifest.Log != "" {
		return nil
	}
	o := r.Journal
	o.ensureDefaults()
	store, err := pebblestore.Open(r.folder, o.store())
	if err != nil {
		return err
	}
	return errors.Join(store.LeaveLog(), store.Close())
}

// finishRestore moves the files of a restore that was complete to their place. Every
// open of the folder calls it first: a process may have been killed meanwhile.
func finishRestore(dir string) error {
	from := filepath.Join(dir, arrived)
	if _, err := os.Stat(from); err != nil {
		return nil // there is none, or the folder can't be looked at: who opens it says why
	}
	list, err := os.ReadDir(from)
	if err != nil {
		return err
	}
	for _, f := range list {
		if err := os.Rename(filepath.Join(from, f.Name()), filepath.Join(dir, f.Name())); err != nil {
			return err
		}
	}
	if err := syncFolder(dir); err != nil {
		return err
	}
	if err := os.Remove(from); err != nil {
		return err
	}
	return syncFolder(dir)
}

// syncFolder makes the names in a folder durable.
func syncFolder(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
