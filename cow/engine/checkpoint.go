package engine

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
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
	mu  sync.Mutex // held while there is a copy, and guards sums
	// sums are the checksums of the tables that the newest copy had. An open store
	// never gives the number of a table to another one, so they are read once.
	sums map[string]File
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

// Close removes the copy.
func (k *Checkpoint) Close() error {
	defer k.of.mu.Unlock()
	return k.of.fs.RemoveAll(k.of.folder())
}

// Stopped is the data folder of a relay that does not run, opened to be copied. Call
// Checkpoint and Close, nothing else.
type Stopped struct {
	*Journal
	close func() error
}

// OpenStopped opens the data folder of a stopped relay. What its log has beyond its
// store is applied, as at a start; so it writes to the folder. The error wraps ErrInUse
// if a relay has the folder.
func OpenStopped(dir string, opts Options) (*Stopped, error) {
	if empty, err := Empty(dir); err != nil {
		return nil, err
	} else if empty {
		return nil, fmt.Errorf("there is no store in %q", dir)
	}
	log, err := LogOf(dir, opts)
	if err != nil {
		return nil, err
	}
	if log == ([16]byte{}) {
		j, err := Open(dir, opts)
		if err != nil {
			return nil, err
		}
		return &Stopped{j, j.Close}, nil
	}
	// What the store of a fleet's relay lacks, the fleet has.
	opts.ensureDefaults()
	store, err := openStore(dir, opts)
	if err != nil {
		return nil, err
	}
	j := &Journal{store: store, options: opts, copies: newCheckpoints(dir, opts), stats: func() replay.Stats { return replay.Stats{} }}
	return &Stopped{j, store.Close}, nil
}

// Close closes it.
func (s *Stopped) Close() error { return s.close() }
