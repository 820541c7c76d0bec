package fasthttp

import (
	"net"
	"net/http"
	"net/http/pprof"
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

// ServeAdmin answers operators on ln until the returned server is closed.
func (r *Relay) ServeAdmin(ln net.Listener) *http.Server {
	s := &http.Server{Handler: r.AdminHandler(), ReadHeaderTimeout: 5 * time.Second}
	go labeled("admin", func() { s.Serve(ln) })
	return s
}
