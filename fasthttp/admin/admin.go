package admin

import (
	"context"
	"crypto/rand"
	"log/slog"
	"net"
	"net/http"
	"runtime/pprof"

	"cowrelay/cow"
	"cowrelay/fasthttp/accept"
	"cowrelay/fasthttp/stats"
)

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
	rand.Read(s.inviteKey[:])
	s.server.Handler = s
	s.server.ErrorLog = httpLog(opts.Logger)
	s.server.ConnContext = withPlace
	s.server.ReadHeaderTimeout = opts.times.header // and none for the whole, which would end a profile; see ServeHTTP
	s.server.WriteTimeout = opts.times.write
	s.server.IdleTimeout = opts.times.idle
	s.server.MaxHeaderBytes = maxHeaderBytes
	s.routes()
	return s
}

// Attach hands the relay to operators. It may be called again, for a relay that
// takes the place of the first.
func (s *Server) Attach(relay Relay, store *cow.Store) {
	relay.ShowOperators(&stats.Operators{
		Connections:    s.places.Used,
		MaxConnections: func() int64 { return int64(s.opts.MaxConns) },
		WrongTokens:    s.guesses.wrong.Load,
		Requests: func(show stats.Show) {
			failed := s.tally.failed.Load()
			show("done", max(s.tally.served.Load(), failed)-failed)
			show("failed", failed)
			show("refused", s.tally.refused.Load())
		},
		AcceptErrors: func(show stats.Show) { s.places.Errors(show) },
		Backups:      s.backups.shown,
	})
	// Publish: pairs with the Loads along requests.
	s.relay.Store(&attached{relay, store})
}

// Say sets what /readyz tells beside whether the relay serves: what a start waits for,
// or what is wrong meanwhile. what is called at any time; "" is nothing.
func (s *Server) Say(what func() string) { s.saying.Store(&what) }

// ShowFleet has operators see the relays that share a log with this one.
func (s *Server) ShowFleet(f Fleet) { s.fleet.Store(&f) }

// Close ends it at once.
func (s *Server) Close() error {
	s.rates.forget()
	err := s.server.Close()
	if s.served != nil {
		<-s.served
	}
	return err
}
