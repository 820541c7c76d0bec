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
	"os"
	"path/filepath"
	"slices"
	"strings"

	"cowrelay/cow/pebblestore"
)

// receiving is the files of an archive on their way into a folder.
type receiving struct {
	RestoreOptions
	folder   string
	link     func(name string) (File, error) // nil: the archive may hold no links
	files    []File                          // that came
	bytes    int64
	text     []byte // of the manifest, as it came
	manifest Manifest
}

// receive writes the files of the archive, and holds them against its manifest.
func (r *receiving) receive(ctx context.Context, archive *tar.Reader) error {
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
		case len(r.files) == maxFiles:
			return fmt.Errorf("it holds more than %d files", maxFiles)
		case h.Typeflag == tar.TypeLink && r.link != nil && goodName(h.Name):
			if err := r.takeLink(h.Name); err != nil {
				return err
			}
			continue
		case h.Typeflag != tar.TypeReg || !goodName(h.Name):
			return fmt.Errorf("it holds what is no file of a store: %q", h.Name)
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

func (r *receiving) writeFile(ctx context.Context, archive io.Reader, h *tar.Header) error {
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
	n, err := io.Copy(io.MultiWriter(&steady{f: file}, sum), &told{archive, ctx, r})
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

// steady writes a file at an even pace. Without it all would go to the disk with the
// sync at its end, and the syncs of a relay on the same disk would wait behind that.
type steady struct {
	f             *os.File
	written, from int64
}

const steadyBytes = 1 << 20

func (s *steady) Write(p []byte) (int, error) {
	n, err := s.f.Write(p)
	if s.written += int64(n); s.written-s.from >= steadyBytes {
		writeBack(s.f, s.from, s.written-s.from)
		s.from = s.written
	}
	return n, err
}

// told reports what is read of an archive, and ends with the restore's context.
type told struct {
	io.Reader
	ctx context.Context
	r   *receiving
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

func (r *receiving) readManifest(archive io.Reader, size int64) error {
	if size > maxManifest {
		return fmt.Errorf("its manifest has %d bytes", size)
	}
	text := make([]byte, size)
	if _, err := io.ReadFull(archive, text); err != nil {
		return fmt.Errorf("its manifest was cut off: %w", err)
	}
	r.text = text
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

// takeLink puts a file into its place that the receiver had.
func (r *receiving) takeLink(name string) error {
	f, err := r.link(name)
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	r.files = append(r.files, f)
	if r.bytes += f.Size; r.Received != nil {
		r.Received(r.bytes)
	}
	return nil
}

// describe opens the store, and holds it against the manifest.
func (r *receiving) describe() error {
	var is Manifest
	o := r.Journal
	o.ensureDefaults()
	if err := describe(r.folder, o, &is); err != nil {
		return err
	}
	if m := &r.manifest; is.Applied != m.Applied || is.Log != m.Log || is.Digest != m.Digest {
		return fmt.Errorf("its manifest says entry %d of log %q, the store has entry %d of log %q", m.Applied, m.Log, is.Applied, is.Log)
	}
	if m := &r.manifest; is.Slots != m.Slots {
		return fmt.Errorf("its manifest says %d slots, the store has %d", m.Slots, is.Slots)
	}
	return nil
}

// verify looks at every key of the store.
func (r *receiving) verify(ctx context.Context) (err error) {
	o := r.Journal
	o.ensureDefaults()
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
