// Package reclaim gives back the space on disk of what was deleted from a Pebble store.
//
// Pebble frees space when it compacts, and it compacts when tables pile up. A store to
// which little is written does not get there: deletes stay in the memtable, which is
// flushed when it is full, and then in the upper levels, which Pebble leaves alone while
// they are small, however much they delete of the levels below. So what had left could
// stay on the disk for ever.
//
// A Reclaimer flushes deletes that have waited for a while. When the flushed deletes
// cover a good part of the store, and Pebble's own compactions don't take it up, it
// compacts the store, in small pieces with rests between them. So what it rewrites is in
// proportion to what it frees, and writers keep at least half of the disk.
package reclaim

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
	"runtime/pprof"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cockroachdb/pebble/v2"
)

const (
	// DefaultEvery is the time between two looks, which is also how long a delete may
	// wait for its flush: up to twice as long.
	DefaultEvery = 10 * time.Second
	// least is the garbage, in bytes, below which nothing is compacted, and part is the
	// part of all tables that it must be.
	least = 8 << 20
	part  = 4
	// pieceBytes is about how many bytes of tables one compaction takes. maxPieces is
	// how many there are at most.
	pieceBytes = 64 << 20
	maxPieces  = 256
	// longestRest bounds the rest behind a piece, which is as long as the piece took.
	longestRest = 10 * time.Second
	// looks is how often it looks for garbage behind a flush of deletes or a start.
	// Pebble estimates the garbage of a new table some time after its flush, and does
	// not say while it is at that.
	looks = 6
)

// Options of Start.
type Options struct {
	// First and End bound the keys that are compacted. The bytes behind First's
	// length are spread evenly over the keys: they are cut there into pieces.
	First, End []byte
	// Every is the time between two looks. Default DefaultEvery.
	Every time.Duration
	// Room reports whether the disk has room for the tables of a piece while the old
	// ones are still there. Default: yes.
	Room func(bytes uint64) bool
	// Logger gets what went wrong, and a line for each time that space was taken back.
	Logger *slog.Logger
}

// Stats are the counts of a Reclaimer, since Start.
type Stats struct {
	Flushes     uint64 // that it began
	Compactions uint64 // of pieces
	Held        uint64 // looks at which it found garbage and no room to compact
}

// Reclaimer gives space back. Start makes it and Close ends it. It has one goroutine.
type Reclaimer struct {
	db      *pebble.DB
	o       Options
	noted   atomic.Bool // there are deletes that no flush has been begun for
	stop    context.Context
	end     context.CancelFunc
	wg      sync.WaitGroup
	flushes atomic.Uint64
	pieces  atomic.Uint64
	held    atomic.Uint64

	// Of the goroutine.
	looks int    // so many more looks without garbage end the watch
	last  uint64 // garbage at the last look
}

// Start begins to look after db, which must stay open until Close returns.
func Start(db *pebble.DB, o Options) *Reclaimer {
	if o.Every <= 0 {
		o.Every = DefaultEvery
	}
	if o.Room == nil {
		o.Room = func(uint64) bool { return true }
	}
	// What was deleted before the start may be on the disk yet.
	r := &Reclaimer{db: db, o: o, looks: looks}
	r.stop, r.end = context.WithCancel(context.Background())
	r.wg.Go(func() {
		pprof.Do(r.stop, pprof.Labels("relay", "reclaim"), func(context.Context) { r.run() })
	})
	return r
}

// Deleted notes that a batch with deletes was applied. It costs a store.
func (r *Reclaimer) Deleted() { r.noted.Store(true) }

// Stats returns the counts.
func (r *Reclaimer) Stats() Stats {
	return Stats{Flushes: r.flushes.Load(), Compactions: r.pieces.Load(), Held: r.held.Load()}
}

// Close ends the Reclaimer. A compaction that Pebble has begun goes on until it ends by
// itself: Pebble's own Close waits for it.
func (r *Reclaimer) Close() {
	r.end()
	r.wg.Wait()
}

