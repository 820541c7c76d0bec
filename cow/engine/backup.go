package engine

import (
	"archive/tar"
	"bytes"
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
)

// sumsName is the file of a backup that is written last. It lists the checksums of all
// others, in the form that sha256sum -c reads.
const sumsName = "SHA256SUMS"

// Had is a file that a receiver has already.
type Had struct {
	File
	Path string
}

// BackupOptions of ReceiveBackup. The zero value means the defaults.
type BackupOptions struct {
	// Had are files that the sender was told of. They are linked, not copied, so they
	// must never be written again.
	Had []Had
	// Received is told how many bytes of files are there, linked ones included.
	// Default none.
	Received func(bytes int64)
	// Reserve is the free space that must stay on the disk.
	Reserve uint64
	// Verify holds linked files against their checksums too, and looks at every key.
	// Default: files that come are held against theirs, and the store is opened.
	Verify bool
	// Verified is told how many bytes of events were verified. Default none.
	Verified func(bytes int64)
	// Journal is what the store is opened with.
	Journal Options
}

// ReceiveBackup writes the files of an archive that Checkpoint.Send wrote into a folder,
// which must be empty. The folder is durable when it returns, but for its own name. After
// an error it holds anything, and no SHA256SUMS.
func ReceiveBackup(ctx context.Context, folder string, archive io.Reader, o BackupOptions) (m Manifest, err error) {
	had := make(map[string]Had, len(o.Had))
	for _, h := range o.Had {
		had[h.Name] = h
	}
	r := receiving{folder: folder, RestoreOptions: RestoreOptions{Received: o.Received, Verified: o.Verified, Reserve: o.Reserve, Journal: o.Journal}}
	r.link = func(name string) (File, error) {
		h, ok := had[name]
		if !ok {
			return File{}, errors.New("the relay left it out, but nobody said that it is here")
		}
		if err := link(h, folder); err != nil || !o.Verify {
			return h.File, err
		}
		if err := (&receiving{folder: folder}).check(ctx, h.File); err != nil {
			return h.File, fmt.Errorf("an earlier backup is damaged, %s: %w", h.Path, err)
		}
		return h.File, nil
	}
	if err := r.receive(ctx, tar.NewReader(archive)); err != nil {
		return m, err
	}
	if _, err := io.Copy(io.Discard, archive); err != nil { // so that the sender knows that all came
		return m, err
	}
	if err := r.describe(); err != nil {
		return m, err
	}
	if o.Verify {
		if err := r.verify(ctx); err != nil {
			return m, err
		}
	}
	if err := writeNew(filepath.Join(folder, manifestName), r.text); err != nil {
		return m, err
	}
	if err := writeNew(filepath.Join(folder, sumsName), r.manifest.sums(r.text)); err != nil {
		return m, err
	}
	return r.manifest, syncFolder(folder)
}

// link gives a file that is here another name in the folder. Where the file system can't
// it is copied.
func link(h Had, folder string) error {
	to := filepath.Join(folder, h.Name)
	if err := os.Link(h.Path, to); err == nil || errors.Is(err, fs.ErrExist) || errors.Is(err, fs.ErrNotExist) {
		return err
	}
	from, err := os.Open(h.Path)
	if err != nil {
		return err
	}
	defer from.Close()
	file, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	sum := sha256.New()
	_, err = io.Copy(io.MultiWriter(file, sum), from)
	if err = errors.Join(err, file.Sync(), file.Close()); err == nil && hex.EncodeToString(sum.Sum(nil)) != h.SHA256 {
		err = fmt.Errorf("%s is damaged: its checksum is another one", h.Path)
	}
	return err
}

// writeNew writes a file that is not there yet, durably.
func writeNew(path string, data []byte) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	return errors.Join(err, f.Sync(), f.Close())
}

// sums is what SHA256SUMS says. text is the manifest as it is written.
func (m *Manifest) sums(text []byte) []byte {
	var b bytes.Buffer
	for _, f := range m.Files {
		fmt.Fprintf(&b, "%s  %s\n", f.SHA256, f.Name)
	}
	fmt.Fprintf(&b, "%x  %s\n", sha256.Sum256(text), manifestName)
	return b.Bytes()
}

// ReadBackup reads the manifest of a backup. A folder that is no whole backup has an
// error. It looks at no other file.
func ReadBackup(folder string) (m Manifest, err error) {
	_, m, err = readBackup(folder)
	return m, err
}

