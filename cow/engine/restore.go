package engine

import (
	"archive/tar"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

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
	r := restore{dir: dir, folder: filepath.Join(dir, arriving), RestoreOptions: o}
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
	RestoreOptions
	dir, folder string
	files       []File // that came
	bytes       int64
	manifest    Manifest
}

// receive writes the files of the archive, and holds them against its manifest.
func (r *restore) receive(ctx context.Context, archive *tar.Reader) error {
	for {
		if err := ctx.Err(); err != nil {
			return err
		}
		h, err := archive.Next()
		switch {
		case err == io.EOF:
			return errors.New("it ends without a manifest: it was cut off")
		case err != nil:
			return fmt.Errorf("it was cut off, or is no copy: %w", err)
		case h.Name == manifestName:
			return r.readManifest(archive, h.Size)
		case h.Typeflag != tar.TypeReg || !goodName(h.Name):
			return fmt.Errorf("it holds what is no file of a store: %q", h.Name)
		case len(r.files) == maxFiles:
			return fmt.Errorf("it holds more than %d files", maxFiles)
		}
		if err := r.writeFile(ctx, archive, h); err != nil {
			return err
		}
	}
}

// goodName says whether a file of a store may be called so.
func goodName(name string) bool {
	return len(name) <= 255 && name != "." && name != ".." && name != "" && strings.Trim(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-") == ""
}

func (r *restore) writeFile(ctx context.Context, archive io.Reader, h *tar.Header) error {
	if free, err := FreeSpace(r.folder); err != nil {
		return err
	} else if free < r.Reserve || uint64(h.Size) > free-r.Reserve {
		return fmt.Errorf("there is no room for %s of %d bytes beside the reserve: make room on the disk", h.Name, h.Size)
	}
	file, err := os.OpenFile(filepath.Join(r.folder, h.Name), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err // also of a name that came twice
	}
	sum := sha256.New()
	n, err := io.Copy(io.MultiWriter(file, sum), &told{archive, ctx, r})
	err = errors.Join(err, file.Sync(), file.Close())
	if err == nil && n != h.Size {
		err = io.ErrUnexpectedEOF
	}
	if err != nil {
		return fmt.Errorf("%s: %w", h.Name, err)
	}
	r.files = append(r.files, File{h.Name, n, hex.EncodeToString(sum.Sum(nil))})
	return nil
}

// told reports what is read of an archive, and ends with the restore's context.
type told struct {
	io.Reader
	ctx context.Context
	r   *restore
}

func (t *told) Read(p []byte) (int, error) {
	if err := t.ctx.Err(); err != nil {
		return 0, err
	}
	n, err := t.Reader.Read(p)
	if t.r.bytes += int64(n); t.r.Received != nil {
		t.r.Received(t.r.bytes)
	}
	return n, err
}

func (r *restore) readManifest(archive io.Reader, size int64) error {
	if size > maxManifest {
		return fmt.Errorf("its manifest has %d bytes", size)
	}
	text := make([]byte, size)
	if _, err := io.ReadFull(archive, text); err != nil {
		return fmt.Errorf("its manifest was cut off: %w", err)
	}
	if err := json.Unmarshal(text, &r.manifest); err != nil {
		return fmt.Errorf("its manifest can't be read: %w", err)
	}
	if err := r.manifest.check(); err != nil {
		return err
	}
	if r.Log != ([16]byte{}) && r.manifest.LogID() != r.Log {
		return fmt.Errorf("its store belongs to the log %q, and the log here is %x: that relay is of another fleet, or of none", r.manifest.Log, r.Log)
	}
	if slices.Equal(r.files, r.manifest.Files) {
		return syncFolder(r.folder)
	}
	if len(r.files) != len(r.manifest.Files) {
		return fmt.Errorf("%d files came, its manifest names %d", len(r.files), len(r.manifest.Files))
	}
	for i, f := range r.manifest.Files {
		if f != r.files[i] {
			return fmt.Errorf("the file %s did not come as its manifest says", f.Name)
		}
	}
	return nil
}

// verify opens the store and looks at every key of it.
func (r *restore) verify(ctx context.Context) (err error) {
	var is Manifest
	o := r.Journal
	o.ensureDefaults()
	if err := describe(r.folder, o, &is); err != nil {
		return err
	}
	if m := &r.manifest; is.Applied != m.Applied || is.Log != m.Log || is.Digest != m.Digest {
		return fmt.Errorf("its manifest says entry %d of log %q, the store has entry %d of log %q", m.Applied, m.Log, is.Applied, is.Log)
	}
	store, err := pebblestore.OpenReader(r.folder, o.store())
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, store.Close()) }()
	first := ""
	report, err := store.Verify(ctx, VerifyOptions{
		Fault: func(f Fault) {
			if first == "" {
				first = f.String()
			}
		},
		Progress: func(p Report) {
			if r.Verified != nil {
				r.Verified(int64(p.Bytes))
			}
		},
	})
	if err == nil && report.Faults > 0 {
		err = fmt.Errorf("the store in it has %d faults: the first is %s", report.Faults, first)
	}
	return err
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
