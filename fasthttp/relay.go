package fasthttp

import (
	"context"
	"log/slog"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"cowrelay/cow"
	"cowrelay/cow/event"
	"cowrelay/fasthttp/accept"
	"cowrelay/fasthttp/conn"
	"cowrelay/fasthttp/poll"
	"cowrelay/fasthttp/redact"
	"cowrelay/fasthttp/refusal"
	"cowrelay/fasthttp/stats"
	"cowrelay/fasthttp/stream"

	"github.com/valyala/fasthttp"
)

// Options are a relay's limits and habits. A zero field takes its default.
type Options struct {
	Version string // as /stats.json tells it ("dev")

	HeaderTimeout time.Duration // from a connection's or request's first byte to the end of its header (10 s)
	BodyTimeout   time.Duration // from there to the end of the body (30 s)
	WriteTimeout  time.Duration // for a whole reply (60 s)
	IdleTimeout   time.Duration // between two requests of a connection (75 s)

	MaxConns int // connections open at once, streams included (60,000)

	RequestBytes int64 // memory of requests that are arriving (32 MiB)

	Heartbeat          time.Duration // between two comment lines of an idle stream (12 s)
	StreamWriteTimeout time.Duration // for one piece of a stream or a long reply, at most 64 KiB (10 s)
	StreamSendBuffer   int           // bytes of kernel send buffer a stream (64 KiB)

	// Bytes that the kernel buffers of what a connection is sent (512 KiB), of
	// them those that it may not send yet (192 KiB, on Linux), and of what it
	// sends (128 KiB); negative: as the system does. It takes twice the first and
	// the last, its own costs included. So what 600 clients that read nothing
	// can fill is 120 MiB, and what they send unread 150 MiB.
	SendBuffer, UnsentBuffer, ReceiveBuffer int
	StreamWriters                           int // goroutines that write to streams (twice GOMAXPROCS)

	SampleEvery time.Duration // between two rows of the statistics' history, in whole seconds (30 s; negative: no rows)

	Live                // what SetLive may change later
	Logger *slog.Logger // slog.Default()

	// Journal, if set, is asked at every scrape what the journal has met.
	Journal func() stats.Journal

	// LogDropped, if set, is asked at every scrape how many lines of the log
	// were dropped because too many waited, and because they could not be
	// written.
	LogDropped func() (full, failed uint64)

	now         func() int64  // the clock of rate limits, for tests; else the store's
	grace       time.Duration // see conn.Options, for tests
	arrivalsNow func() int64  // likewise
}

func (o *Options) setDefaults() {
	def(&o.Version, "dev")
	def(&o.HeaderTimeout, 10*time.Second)
	def(&o.BodyTimeout, 30*time.Second)
	def(&o.WriteTimeout, time.Minute)
	def(&o.IdleTimeout, 75*time.Second)
	def(&o.MaxConns, 60_000)
	def(&o.RequestBytes, 32<<20)
	def(&o.StreamWriteTimeout, 10*time.Second)
	def(&o.SendBuffer, 512<<10)
	def(&o.UnsentBuffer, 192<<10)
	def(&o.ReceiveBuffer, 128<<10)
	def(&o.SampleEvery, stats.DefaultEvery)
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
}

func def[T comparable](v *T, to T) {
	if *v == *new(T) {
		*v = to
	}
}

// Relay serves one store over HTTP. NewRelay makes it; Serve may be called for
// several listeners; Drain ends it.
type Relay struct {
	opts    Options
	store   *cow.Store
	live    atomic.Pointer[Live]
	server  *fasthttp.Server
	streams *stream.Set
	polls   *poll.Set
	started time.Time

	// What is counted along requests and commits, and the history of it.
	requests *stats.Requests
	commits  *stats.Commits
	lag      *stats.Histogram // from an event being visible to its first write to a stream
	recorder *stats.Recorder

	lnMu      sync.Mutex
	listeners []*listener

	serving   atomic.Bool
	drain     chan struct{} // closed when the drain begins
	draining  atomic.Bool
	panics    atomic.Uint64
	places    *accept.Places
	conns     *conn.Set
	operators atomic.Pointer[stats.Operators] // nil: there is no listener for them

	journalSeen atomic.Pointer[stats.Journal]
}

// NewRelay returns a relay over the store, with its stream writers running.
func NewRelay(store *cow.Store, opts Options) *Relay {
	opts.setDefaults()
	r := &Relay{opts: opts, store: store, started: time.Now(), drain: make(chan struct{})}
	r.places = accept.NewPlaces("public", opts.MaxConns)
	r.conns = newConns(r)
	r.lag = stats.NewHistogram(stats.LagBounds)
	r.streams = newStreams(r)
	r.polls = poll.NewSet(r.streams.Subscribe, r.streams.Hangups())
	r.SetLive(opts.Live)
	r.requests, r.commits = stats.NewRequests(routeNames()), stats.NewCommits()
	r.recorder = stats.Start(stats.Sources{
		Store: store, Requests: r.requests, Events: routeEvents.index, Commits: r.commits, Lag: r.lag,
		Streams: r.streams.Len, Connections: r.conns.Len, LongPolls: r.polls.Len,
	}, opts.SampleEvery, opts.Logger)
	r.server = &fasthttp.Server{
		Handler:        r.handle,
		HeaderReceived: r.headerReceived,
		ConnState:      connState,
		ErrorHandler:   r.failed,

		// Without it a handler runs after the whole body came; headerReceived
		// relies on it for chunked bodies.
		StreamRequestBody:            true,
		DisablePreParseMultipartForm: true,
		MaxRequestBodySize:           event.MaxBodyBytes,
		ReadBufferSize:               conn.ReadBuffer,

		ReadTimeout:  opts.HeaderTimeout, // headerReceived extends it for the body
		WriteTimeout: opts.WriteTimeout,
		IdleTimeout:  opts.IdleTimeout,

		// The listener counts connections, so that who is turned away gets JSON.
		Concurrency: opts.MaxConns + 1024,

		// A goroutine that served a connection waits for the next one. After a
		// burst they are soon gone.
		MaxIdleWorkerDuration: 2 * time.Second,

		// A stream's connection is ours from the hijack on, and so is its Close.
		KeepHijackedConns: true,

		NoDefaultServerHeader: true,
		NoDefaultContentType:  true,
		LazyRequestTime:       true,
		CloseOnShutdown:       true,
		Logger:                serverLog{opts.Logger},
		SecureErrorLogMessage: true, // or each error copies the header; see serverLog
	}
	return r
}

