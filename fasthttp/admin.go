package fasthttp

import (
	"net"
	"net/http"
	"net/http/pprof"
	"sync/atomic"
	"time"
)

// AdminHandler serves what operators ask: /metrics, /debug/pprof/*, /healthz
// and /readyz. It needs no token, so it belongs on loopback.
func (r *Relay) AdminHandler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /metrics", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
		r.WriteMetrics(w)
	})
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) {
		w.Write([]byte("ok\n"))
	})
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) {
		if !r.Ready() {
			http.Error(w, "not serving", http.StatusServiceUnavailable)
			return
		}
		w.Write([]byte("ok\n"))
	})
	mux.HandleFunc("GET /debug/pprof/", pprof.Index)
	mux.HandleFunc("GET /debug/pprof/cmdline", pprof.Cmdline)
	mux.HandleFunc("GET /debug/pprof/profile", pprof.Profile)
	mux.HandleFunc("GET /debug/pprof/symbol", pprof.Symbol)
	mux.HandleFunc("GET /debug/pprof/trace", pprof.Trace)
	return mux
}

// Admin is the operators' listener. It answers from the first moment of a
// start, so that a probe can tell a relay that opens its store from one that
// hangs: until Attach, /healthz says ok and everything else is 503.
type Admin struct {
	server http.Server
	relay  atomic.Pointer[http.Handler]
}

// ServeAdmin answers operators on ln until Close.
func ServeAdmin(ln net.Listener) *Admin {
	a := new(Admin)
	a.server.Handler = a
	a.server.ReadHeaderTimeout = 5 * time.Second
	go labeled("admin", func() { a.server.Serve(ln) })
	return a
}

// Attach hands the relay to operators.
func (a *Admin) Attach(r *Relay) {
	h := r.AdminHandler()
	a.relay.Store(&h)
}

// ServeHTTP implements http.Handler.
func (a *Admin) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	switch h := a.relay.Load(); {
	case h != nil:
		(*h).ServeHTTP(w, req)
	case req.URL.Path == "/healthz":
		w.Write([]byte("ok\n"))
	default:
		http.Error(w, "starting", http.StatusServiceUnavailable)
	}
}

// Close ends it at once.
func (a *Admin) Close() error { return a.server.Close() }
