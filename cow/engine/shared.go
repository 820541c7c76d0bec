package engine

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"cowrelay/cow"
	"cowrelay/cow/pebblestore"
	"cowrelay/cow/replay"
)

// Shared is the journal of a data folder whose log many relays share. OpenShared makes
// it. It must not be copied.
type Shared struct {
	*Journal
	shared *replay.SharedJournal
}

var (
	_ cow.Journal = (*Shared)(nil)
	_ cow.Records = (*Shared)(nil)
	_ cow.Shared  = (*Shared)(nil)
)

// OpenShared opens the data folder dir of a relay that shares a log with others, and
// brings it up to the log's end. Where there is nothing it makes the folder. Close
// closes the log too; after an error the caller has to.
//
// A folder that can't be joined to the log is left as it is, an empty one empty.
// JoinError says what an operator can do.
func OpenShared(ctx context.Context, dir string, log replay.SharedLog, opts Options) (*Shared, error) {
	opts.ensureDefaults()
	store, err := openMember(dir, opts)
	if err != nil {
		return nil, err
	}
	j := &Journal{store: store, options: opts, copies: newCheckpoints(dir, opts)}
	empty, err := blank(store)
	if err != nil {
		return nil, errors.Join(err, store.Close())
	}
	began := time.Now()
	o := opts.replay()
	// What other relays did waits for this one's readers in a part of the same memory.
	o.FeedBytes = min(o.Backlog/4, replay.DefaultFeedBytes)
	o.Backlog -= o.FeedBytes
	o.PendingBytes = opts.Pending
	j.options.Backlog = o.Backlog
	shared, err := replay.OpenShared(ctx, log, store, o)
	if err != nil {
		err = errors.Join(err, store.Close())
		if empty && errors.Is(err, replay.ErrTrimmed) && opts.FS == nil {
			err = errors.Join(err, wipe(dir))
		}
		return nil, joinError(dir, err)
	}
	if err := dropLog(dir, opts); err != nil {
		return nil, errors.Join(err, shared.Close())
	}
	j.parts, j.recovery = shared, time.Since(began)
	j.stats = func() replay.Stats { return shared.Stats().Stats }
	if n := shared.Stats().Replayed; n > 0 {
		opts.Logger.Info("the rest of the shared log was applied to the store", "entries", n, "took", j.recovery.Round(time.Millisecond).String())
	}
	return &Shared{j, shared}, nil
}

// blank says whether a store was just made: it holds nothing, and belongs to no log.
func blank(store *pebblestore.Store) (bool, error) {
	v, err := store.View()
	if err != nil {
		return false, err
	}
	defer v.Close()
	m, err := v.Member()
	return store.New() && v.Applied() == 0 && m.Log == (replay.LogID{}), err
}

// wipe empties a folder that holds a blank store, so that a copy of another relay's can
// go there.
func wipe(dir string) error {
	list, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, f := range list {
		if f.Name() != "lost+found" {
			err = errors.Join(err, os.RemoveAll(filepath.Join(dir, f.Name())))
		}
	}
	return err
}

// joinError adds what an operator can do.
func joinError(dir string, err error) error {
	do := ""
	switch {
	case errors.Is(err, replay.ErrTrimmed):
		do = "the shared log does not reach back as far as this relay needs: empty the data folder, if it holds anything, and start with --join and the URL of another relay, which copies that one's store"
	case errors.Is(err, replay.ErrForeignData):
		do = "either this folder or what the log has can be the fleet's data, not both: start with an empty folder to join the fleet, or with another --nats-stream to begin one with this folder"
	case errors.Is(err, replay.ErrOtherLog):
		do = "name the stream that this folder belongs to (--nats-url, --nats-stream); or start with an empty folder to join this one"
	case errors.Is(err, replay.ErrLost):
		do = "the NATS servers have less than they had acknowledged: do not go on before you know why; docs/fleet.md says how a fleet is begun anew from one folder"
	}
	if do == "" {
		return err
	}
	return &JoinError{dir, err, do}
}

// JoinError says why a data folder can't be joined to a shared log.
type JoinError struct {
	Dir string
	Err error
	Do  string // what an operator can do
}

func (e *JoinError) Error() string {
	return fmt.Sprintf("data folder %q can't be joined to the shared log: %v: %s", e.Dir, e.Err, e.Do)
}

func (e *JoinError) Unwrap() error { return e.Err }

// Barrier implements cow.Shared.
func (s *Shared) Barrier(ctx context.Context) error { return s.shared.Barrier(ctx) }

// Health implements cow.Shared.
func (s *Shared) Health() cow.Health { return s.shared.Health() }

// Allowed says whether a group with this op may be written: whether the fleet writes its
// format.
func (s *Shared) Allowed(op cow.Op) bool { return s.shared.Allowed(op) }

