package engine

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"cowrelay/cow/filelog"
	"cowrelay/cow/pebblestore"
	"cowrelay/cow/replay"
)

// ErrInUse is wrapped by OpenReader's error when a relay has the folder.
var ErrInUse = pebblestore.ErrInUse

// Reader reads a data folder that no relay uses: the store, and what the log has
// beyond it. It writes nothing, so it can read a copy on a read-only disk. What the
// store lacks is in memory. Until Close it keeps relays out, but not other readers.
// Methods may be called concurrently, except Close with any other.
type Reader struct {
	*replay.Reader
	store *pebblestore.Store
	log   *filelog.Reader // nil: the store never had a log, or it is missing
	lost  error
}

// OpenReader opens the data folder dir. Of the options it takes FS, CacheBytes and
// Logger. It opens a folder with a damaged log too: see Lost. The error is one for
// which IsCorrupt holds if the store is damaged, and wraps ErrInUse if a relay has the
// folder.
func OpenReader(dir string, opts Options) (*Reader, error) {
	opts.ensureDefaults()
	if _, err := os.Stat(filepath.Join(dir, arrived)); err == nil && opts.FS == nil {
		return nil, fmt.Errorf("data folder %q: a copy that was put there has not been moved to its place: start the relay once", dir)
	}
	store, err := pebblestore.OpenReader(dir, opts.store())
	if err != nil {
		return nil, err
	}
	r := &Reader{store: store}
	if err := r.open(filepath.Join(dir, logFolder), opts.log()); err != nil {
		return nil, errors.Join(err, r.closeParts())
	}
	return r, nil
}

// open opens the log. If that lacks something that the store needs, it opens what is
// there.
func (r *Reader) open(folder string, o filelog.Options) (err error) {
	m, err := member(r.store)
	if err != nil {
		return err
	}
	// A relay of a fleet has no log in its folder. What its store lacks, the fleet has.
	if r.store.New() || m.Log != (replay.LogID{}) {
		return r.join(nothing(r.store.Durable()))
	}
	o.Base = r.store.Durable()
	if r.log, err = filelog.OpenReader(folder, o); errors.Is(err, filelog.ErrMissing) {
		r.lost = err
		return r.join(nothing(o.Base))
	}
	if err != nil {
		return err
	}
	if err = r.join(r.log); !errors.Is(err, filelog.ErrDamaged) {
		return err
	}
	r.lost = err
	o.AcceptLoss = true
	if err = r.log.Close(); err != nil {
		return err
	}
	if r.log, err = filelog.OpenReader(folder, o); err != nil {
		return err
	}
	return r.join(r.log)
}

func (r *Reader) join(log replay.LogReader) (err error) {
	r.Reader, err = replay.OpenReader(log, r.store, nil)
	return err
}

func (r *Reader) closeParts() error {
	err := r.store.Close()
	if r.log != nil {
		err = errors.Join(err, r.log.Close())
	}
	return err
}

// Lost says what of the log is damaged or missing that the store does not have, and
// what an operator can do. The Reader shows what was before that. nil: nothing is.
func (r *Reader) Lost() error { return r.lost }

// LogState is how far the log of a stopped relay reaches.
type LogState struct {
	Last    uint64 // newest entry that can be read
	Applied uint64 // newest entry that the store has
	Bytes   int64  // of all files
	Torn    int64  // bytes at its end that a start drops: the rest of a write that was cut off
}

// Log returns how far the log reaches, or nil if there is none.
func (r *Reader) Log() *LogState {
	if r.log == nil {
		return nil
	}
	s := r.Reader.Stats()
	return &LogState{Last: s.Last, Applied: s.Applied, Bytes: r.log.Bytes(), Torn: r.log.Torn()}
}

// TornTail returns the end of the log of a folder of format 1 that could not be read,
// or nil.
func (r *Reader) TornTail() *pebblestore.TornTail { return r.store.TornTail() }

// nothing is the log of a store that never had one: its number is that of the newest
// entry that the store has.
type nothing uint64

var errNothing = errors.New("BUG: there is no log")

func (n nothing) Read(uint64, func(uint64, []byte) error) error { return errNothing }
func (n nothing) Last() uint64                                  { return uint64(n) }
func (n nothing) Close() error                                  { return nil }
