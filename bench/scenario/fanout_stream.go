package scenario

import (
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"cowrelay/bench/load"
	"cowrelay/bench/wire"
)

// A fanoutRound is what the streams and the posters of one round share.
type fanoutRound struct {
	t     *wire.Template
	base  uint64    // the number of event 0
	began time.Time // what sentNs and nowNs count from
	// order holds number+1 of the event at each position, as the first stream
	// to get there saw it. All other streams must see the same.
	order []atomic.Uint64
	// sentNs is when the post of each event began, in nanoseconds since began.
	// It is stored before the post and loaded at the deliveries.
	sentNs []atomic.Int64
	taken  atomic.Int64 // how many numbers posters took
	acked  atomic.Int64 // how many posts were acknowledged
	closed atomic.Bool  // we close the streams: their ends are no errors
	log    load.ErrorLog

	mu   sync.Mutex // guards hist
	hist load.Histogram
}

// A StreamReader is one stream of fanout.
type StreamReader struct {
	f    *fanoutRound
	feed Feed
	// nowNs is the time of the last read, in nanoseconds since f.began. Frames
	// that came with one read were delivered together. It belongs to the
	// goroutine that reads.
	nowNs int64
	_     [64]byte
	// n is how many events have come. The stream's goroutine writes it, and the
	// round reads it.
	n atomic.Int64
	_ [64]byte
}

// A Feed brings the deliveries of one stream.
type Feed interface {
	// Run gives each delivery to CheckEvent, or to check, of its StreamReader.
	// It returns when the stream ends or a delivery is wrong.
	Run() error
	// Close ends Run. Another goroutine calls it.
	Close()
}

// lagEvery says that one delivery in so many is timed.
const lagEvery = 64

// run reads until the stream ends or a frame is wrong.
func (st *StreamReader) run() {
	if err := st.feed.Run(); err != nil && !st.f.closed.Load() {
		st.f.log.Add(fmt.Errorf("a stream ended: %w", err))
	}
}

// Arrived notes the time: what is checked next has just come.
func (st *StreamReader) Arrived() { st.nowNs = int64(time.Since(st.f.began)) }

// CheckEvent is check for an event without an id beside it.
func (st *StreamReader) CheckEvent(event []byte) error { return st.check(st.f.t.IDOf(event), event) }

// check checks one delivery: it is an event of this round, and all other
// streams have it at the same place. All bytes are compared for one in a
// thousand.
func (st *StreamReader) check(id, data []byte) error {
	f, pos := st.f, st.n.Load()
	num, ok := f.t.NumberOfID(id)
	i := num - f.base
	if !ok || i >= uint64(len(f.order)) || pos >= int64(len(f.order)) {
		return fmt.Errorf("a stream carries id %.80q, which was not posted in this round", id)
	}
	at := &f.order[pos]
	if v := at.Load(); v == 0 && !at.CompareAndSwap(0, num+1) || v != 0 && v != num+1 {
		if at.Load() != num+1 {
			return fmt.Errorf("position %d: event %d at one stream, event %d at another", pos, at.Load()-1-f.base, i)
		}
	}
	if pos%1000 == 0 {
		if n, err := f.t.Number(data); err != nil || n != num {
			return fmt.Errorf("event %d came with other bytes than were posted", i)
		}
	}
	if pos%lagEvery == 0 {
		lag := time.Duration(st.nowNs - f.sentNs[i].Load())
		f.mu.Lock()
		f.hist.Record(lag)
		f.mu.Unlock()
	}
	st.n.Store(pos + 1)
	return nil
}
