package fasthttp

import (
	"context"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"cowrelay/cow"
	"cowrelay/cow/share"
	"cowrelay/fasthttp/accept"
	"cowrelay/fasthttp/coding"
	"cowrelay/fasthttp/conn"
	"cowrelay/fasthttp/limit"
	"cowrelay/fasthttp/poll"
	"cowrelay/fasthttp/stats"
	"cowrelay/fasthttp/stream"
	"cowrelay/fasthttp/web"

	"github.com/valyala/fasthttp"
)

// Relay serves one store over HTTP. NewRelay makes it; Serve may be called for
// several listeners; Drain ends it. It must not be copied.
//
//	NewRelay ──► Serve ──► ready ──► Drain or HandOver ──► draining ──► ended
//
// The fields are set by NewRelay and never again, but for those that are atomic or
// under a mutex.
type Relay struct {
	opts    Options
	store   *cow.Store
	started time.Time
	manual  map[string]*web.File // by path; never changes
	server  *fasthttp.Server
	// live is what SetLive changed last. Publish: pairs with the Loads along
	// requests. What was published never changes.
	live atomic.Pointer[Live]

	// Whose connections there are, and what they are used for.
	places  *accept.Places
	conns   *conn.Set
	streams *stream.Set
	polls   *poll.Set
	coder   *coding.Coder // compresses pages

	// Whether other relays write to the store's journal too; and the requests that wait
	// for what those have acknowledged. staying is done when these are to end.
	shared    bool
	doubts    *share.Ledger[accept.Client]
	doubtEnds [doubtEnds]atomic.Uint64
	staying   context.Context
	leave     context.CancelFunc

	// What is counted along requests and commits, and the history of it.
	requests *stats.Requests
	commits  *stats.Commits
	batches  *stats.Batches
	refusals *stats.Refusals
	pulled   atomic.Uint64    // events in replies to pulls
	lag      *stats.Histogram // from an event being visible to its first write to a stream
	recorder *stats.Recorder
	panics   atomic.Uint64
	seen     atomic.Uint64    // requests that a sample of the access log is taken of
	missing  [8]atomic.Uint64 // requests whose token lacked a right, by the place of its bit

	// sieve holds a token for each long body of many events that is checked now. That
	// takes milliseconds of CPU time, so some CPUs are left to all others. Nobody holds
	// a token while waiting for anything, and whoever waits for one has booked the body.
	sieve chan struct{}

	// labels are the pprof labels of a request, by operation.
	labels []context.Context

	lnMu      sync.Mutex
	listeners []net.Listener // guarded by lnMu

	// Set once each, by Serve and by Drain; pair with the Loads of Ready and of
	// handlers.
	serving  atomic.Bool
	draining atomic.Bool
	handing  atomic.Bool   // it drains so that another program takes over: nobody is sent away
	drain    chan struct{} // closed when long polls and streams are to end

	operators   atomic.Pointer[stats.Operators] // nil: there is no listener for them
	journalSeen atomic.Pointer[stats.Journal]   // the last figures; see journal
}

// Ready says whether the relay serves and does not send clients away.
func (r *Relay) Ready() bool { return r.serving.Load() && !r.leaving() }

// leaving says whether the relay drains and nobody takes over.
func (r *Relay) leaving() bool { return r.draining.Load() && !r.handing.Load() }

// SetLive changes what may change. A zero field takes its default. Streams beyond a
// lower limit go on, and new ones are refused until there is room. Long polls beyond
// it go on, too, and give way to new ones.
func (r *Relay) SetLive(l Live) {
	l.setDefaults()
	var before *limit.Limiter
	if old := r.live.Load(); old != nil {
		before = old.limiter
	}
	l.limiter = limit.New(*l.RateLimits, before)
	r.streams.SetMost(l.MaxStreams)
	r.polls.SetMost(l.MaxWaiters)
	r.live.Store(&l)
}
