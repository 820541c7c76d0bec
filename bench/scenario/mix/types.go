package mix

import (
	"sync"
	"sync/atomic"
	"time"

	"cowrelay/bench/load"
	"cowrelay/bench/run"
	"cowrelay/bench/wire"
)

// What an agent does, at the speed of the clock. A burst goes over one connection
// to the slot of one other agent. One poll in anewEvery reads from the oldest
// event, like the first poll of a client that was started anew.
const (
	pollEvery  = 5 * time.Second
	anewEvery  = 12
	burstEvery = time.Minute // from one burst to the next
	burstPosts = 4           // in a burst
	postGap    = 200 * time.Millisecond
)

// Options are what a load beside the scenario changes in it.
type Options struct {
	// History is how many events a slot has from the start.
	History int
	// Posted is told of each post that was acknowledged: when it was due, and how
	// long it took from then. It is called by many goroutines at once. nil: nobody
	// is told.
	Posted func(due time.Time, took time.Duration)
}

// scenarioHistory is the History of the scenario.
const scenarioHistory = 20

// An agent polls, posts and reads a stream, each in a goroutine of its own. The
// fields of each part belong to its goroutine.
type agent struct {
	r    *runner
	i    int // its index
	slot load.Slot

	polling wire.Link
	req     []byte
	numAt   int    // the offset of the cursor's number in req
	anew    []byte // the request from the oldest event
	buf     []byte
	polled  []uint64 // the numbers of all events that polls got, in that order
	before  int      // how many of them before this round

	posting wire.Link

	stream   *wire.Conn
	frames   *wire.Frames
	streamed []uint64 // the numbers that the stream brought in this round
}

// A runner has the agents. Their cursors last over the rounds.
type runner struct {
	Options
	e      *run.Env
	s      *load.Server
	from   *wire.Sources // of all connections
	slots  []load.Slot
	agents []*agent
	next   uint64 // the first event number of the next round
}

// A round is what the agents of one round share.
type round struct {
	*runner
	base uint64 // the number of event 0
	// begin is the start of the warm-up, from that of the measured time, and end is
	// its end.
	begin, from, end time.Time
	// poll, burst and gap are pollEvery, burstEvery and postGap at the run's speed.
	poll, burst, gap time.Duration
	each             int // how many events one agent may post

	phase atomic.Int32
	ops   atomic.Int64 // how many were right in the measured time
	log   load.ErrorLog
	// sentNs is when the post of an event began, in nanoseconds since begin. It
	// is stored before the post and loaded at the delivery.
	sentNs []atomic.Int64
	// One goroutine writes to any one place of these: the event's poster to
	// acked, the poller of its reader to polled, and that agent's stream to
	// streamed. They are read when all have ended.
	acked, polled, streamed []bool
	streamedN, ackedN       atomic.Int64 // how many of them are true
	unsent                  atomic.Int64 // how many things were due and could not be done
	closed                  atomic.Bool  // we close the streams: their ends are no errors

	mu                               sync.Mutex // guards the histograms
	polls, anew, posts, deliver, lag load.Histogram
}
