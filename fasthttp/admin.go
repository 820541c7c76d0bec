package fasthttp

import (
	"log/slog"
	"net"
	"net/http"
	"net/http/pprof"
	"sync/atomic"
	"time"
)

// AdminOptions are what operators may do, and who may.
type AdminOptions struct {
	// Token is what the protected routes ask for. Without one they answer on a
	// loopback listener only.
	Token string
	// Level is the log level that operators may set (nil: they may not).
	Level *slog.LevelVar
	// Stop begins the end of the process, as SIGTERM does (nil: they may not).
	// It may be called again.
	Stop func()
	// MaxConns is how many connections operators may have (DefaultAdminConns).
	MaxConns int
	Logger   *slog.Logger // slog.Default()

	times adminTimes // for tests
}

// Admin is the operators' listener. It answers from the first moment of a
// start, so that a probe can tell a relay that opens its store from one that
// hangs: until Attach, /healthz says ok and everything else is 503.
//
// /metrics, /healthz and /readyz are open to whoever reaches it. /admin/v1 and
// /debug/pprof are protected; see guard.
type Admin struct {
	opts   AdminOptions
	local  bool // the listener is on loopback
	mux    *http.ServeMux
	server http.Server
	relay  atomic.Pointer[Relay]
	rates  rates
	denied atomic.Int64 // when a refusal was logged last, Unix seconds

	places  *places
	guesses *guesses
	served  chan struct{} // closed when nothing is accepted any more; nil: nothing was
}

// ServeAdmin answers operators on ln until Close.
func ServeAdmin(ln net.Listener, opts AdminOptions) *Admin {
	tcp, ok := ln.Addr().(*net.TCPAddr)
	a := newAdmin(ok && tcp.IP.IsLoopback(), opts)
	a.served = make(chan struct{})
	go labeled("admin", func() {
		defer close(a.served)
		if err := a.server.Serve(adminListener{newAcceptor(ln, a.places, a.opts.Logger)}); err != http.ErrServerClosed {
			a.opts.Logger.Error("the operators' listener has ended", "error", err)
		}
	})
	return a
}

func newAdmin(local bool, opts AdminOptions) *Admin {
	if opts.Logger == nil {
		opts.Logger = slog.Default()
	}
	def(&opts.MaxConns, DefaultAdminConns)
	opts.times.setDefaults()
	a := &Admin{opts: opts, local: local, mux: http.NewServeMux(), places: newPlaces("admin", opts.MaxConns), guesses: newGuesses()}
	a.server.Handler = a
	a.server.ErrorLog = httpLog(opts.Logger)
	a.server.ConnContext = withAdminConn
	a.server.ReadHeaderTimeout = opts.times.header // and none for the whole, which would end a profile; see ServeHTTP
	a.server.WriteTimeout = opts.times.write
	a.server.IdleTimeout = opts.times.idle
	a.server.MaxHeaderBytes = adminHeaderBytes
	a.mux.HandleFunc("GET /metrics", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
		a.relay.Load().WriteMetrics(w)
	})
	a.mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) {
		w.Write([]byte("ok\n"))
	})
	a.mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) {
		if !a.relay.Load().Ready() {
			http.Error(w, "not serving", http.StatusServiceUnavailable)
			return
		}
		w.Write([]byte("ok\n"))
	})
	for path, serve := range map[string]http.HandlerFunc{
		"": pprof.Index, "cmdline": pprof.Cmdline, "profile": pprof.Profile, "symbol": pprof.Symbol, "trace": pprof.Trace,
	} {
		a.handle("GET /debug/pprof/"+path, func(_ *Relay, w http.ResponseWriter, req *http.Request) error {
			serve(w, req)
			return nil
		})
	}
	a.routes()
	return a
}

// Attach hands the relay to operators.
func (a *Admin) Attach(r *Relay) {
	r.admin.Store(a)
	a.relay.Store(r)
}

// ServeHTTP implements http.Handler.
func (a *Admin) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	defer a.rescue()
	p := placeOf(req)
	defer p.wait()
	if req.ContentLength != 0 {
		http.NewResponseController(w).SetReadDeadline(time.Now().Add(a.opts.times.body)) // an error: a test's recorder has none
	} else if p.begin() {
		w.Header().Set("Connection", "close")
	}
	switch {
	case a.relay.Load() != nil:
		a.mux.ServeHTTP(w, req)
	case req.URL.Path == "/healthz":
		w.Write([]byte("ok\n"))
	default:
		http.Error(w, "starting", http.StatusServiceUnavailable)
	}
}

// rescue, deferred, counts and logs a panic as the relay's own are, and has
// net/http end the connection, as a part of a reply may be out already.
func (a *Admin) rescue() {
	fault := recover()
	if fault == nil {
		return
	}
	if r := a.relay.Load(); r != nil && fault != http.ErrAbortHandler {
		r.faulted("admin", fault)
	}
	panic(http.ErrAbortHandler)
}

// Close ends it at once.
func (a *Admin) Close() error {
	a.rates.forget()
	err := a.server.Close()
	if a.served != nil {
		<-a.served
	}
	return err
}