// Garbage returns about how many bytes of tables were deleted and are not freed yet.
func Garbage(m *pebble.Metrics) uint64 {
	return m.Table.Garbage.PointDeletionsBytesEstimate + m.Table.Garbage.RangeDeletionsBytesEstimate
}

func (r *Reclaimer) run() {
	tick := time.NewTicker(r.o.Every)
	defer tick.Stop()
	for {
		select {
		case <-r.stop.Done():
			return
		case <-tick.C:
		}
		if err := r.look(); err != nil && r.stop.Err() == nil {
			r.o.Logger.Warn("space on disk could not be taken back: it is tried again", "error", err)
		}
	}
}

// look flushes what waits, and compacts if that is due.
func (r *Reclaimer) look() (err error) {
	defer notPanic(&err)
	if r.noted.Swap(false) {
		flushed, err := r.db.AsyncFlush()
		if err != nil {
			r.noted.Store(true)
			return fmt.Errorf("cannot begin a flush: %w", err)
		}
		r.flushes.Add(1)
		r.looks = looks
		// Before it is over, the deletes are not in the figures below.
		select {
		case <-flushed:
		case <-r.stop.Done():
			return nil
		}
	}
	if r.looks == 0 {
		return nil
	}
	m := r.db.Metrics()
	if m.Table.PendingStatsCollectionCount > 0 || !m.Table.InitialStatsCollectionComplete || m.Compact.NumInProgress > 0 {
		return nil // Pebble is still at it
	}
	total := m.Total()
	garbage, tables := Garbage(m), uint64(total.TablesSize)
	was := r.last
	r.last = garbage
	switch {
	case garbage < least || garbage < tables/part:
		r.looks-- // then it waits for more deletes
		return nil
	case garbage < was:
		return nil // Pebble's own compactions free it
	}
	began := time.Now()
	whole, err := r.compact(tables)
	if err != nil || !whole {
		return err
	}
	r.looks, r.last = 0, 0
	total = r.db.Metrics().Total()
	after := uint64(total.TablesSize)
	r.o.Logger.Info("took back space on disk", "bytes", tables-min(after, tables), "left", after, "took", time.Since(began).Round(time.Millisecond))
	return nil
}

// compact compacts all pieces, one after the other. It reports whether it got through.
func (r *Reclaimer) compact(tables uint64) (whole bool, err error) {
	n := int(min(tables/pieceBytes+1, maxPieces))
	each := tables / uint64(n)
	for i := range n {
		if !r.o.Room(2 * each) {
			r.held.Add(1)
			return false, nil
		}
		from, to := r.piece(i, n)
		began := time.Now()
		if err := r.db.Compact(r.stop, from, to, false); err != nil {
			if errors.Is(err, context.Canceled) {
				return false, nil
			}
			return false, fmt.Errorf("cannot compact piece %d of %d: %w", i+1, n, err)
		}
		r.pieces.Add(1)
		if i == n-1 {
			break
		}
		select {
		case <-r.stop.Done():
			return false, nil
		case <-time.After(min(time.Since(began), longestRest)):
		}
	}
	return true, nil
}

// piece returns the bounds of piece i of n.
func (r *Reclaimer) piece(i, n int) (from, to []byte) {
	from, to = r.o.First, r.o.End
	cut := func(i int) []byte { return append(append([]byte(nil), r.o.First...), byte(i*256/n)) }
	if i > 0 {
		from = cut(i)
	}
	if i < n-1 {
		to = cut(i + 1)
	}
	return from, to
}

// notPanic makes an error of a panic of Pebble's. It must be deferred.
func notPanic(err *error) {
	if p := recover(); p != nil {
		*err = errors.Join(*err, fmt.Errorf("pebble panicked: %v\n%s", p, debug.Stack()))
	}
}