// Format is the newest format of entries that the relays of the log may write.
func (s *Shared) Format() int { return s.shared.Format() }

// Reads is the newest format of entries that this program reads.
func (s *Shared) Reads() int { return replay.Reads() }

// Raise lets the relays of the log write a format, as replay.SharedJournal.Raise does.
func (s *Shared) Raise(to int) error { return s.shared.Raise(to) }

// Stop ends all waits for the log, as replay.SharedJournal.Stop does.
func (s *Shared) Stop() { s.shared.Stop() }

// Durable is the newest entry of the log that the store keeps over a crash.
func (s *Shared) Durable() uint64 { return s.shared.Durable() }

// Flush has the store keep over a crash what it has applied.
func (s *Shared) Flush() error { return s.store.Flush() }

// SharedStats is what metrics show of the log.
func (s *Shared) SharedStats() replay.SharedStats { return s.shared.Stats() }

// LogOf is the shared log that a data folder belongs to, zero for none. A folder that a
// relay uses can't be asked.
func LogOf(dir string, opts Options) (id [16]byte, err error) {
	opts.ensureDefaults()
	if err := finishRestore(dir); err != nil {
		return id, err
	}
	if empty, err := Empty(dir); err != nil || empty {
		return id, nil // who opens a folder that can't be read says why
	}
	store, err := pebblestore.OpenReader(dir, opts.store())
	if err != nil {
		return id, err
	}
	m, err := member(store)
	return m.Log, errors.Join(err, store.Close())
}

// openStore opens the store in a folder, behind a restore or a copy that a process left
// that was killed.
func openStore(dir string, opts Options) (*pebblestore.Store, error) {
	if opts.FS == nil {
		// A folder that is none, or that can't be used, is the store's to say.
		if err := finishRestore(dir); err != nil && !errors.Is(err, syscall.ENOTDIR) {
			return nil, fmt.Errorf("data folder %q: a copy that was put there could not be moved to its place: %w", dir, err)
		}
	}
	store, err := pebblestore.Open(dir, opts.store())
	if err != nil {
		return nil, err
	}
	copies := newCheckpoints(dir, opts)
	if err := copies.fs.RemoveAll(copies.folder()); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, errors.Join(err, store.Close())
	}
	return store, nil
}

// openMember opens the store of a folder for a shared log. A folder that had a log of
// its own is brought up to the end of that first: the fleet begins with all of it.
func openMember(dir string, opts Options) (*pebblestore.Store, error) {
	store, err := openStore(dir, opts)
	if err != nil {
		return nil, err
	}
	m, err := member(store)
	if err == nil && (m.Log != (replay.LogID{}) || store.New()) {
		return store, nil
	}
	if err = errors.Join(err, store.Close()); err != nil {
		return nil, err
	}
	own, err := Open(dir, opts)
	if err != nil {
		return nil, err
	}
	last := own.Stats().Last
	if err := own.Close(); err != nil {
		return nil, err
	}
	if store, err = openStore(dir, opts); err != nil {
		return nil, err
	}
	if has := store.Durable(); has < last {
		err = fmt.Errorf("data folder %q: its store has entry %d, its log ends with entry %d: make room on the disk, or look why it is slow, and start again", dir, has, last)
		return nil, errors.Join(err, store.Close())
	}
	return store, nil
}

// dropLog removes the log that a folder had before it joined a shared one: the store
// has all of it.
func dropLog(dir string, opts Options) error {
	fsys := newCheckpoints(dir, opts).fs
	err := fsys.RemoveAll(fsys.PathJoin(dir, logFolder))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// leaveFleet makes a store that belonged to a shared log one that begins a log of its
// own, if the options say so.
func leaveFleet(dir string, store *pebblestore.Store, opts Options) error {
	m, err := member(store)
	if err != nil || m.Log == (replay.LogID{}) {
		return err
	}
	if !opts.LeaveFleet {
		return fmt.Errorf("data folder %q belongs to a fleet: start with --journal jetstream; or with --leave-fleet, then it goes on alone and can't come back to the fleet but empty: %w", dir, replay.ErrShared)
	}
	// A log from before the folder joined knows nothing of what came since.
	if err := dropLog(dir, opts); err != nil {
		return err
	}
	if err := store.LeaveLog(); err != nil {
		return err
	}
	opts.Logger.Warn("the data folder has left its fleet: it has a log of its own from here on", "data_dir", dir, "log", fmt.Sprintf("%x", m.Log))
	return nil
}

// member says to which shared log a store belongs.
func member(store *pebblestore.Store) (replay.Member, error) {
	v, err := store.View()
	if err != nil {
		return replay.Member{}, err
	}
	defer v.Close()
	return v.Member()
}
