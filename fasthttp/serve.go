package fasthttp

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"time"

	"cowrelay/cow"
	"cowrelay/cow/event"
	"cowrelay/fasthttp/accept"
	"cowrelay/fasthttp/conn"
	"cowrelay/fasthttp/poll"
	"cowrelay/fasthttp/stats"

	"github.com/valyala/fasthttp"
)

// NewRelay returns a relay over the store, with its stream writers and its sampler
// running. It makes what is counted first, then what serves, and the server last:
// each only needs what stands before it.
func NewRelay(store *cow.Store, opts Options) *Relay {
	opts.setDefaults()
	r := &Relay{opts: opts, store: store, started: time.Now(), drain: make(chan struct{}), manual: chapters(opts.Manual)}
	r.requests, r.commits, r.lag = stats.NewRequests(operations), stats.NewCommits(), stats.NewHistogram(stats.LagBounds)
	r.refusals, r.labels = stats.NewRefusals(reasonNames()), operationLabels()
	r.batches, r.sieve = stats.NewBatches(), make(chan struct{}, max(1, int(opts.CPUs/2)))
	r.places = accept.NewPlaces("public", opts.MaxConns)
	r.conns = newConns(r)
	r.streams = newStreams(r)
	_, r.shared = store.SharedLog()
	r.doubts = newDoubts()
	r.staying, r.leave = context.WithCancel(context.Background())
	r.polls = poll.NewSet(r.streams.Subscribe, r.streams.Hangups())
	r.coder = newCoder(r)
	r.SetLive(opts.Live)
	r.recorder = stats.Start(stats.Sources{
		Store: store, Relay: opts.RelayName, Requests: r.requests, Pulls: []int{routeEvents.get.op, opLongPoll}, Commits: r.commits, Lag: r.lag,
		Streams: r.streams.Len, Connections: r.conns.Len, LongPolls: r.polls.Len,
		Handles: func() int64 { return int64(opts.Desk.Handles.Len()) },
		Pairs:   func() int64 { return int64(opts.Desk.Pairs.Len()) },
		Limits: func() stats.Limits {
			live := r.live.Load()
			return stats.Limits{Streams: int64(live.MaxStreams), Connections: int64(opts.MaxConns), LongPolls: int64(live.MaxWaiters), CPUs: opts.CPUs}
		},
	}, opts.SampleEvery, opts.Logger)
	r.server = r.newServer()
	return r
}

func (r *Relay) newServer() *fasthttp.Server {
	return &fasthttp.Server{
		Handler:        r.handle,
		HeaderReceived: r.headerReceived,
		ConnState:      connState,
		ErrorHandler:   r.failed,

		// Without it a handler runs after the whole body has come. headerReceived
		// relies on it for chunked bodies.
		StreamRequestBody:            true,
		DisablePreParseMultipartForm: true,
		MaxRequestBodySize:           event.MaxBodyBytes,
		ReadBufferSize:               conn.ReadBuffer,

		ReadTimeout:  r.opts.HeaderTimeout, // headerReceived extends it for the body
		WriteTimeout: r.opts.WriteTimeout,
		IdleTimeout:  r.opts.IdleTimeout,

		// Never reached: the listener counts connections, so that a client that is
		// turned away gets JSON.
		Concurrency: r.opts.MaxConns + 1024,

		// A goroutine that served a connection waits for the next one. After a
		// burst they are soon gone.
		MaxIdleWorkerDuration: 2 * time.Second,

		// Without it Close of a stream's connection would close nothing.
		KeepHijackedConns: true,

		NoDefaultServerHeader: true,
		NoDefaultContentType:  true,
		LazyRequestTime:       true,
		CloseOnShutdown:       true,
		Logger:                serverLog{r.opts.Logger},
		SecureErrorLogMessage: true, // or each error copies the header; see serverLog
	}
}

// Serve answers requests on ln until Drain. It takes ln over.
func (r *Relay) Serve(ln net.Listener) error { return r.ServeTLS(ln, nil) }

