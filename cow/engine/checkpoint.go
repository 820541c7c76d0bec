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
	"sync"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"cowrelay/cow"
	"cowrelay/cow/pebblestore"
	"cowrelay/cow/replay"
)

// checkpointFolder is where a copy of the store stands in the data folder while it is
// read. A start removes what a process left there that was killed.
const checkpointFolder = "checkpoint"

// ErrCheckpoint: another copy of the store is being read.
var ErrCheckpoint = errors.New("another copy of this store is being read: there is one at a time")

// checkpoints lets one copy be made at a time.
type checkpoints struct {
	dir string // the data folder
	fs  vfs.FS
	mu  sync.Mutex // held while there is a copy
}

func newCheckpoints(dir string, o Options) *checkpoints {
	c := &checkpoints{dir: dir, fs: o.FS}
	if c.fs == nil {
		c.fs = vfs.Default
	}
	return c
}

func (c *checkpoints) folder() string { return c.fs.PathJoin(c.dir, checkpointFolder) }

// Checkpoint is a copy of a store at one moment, made of hard links. Methods belong
// to one goroutine. It must be closed.
type Checkpoint struct {
	of       *checkpoints
	manifest Manifest
	bytes    int64
}

// Checkpoint makes a copy of the store, with all that was stored before the call. It
// takes a flush. While the copy is open the tables that it has stay on the disk. There
// is one at a time: else the error wraps ErrCheckpoint. ctx bounds the wait.
func (j *Journal) Checkpoint(ctx context.Context) (*Checkpoint, error) {
	c := j.copies
	if !c.mu.TryLock() {
		return nil, ErrCheckpoint
	}
	k := &Checkpoint{of: c, manifest: Manifest{Format: manifestFormat, Created: time.Now().UTC().Truncate(time.Second)}}
	err := errors.Join(j.applied(ctx), c.fs.RemoveAll(c.folder()))
	if err == nil {
		err = j.store.Checkpoint(ctx, c.folder())
	}
	if err == nil {
		err = k.look(j.options)
	}
	if err != nil {
		return nil, errors.Join(err, k.Close())
	}
	return k, nil
}

// applied returns when the store has all that was stored before the call.
func (j *Journal) applied(ctx context.Context) error {
	for last := j.stats().Last; j.stats().Applied < last; {
		select {
		case <-ctx.Done():
			return fmt.Errorf("no copy of the store was made: it is behind its log: %w", ctx.Err())
		case <-time.After(5 * time.Millisecond):
		}
	}
	return nil
}

// look reads what the copy holds.
func (k *Checkpoint) look(o Options) error {
	names, err := k.of.fs.List(k.of.folder())
	if err != nil {
		return err
	}
	for _, name := range names {
		info, err := k.of.fs.Stat(k.of.fs.PathJoin(k.of.folder(), name))
		if err != nil {
			return err
		}
		k.manifest.Files = append(k.manifest.Files, File{Name: name, Size: info.Size()})
		k.bytes += info.Size()
	}
	return describe(k.of.folder(), o, &k.manifest)
}

// describe fills in what a store that nobody has open says of itself.
func describe(folder string, o Options, m *Manifest) (err error) {
	store, err := pebblestore.OpenReader(folder, o.store())
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, store.Close()) }()
	view, err := store.View()
	if err != nil {
		return err
	}
	defer view.Close()
	of, err := view.Member()
	if err != nil {
		return err
	}
	m.Applied, m.Digest, m.Slots = view.Applied()-of.Base, of.Digest, 0
	if of.Log != (replay.LogID{}) {
		m.Log = hex.EncodeToString(of.Log[:])
	}
	return view.Slots(func(cow.SlotRecord) error { m.Slots++; return nil })
}

// Manifest says what the copy holds. Before WriteTo its files have no checksums.
func (k *Checkpoint) Manifest() Manifest { return k.manifest }

// Bytes is how long all files are together.
func (k *Checkpoint) Bytes() int64 { return k.bytes }

// WriteTo writes a tar archive of all files, with the manifest behind them. Restore
// reads it.
func (k *Checkpoint) WriteTo(w io.Writer) (int64, error) {
	count := &counted{w: w}
	archive := tar.NewWriter(count)
	for i := range k.manifest.Files {
		if err := k.writeFile(archive, &k.manifest.Files[i]); err != nil {
			return count.n, err
		}
	}
	text, err := json.Marshal(k.manifest)
	if err != nil {
		return count.n, err
	}
	if err := archive.WriteHeader(k.header(manifestName, int64(len(text)))); err != nil {
		return count.n, err
	}
	if _, err := archive.Write(text); err != nil {
		return count.n, err
	}
	return count.n, archive.Close()
}

func (k *Checkpoint) header(name string, size int64) *tar.Header {
	return &tar.Header{Name: name, Size: size, Mode: 0o600, ModTime: k.manifest.Created, Typeflag: tar.TypeReg, Format: tar.FormatPAX}
}

func (k *Checkpoint) writeFile(archive *tar.Writer, f *File) error {
	file, err := k.of.fs.Open(k.of.fs.PathJoin(k.of.folder(), f.Name), vfs.SequentialReadsOption)
	if err != nil {
		return err
	}
	defer file.Close()
	if err := archive.WriteHeader(k.header(f.Name, f.Size)); err != nil {
		return err
	}
	sum := sha256.New()
	if _, err := io.CopyN(io.MultiWriter(archive, sum), file, f.Size); err != nil {
		return fmt.Errorf("the file %s of the copy: %w", f.Name, err)
	}
	f.SHA256 = hex.EncodeToString(sum.Sum(nil))
	return nil
}

// Close removes the copy.
func (k *Checkpoint) Close() error {
	defer k.of.mu.Unlock()
	return k.of.fs.RemoveAll(k.of.folder())
}

// counted counts what is written.
type counted struct {
	w io.Writer
	n int64
}

func (c *counted) Write(p []byte) (int, error) {
	n, err := c.w.Write(p)
	c.n += int64(n)
	return n, err
}