// Serve answers requests on ln until Drain. It takes ln over.
func (r *Relay) Serve(ln net.Listener) error {
	conn.SetBuffers(ln, r.opts.SendBuffer, r.opts.UnsentBuffer, r.opts.ReceiveBuffer)
	own := &listener{accept.New(ln, r.places, r.opts.Logger), r}
	r.lnMu.Lock()
	r.listeners = append(r.listeners, own)
	r.lnMu.Unlock()
	r.serving.Store(true)
	return r.server.Serve(own)
}

// Ready says whether the relay serves and does not drain.
func (r *Relay) Ready() bool { return r.serving.Load() && !r.draining.Load() }

// Drain ends the relay's service in order: not ready any more, and delay for
// those who watch that; listeners closed; long polls answered; streams ended
// between frames with a retry line that spreads their return; replies under
// way finished. When ctx ends first, streams are cut and all else is left
// behind: it fails against the closed store, or ends with the process. Whatever
// hangs, Drain returns within drainGrace of the end of ctx.
func (r *Relay) Drain(ctx context.Context, delay time.Duration) error {
	if r.draining.Swap(true) {
		return nil
	}
	r.opts.Logger.Info("draining", "streams", r.streams.Len(), "connections", r.conns.Len())
	// What waits for the store then, a stream for instance, must not hold us up.
	defer context.AfterFunc(ctx, r.store.StopLoads)()
	select {
	case <-time.After(delay):
	case <-ctx.Done():
	}
	// First, so that who is sent away and comes back at once is not served by a
	// relay that ends.
	r.lnMu.Lock()
	for _, ln := range r.listeners {
		ln.Close()
	}
	r.lnMu.Unlock()
	close(r.drain)
	late, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	defer context.AfterFunc(ctx, func() { time.AfterFunc(drainGrace, cancel) })()
	done := make(chan error, 1)
	r.spawn("shutdown", func() { done <- r.server.ShutdownWithContext(ctx) })
	r.streams.Drain(ctx)
	var err error
	select {
	case err = <-done:
	case <-late.Done():
		err = ctx.Err()
	}
	r.streams.Stop(late)
	r.recorder.Stop(late)
	r.conns.Arrivals.Stop()
	return err
}

// drainGrace is what those who were told that the time is over have to end.
const drainGrace = 250 * time.Millisecond

// handle answers one request.
func (r *Relay) handle(ctx *fasthttp.RequestCtx) {
	start := r.store.Now()
	live := r.live.Load()
	live.origins().share(&ctx.Request.Header, &ctx.Response)
	var req request
	defer r.rescue("handler", func() {
		writeRefusal(&ctx.Response, refusal.Internal)
		refuse(ctx)
		r.counted(req.route, fasthttp.StatusInternalServerError, time.Duration(r.store.Now()-start))
	})
	req.ctx = ctx
	if req.conn, _ = ctx.Conn().(*conn.Conn); req.conn != nil {
		defer req.conn.Arrived()
	}
	req.startNs = start
	why := withheld(ctx)
	req.withheld = why != ""
	serve, refused := handler(nil), decided(why)
	if refused == nil {
		serve, refused = r.admit(&ctx.Request.Header, &req)
	} else {
		req.route, _ = findRoute(ctx.Request.Header.RequestURI())
	}
	if refused != nil {
		writeRefusal(&ctx.Response, refused)
	} else if err := serve(r, req); err != nil {
		refused = r.refusalOf(err)
		writeRefusal(&ctx.Response, refused)
	}
	if req.withheld || refused != nil && unread(ctx) {
		refuse(ctx)
	}
	status := ctx.Response.StatusCode()
	took := time.Duration(r.store.Now() - start)
	r.counted(req.route, status, took)
	if refused == refusal.ManyFields {
		defer forget(&ctx.Request.Header)
	}
	if live.AccessLog {
		r.opts.Logger.Info("request", "method", redact.Method(string(ctx.Method())), "path", redact.Path(string(ctx.Path())), "route", req.route.name,
			"status", status, "took", took, "bytes", ctx.Response.Header.ContentLength(), "remote", live.remote(ctx))
	}
}

// unread says whether a part of a body that was wanted may be left: it came in
// chunks, or it is longer than what the server reads ahead of the handler.
func unread(ctx *fasthttp.RequestCtx) bool {
	n := ctx.Request.Header.ContentLength()
	return ctx.Request.IsBodyStream() && (n < 0 || n > conn.SmallBody)
}