// ServeTLS is Serve for clients that speak TLS, if config is not nil. Its ALPN should
// offer http/1.1 alone.
func (r *Relay) ServeTLS(ln net.Listener, config *tls.Config) error {
	conn.SetBuffers(ln, r.opts.SendBuffer, r.opts.UnsentBuffer, r.opts.ReceiveBuffer)
	own := &listener{accept.New(ln, r.places, r.opts.Logger), r, conn.Prologue{Proxy: r.opts.ProxyProtocol, TLS: config}}
	r.lnMu.Lock()
	r.listeners = append(r.listeners, own)
	r.lnMu.Unlock()
	r.serving.Store(true)
	return r.server.Serve(own)
}

// drainGrace is what is left to end for what has been told that the time is over.
const drainGrace = 250 * time.Millisecond

// Drain ends the relay's service. What is there ends in this order:
//
//	ready         at once; then delay, so that those who watch it see it
//	listeners     before clients are sent away: one that comes back at once must not
//	              be served by a relay that ends
//	long polls    they are answered with what there is, and those who wait for other
//	              relays with 503
//	streams       between two frames, with a retry line that spreads their return
//	requests      under way: they are answered
//	the rest      writers of streams, the sampler, timers
//
// When ctx ends first, streams are cut, and what else is left stays behind: it fails
// against the closed store, or ends with the process. Whatever hangs, Drain returns
// within drainGrace of the end of ctx.
func (r *Relay) Drain(ctx context.Context, delay time.Duration) error {
	if r.draining.Swap(true) {
		return nil
	}
	r.opts.Logger.Info("draining", "streams", r.streams.Len(), "connections", r.conns.Len())
	select {
	case <-time.After(delay):
	case <-ctx.Done():
	}
	r.closeListeners()
	r.leave()
	return r.end(ctx, func() {})
}

// HandOver ends the relay's service as Drain does, but for another program that takes
// its place at the same sockets: the relay stays ready, and refuses nothing. It returns
// the connections that wait for a request, which that program is to serve; see
// conn.Set.HandOver. What is left when ctx ends is cut, as by Drain.
func (r *Relay) HandOver(ctx context.Context) (kept []conn.Kept, err error) {
	r.handing.Store(true)
	if r.draining.Swap(true) {
		return nil, errors.New("the relay is draining")
	}
	r.opts.Logger.Info("handing over", "streams", r.streams.Len(), "connections", r.conns.Len())
	r.closeListeners()
	defer context.AfterFunc(ctx, r.leave)()
	r.conns.HandOver()
	err = r.end(ctx, func() {
		// The server would close connections that wait for a request. Each is let go
		// of when it has had its answer; the server then finds nothing to close.
		for r.conns.Len() > 0 {
			select {
			case <-time.After(handedLook):
			case <-ctx.Done():
				return
			}
		}
	})
	r.leave()
	return r.conns.Handed(), err
}

// handedLook is the time between two looks at whether all connections are let go of.
const handedLook = 2 * time.Millisecond

func (r *Relay) closeListeners() {
	r.lnMu.Lock()
	defer r.lnMu.Unlock()
	for _, ln := range r.listeners {
		ln.Close()
	}
}

// end ends what the relay serves, when nothing is accepted any more. The server is shut
// down behind first.
func (r *Relay) end(ctx context.Context, first func()) error {
	// A stream that waits for the store, for instance, must not hold us up then.
	defer context.AfterFunc(ctx, r.store.StopLoads)()
	close(r.drain)
	late, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	defer context.AfterFunc(ctx, func() { time.AfterFunc(drainGrace, cancel) })()
	answered := make(chan error, 1)
	r.spawn("shutdown", func() {
		first()
		answered <- r.server.ShutdownWithContext(ctx)
	})
	r.streams.Drain(ctx)
	var err error
	select {
	case err = <-answered:
	case <-late.Done():
		err = ctx.Err()
	}
	r.streams.Stop(late)
	r.recorder.Stop(late)
	r.conns.Arrivals.Stop()
	return err
}
