package pebblestore

import (
	"errors"
	"io"
	"sync"
	"sync/atomic"

	"github.com/cockroachdb/pebble/v2"

	"cowrelay/cow"
	"cowrelay/cow/pebblestore/reclaim"
	"cowrelay/cow/replay"
)

// Store is a replay.Store on Pebble. Open and OpenReader make it. It must not be
// copied. Methods may be called concurrently, with two exceptions: one Apply runs at
// a time, and Close runs beside no other call.
type Store struct {
	dir      string
	opts     Options
	readOnly bool
	db       *pebble.DB
	lock     *pebble.Lock

	onDisk bool      // the folder is on the real disk
	folder io.Closer // the lock of the folder itself, or nil
	torn   *TornTail // the end of a log of format 1 that Open could not read, or nil
	isNew  bool      // no log was made for this store when it was opened

	applying applying           // owned by the running Apply
	reclaim  *reclaim.Reclaimer // nil in a store that is open for reading
	trims    bool               // the store has the format formatTrimmed; owned by the running Apply

	flushedMu sync.Mutex
	durable   uint64 // what Durable returned last; guarded by flushedMu
	// flushed: a flush has ended since durable was read. FlushEnd sets it; Durable
	// clears it before it reads.
	flushed atomic.Bool

	// Set where there are few descriptors, else nil.
	loading chan struct{} // holds one while a load runs
	readers *readers

	running atomic.Bool // Open has returned: set there, read by folder.Sync
	dead    atomic.Bool // Fatal was called: set by die, read by Apply
	oldLogs oldLogs
	figures figures
	stats
}

var _ replay.MemberStore = (*Store)(nil)

// New reports whether no log was made for this store yet: it was made just now, or
// brought up from format 1, which had a log of its own. Then a new log begins behind
// what the store has applied. When the log is made, LogMade says so. A store that is
// not new and has no log has lost it.
func (s *Store) New() bool { return s.isNew }

// LogMade makes durable that there is a log for this store. Nothing may be
// acknowledged before.
func (s *Store) LogMade() error {
	if !s.isNew {
		return nil
	}
	if err := s.set(func(b *pebble.Batch) { must(b.Set(metaLogMade, []byte{1}, nil)) }); err != nil {
		return err
	}
	s.isNew = false
	return nil
}

// TornTail returns the end of the log of a store of format 1 that could not be read
// when the store was opened, or nil.
func (s *Store) TornTail() *TornTail { return s.torn }

// Durable implements replay.Store. It costs a read behind a flush, and nothing else.
func (s *Store) Durable() uint64 {
	s.flushedMu.Lock()
	defer s.flushedMu.Unlock()
	if s.flushed.Swap(false) {
		seq, err := s.readDurable()
		if err != nil { // the store goes on: only the log grows
			s.flushed.Store(true)
			s.failure(err)
		} else {
			s.durable = seq
		}
	}
	return s.durable
}

// readDurable reads the number of the newest applied entry as a crash would leave
// it: from tables alone.
func (s *Store) readDurable() (uint64, error) {
	it, err := s.db.NewIter(&pebble.IterOptions{LowerBound: metaApplied, UpperBound: prefixEnd(metaApplied), OnlyReadGuaranteedDurable: true})
	if err != nil {
		return 0, s.corrupt(err, "the number of the applied entry can't be read")
	}
	defer it.Close()
	if !it.First() {
		if err := it.Error(); err != nil {
			return 0, s.corrupt(err, "the number of the applied entry can't be read")
		}
		return 0, nil
	}
	v, err := it.ValueAndErr()
	if err != nil {
		return 0, s.corrupt(err, "the number of the applied entry can't be read")
	}
	seq, _, err := decodeApplied(v)
	if err != nil {
		return 0, s.corrupt(err, "the number of the applied entry")
	}
	return seq, nil
}

// point is where a store stands.
type point struct {
	format uint64
	seq    uint64
	totals cow.Totals
}

// readPoint reads it. A store without a format is a zero point. One of a newer format
// is an error.
func (s *Store) readPoint(r pebble.Reader) (p point, err error) {
	if p.format, err = s.meta(r, metaFormat); err != nil || p.format == 0 {
		return p, err
	}
	if p.format > formatTrimmed {
		return p, s.newerFormat(p.format)
	}
	if p.format == 1 {
		return s.readPoint1(r)
	}
	found, err := s.read(r, metaApplied, func(v []byte) error {
		p.seq, p.totals, err = decodeApplied(v)
		return err
	})
	if err == nil && !found {
		err = s.corrupt(nil, "the key %s is missing", metaApplied)
	}
	return p, err
}

// meta reads one of the store's own numbers, 0 if it is not there.
func (s *Store) meta(r pebble.Reader, key []byte) (x uint64, err error) {
	found, err := s.read(r, key, func(v []byte) (err error) {
		x, err = decodeMeta(v)
		return err
	})
	if err == nil && found && x == 0 {
		err = s.corrupt(errDecode, "the key %s", key)
	}
	return x, err
}

// read decodes the value of one of the store's own keys, if it is there.
func (s *Store) read(r pebble.Reader, key []byte, decode func([]byte) error) (found bool, err error) {
	v, closer, err := r.Get(key)
	if errors.Is(err, pebble.ErrNotFound) {
		return false, nil
	}
	if err != nil {
		return false, s.corrupt(err, "the key %s can't be read", key)
	}
	defer closer.Close()
	if err := decode(v); err != nil {
		return false, s.corrupt(err, "the key %s", key)
	}
	return true, nil
}