func readBackup(folder string) (text []byte, m Manifest, err error) {
	sums, err := readSmall(filepath.Join(folder, sumsName))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, m, fmt.Errorf("%q is no whole backup: there is no %s", folder, sumsName)
	}
	if err != nil {
		return nil, m, err
	}
	if text, err = readSmall(filepath.Join(folder, manifestName)); err != nil {
		return nil, m, err
	}
	if err := json.Unmarshal(text, &m); err != nil {
		return nil, m, fmt.Errorf("the backup %q is damaged: %s can't be read: %w", folder, manifestName, err)
	}
	if !bytes.Equal(sums, m.sums(text)) {
		return nil, m, fmt.Errorf("the backup %q is damaged: %s and %s don't fit together", folder, manifestName, sumsName)
	}
	if err := m.check(); err != nil {
		return nil, m, err
	}
	for _, f := range m.Files {
		if !goodName(f.Name) || f.Name == manifestName || f.Name == sumsName {
			return nil, m, fmt.Errorf("the backup %q names what is no file of a store: %q", folder, f.Name)
		}
	}
	return text, m, nil
}

// readSmall reads a file of a bounded length.
func readSmall(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxManifest+1))
	if err == nil && len(data) > maxManifest {
		err = fmt.Errorf("%s has more than %d bytes", path, maxManifest)
	}
	return data, err
}

// Bytes is how long all files are together.
func (m *Manifest) Bytes() (n int64) {
	for _, f := range m.Files {
		n += f.Size
	}
	return n
}

// VerifyBackup reads all files of a backup, holds them against their checksums, and then
// looks at every key of the store. It writes nothing. Of the options it takes Received,
// Verified and Journal.
func VerifyBackup(ctx context.Context, folder string, o RestoreOptions) (Manifest, error) {
	_, m, err := readBackup(folder)
	if err != nil {
		return m, err
	}
	r := receiving{RestoreOptions: o, folder: folder, manifest: m}
	for _, f := range m.Files {
		if err := r.check(ctx, f); err != nil {
			return m, fmt.Errorf("the backup %q is damaged: %w", folder, err)
		}
	}
	if err := r.describe(); err != nil {
		return m, fmt.Errorf("the backup %q is damaged: %w", folder, err)
	}
	if err := r.verify(ctx); err != nil {
		return m, fmt.Errorf("the backup %q is damaged: %w", folder, err)
	}
	return m, nil
}

// check holds a file against its checksum.
func (r *receiving) check(ctx context.Context, f File) error {
	file, err := os.Open(filepath.Join(r.folder, f.Name))
	if err != nil {
		return err
	}
	defer file.Close()
	sum := sha256.New()
	switch n, err := io.Copy(sum, &told{file, ctx, r}); {
	case err != nil:
		return fmt.Errorf("%s: %w", f.Name, err)
	case n != f.Size:
		return fmt.Errorf("%s has %d bytes, it had %d", f.Name, n, f.Size)
	case hex.EncodeToString(sum.Sum(nil)) != f.SHA256:
		return fmt.Errorf("%s was changed: its checksum is another one", f.Name)
	}
	return nil
}

// RestoreBackup makes a data folder of a backup, as Restore does of an archive.
func RestoreBackup(ctx context.Context, dir, backup string, o RestoreOptions) (Manifest, error) {
	text, m, err := readBackup(backup)
	if err != nil {
		return m, err
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return m, err
	}
	if free, err := FreeSpace(dir); err != nil {
		return m, err
	} else if need := uint64(m.Bytes()) + o.Reserve; free < need {
		return m, fmt.Errorf("there is no room for the backup: %d bytes are free in %q, it takes %d with the reserve: make room on the disk", free, dir, need)
	}
	out, in := io.Pipe()
	done := make(chan struct{})
	go func() { // ends with the files, or when Restore closes the pipe
		defer close(done)
		in.CloseWithError(pack(in, backup, m, text))
	}()
	m, err = Restore(ctx, dir, out, o)
	out.Close()
	<-done
	return m, err
}

// pack writes the archive that a backup came from.
func pack(w io.Writer, backup string, m Manifest, text []byte) error {
	archive := tar.NewWriter(w)
	for _, f := range m.Files {
		if err := packFile(archive, filepath.Join(backup, f.Name), m, f); err != nil {
			return err
		}
	}
	if err := archive.WriteHeader(m.header(manifestName, int64(len(text)))); err != nil {
		return err
	}
	if _, err := archive.Write(text); err != nil {
		return err
	}
	return archive.Close()
}

func packFile(archive *tar.Writer, path string, m Manifest, f File) error {
	file, err := os.Open(path)
	if err != nil {
		return err
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return err
	}
	if info.Size() != f.Size {
		return fmt.Errorf("the backup is damaged: %s has %d bytes, it had %d", path, info.Size(), f.Size)
	}
	if err := archive.WriteHeader(m.header(f.Name, f.Size)); err != nil {
		return err
	}
	_, err = io.CopyN(archive, file, f.Size)
	return err
}
