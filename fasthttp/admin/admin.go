package admin

import (
	"context"
	"log/slog"
	"net"
	"net/http"
	webpprof "net/http/pprof"
	"runtime/pprof"
	"sync/atomic"
	"time"

	"cowrelay/fasthttp/accept"
)

// Options are what operators may do, and who may. A zero field takes its default.
type Options struct {
	// Token is what the protected routes ask for. Without one they answer on a
	// loopback listener only.
	Token string
	// Level is the log level that operators may set (nil: they may not).
	Level *slog.LevelVar
	// Stop begins the end of the process, as SIGTERM does (nil: they may not).
	// It may be called again.
	Stop func()
	// MaxConns is how many connections operators may have (DefaultConns).
	MaxConns int
	Logger   *slog.Logger // slog.Default()

	times times // for tests
}

// Server is the operators' listener. Serve makes it on a listener, New without one.
type Server struct {
	opts   Options
	local  bool // the listener is on loopback
	mux    *http.ServeMux
	server http.Server
	relay  atomic.Pointer[attached] // nil before Attach
	rates  rates

	places     *accept.Places
	guesses    *guesses
	deniedUnix atomic.Int64  // when a refusal was logged last
	served     chan struct{} // closed when nothing is accepted any more; nil: nothing was
}

// Serve answers operators on ln until Close.
func Serve(ln net.Listener, opts Options) *Server {
	tcp, ok := ln.Addr().(*net.TCPAddr)
	s := New(ok && tcp.IP.IsLoopback(), opts)
	s.served = make(chan struct{})
	go pprof.Do(context.Background(), pprof.Labels("relay", "admin"), func(context.Context) {
		defer close(s.served)
		if err := s.server.Serve(listener{accept.New(ln, s.places, s.opts.Logger)}); err != http.ErrServerClosed {
			s.opts.Logger.Error("the operators' listener has ended", "error", err)
		}
	})
	return s
}

// New returns a server that answers by ServeHTTP alone. local says whether that is
// on loopback.
func New(local bool, opts Options) *Server {
	if opts.Logger == nil {
		opts.Logger = slog.Default()
	}
	if opts.MaxConns == 0 {
		opts.MaxConns = DefaultConns
	}
	if opts.times == (times{}) {
		opts.times = defaultTimes
	}
	s := &Server{opts: opts, local: local, mux: http.NewServeMux(), places: accept.NewPlaces("admin", opts.MaxConns), guesses: newGuesses()}
	s.server.Handler = s
	s.server.ErrorLog = httpLog(opts.Logger)
	s.server.ConnContext = withPlace
	s.server.ReadHeaderTimeout = opts.times.header // and none for the whole, which would end a profile; see ServeHTTP
	s.server.WriteTimeout = opts.times.write
	s.server.IdleTimeout = opts.times.idle
	s.server.MaxHeaderBytes = maxHeaderBytes
	s.mux.HandleFunc("GET /metrics", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
		s.relay.Load().WriteMetrics(w)
	})
	s.mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) {
		w.Write([]byte("ok\n"))
	})
	s.mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) {
		if !s.relay.Load().Figures().Ready {
			http.Error(w, "not serving", http.StatusServiceUnavailable)
			return
		}
		w.Write([]byte("ok\n"))
	})
	for path, serve := range map[string]http.HandlerFunc{
		"": webpprof.Index, "cmdline": webpprof.Cmdline, "profile": webpprof.Profile, "symbol": webpprof.Symbol, "trace": webpprof.Trace,
	} {
		s.handle("GET /debug/pprof/"+path, func(_ *attached, w http.ResponseWriter, req *http.Request) error {
			serve(w, req)
			return nil
		})
	}
	s.routes()
	return s
}

// ServeHTTP implements http.Handler.
func (s *Server) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	defer s.rescue()
	p := placeOf(req)
	defer p.Wait()
	if req.ContentLength != 0 {
		http.NewResponseController(w).SetReadDeadline(time.Now().Add(s.opts.times.body)) // an error: a test's recorder has none
	} else if p.Begin() {
		w.Header().Set("Connection", "close")
	}
	switch {
	case s.relay.Load() != nil:
		s.mux.ServeHTTP(w, req)
	case req.URL.Path == "/healthz":
		w.Write([]byte("ok\n"))
	default:
		http.Error(w, "starting", http.StatusServiceUnavailable)
	}
}

// rescue, deferred, counts and logs a panic as the relay does its own. net/http then
// ends the connection: a part of the reply may be out already.
func (s *Server) rescue() {
	fault := recover()
	if fault == nil {
		return
	}
	if r := s.relay.Load(); r != nil && fault != http.ErrAbortHandler {
		r.Faulted("admin", fault)
	}
	panic(http.ErrAbortHandler)
}

// Close ends it at once.
func (s *Server) Close() error {
	s.rates.forget()
	err := s.server.Close()
	if s.served != nil {
		<-s.served
	}
	return err
}
