package admin

import (
	"compress/gzip"
	"io"
	"net/http"
	"net/http/pprof"
	"strconv"
	"strings"
	"time"

	"cowrelay/fasthttp/redact"
)

// routes fills the table of routes. Slots are named by id; no token of a slot is
// known here.
func (s *Server) routes() {
	s.mux.HandleFunc("GET /metrics", s.metrics)
	s.mux.HandleFunc("GET /healthz", s.healthz)
	s.mux.HandleFunc("GET /readyz", s.readyz)

	s.handle("GET /admin/v1/status", s.status)
	s.handle("GET /admin/v1/slots", s.listSlots)
	s.handle("GET /admin/v1/slots/{id}", s.inspectSlot)
	s.handle("DELETE /admin/v1/slots/{id}", s.deleteSlot)
	s.handle("POST /admin/v1/slots/{id}/block", s.blockSlot)
	s.handle("POST /admin/v1/slots/{id}/unblock", s.unblockSlot)
	s.handle("POST /admin/v1/slots/{id}/owner", s.setOwner)
	s.handle("GET /admin/v1/slots/{id}/tokens", s.listTokens)
	s.handle("DELETE /admin/v1/slots/{id}/tokens/{token}", s.revokeToken)
	s.handle("GET /admin/v1/log-level", s.logLevel)
	s.handle("PUT /admin/v1/log-level", s.setLogLevel)
	s.handle("POST /admin/v1/drain", s.drain)
	s.handle("POST /admin/v1/handover", s.handOver)

	s.handle("GET /admin/v1/handles", s.listHandles)
	s.handle("GET /admin/v1/handles/{nick}", s.inspectHandle)
	s.handle("DELETE /admin/v1/handles/{nick}", s.dropHandle)
	s.handle("GET /admin/v1/invites", s.listInvites)
	s.handle("POST /admin/v1/invites/revoke", s.revokeInvite)
	s.handle("POST /admin/v1/purge", s.purge)

	// What cowrelay export reads.
	s.handle("GET /admin/v1/counts", s.counts)
	s.handle("GET /admin/v1/slots/{id}/events", s.exportSlot)
	s.handle("GET /admin/v1/events", s.exportSlots)

	// What cowrelay backup asks for, and what it tells.
	s.handle("POST /admin/v1/checkpoint", s.backup)
	s.handle("POST /admin/v1/backups", s.backedUp)

	// What other relays join by, and how they are.
	s.handle("GET /admin/v1/checkpoint", s.checkpoint)
	s.handle("GET /admin/v1/fleet", s.listFleet)
	s.handle("POST /admin/v1/fleet/upgrade", s.upgradeFleet)
	s.handle("DELETE /admin/v1/fleet/{name}", s.forgetMember)

	for path, serve := range map[string]http.HandlerFunc{
		"": pprof.Index, "cmdline": pprof.Cmdline, "profile": pprof.Profile, "symbol": pprof.Symbol, "trace": pprof.Trace,
	} {
		s.handle("GET /debug/pprof/"+path, func(_ *attached, w http.ResponseWriter, req *http.Request) error {
			serve(w, req)
			return nil
		})
	}
}

// handle adds a protected route. Its errors become JSON replies, as those of the
// public routes do.
func (s *Server) handle(pattern string, serve func(*attached, http.ResponseWriter, *http.Request) error) {
	s.mux.HandleFunc(pattern, func(w http.ResponseWriter, req *http.Request) {
		r := s.relay.Load()
		if refused := s.guard(req); refused != nil {
			s.tally.refused.Add(1)
			// Once a second, or a client that guesses tokens fills the log.
			if now := time.Now().Unix(); s.deniedUnix.Swap(now) != now {
				s.opts.Logger.Warn("admin request refused", "remote", req.RemoteAddr, "method", req.Method, "path", redact.Path(req.URL.Path), "why", refused.Text)
			}
			if req.ContentLength != 0 {
				w.Header().Set("Connection", "close") // its body is not waited for
			}
			refuse(w, refused)
			return
		}
		s.tally.served.Add(1)
		if placeOf(req).Begin() {
			w.Header().Set("Connection", "close")
		}
		if err := serve(r, w, req); err != nil {
			s.tally.failed.Add(1)
			s.fail(w, err)
		}
	})
}

func (s *Server) metrics(w http.ResponseWriter, req *http.Request) {
	w.Header().Set("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
	w.Header().Set("Vary", "Accept-Encoding")
	if !takesGzip(req.Header) {
		s.relay.Load().WriteMetrics(w)
		return
	}
	w.Header().Set("Content-Encoding", "gzip")
	zipped := gzip.NewWriter(w)
	s.relay.Load().WriteMetrics(zipped)
	zipped.Close() // an error: the client has left
}

// takesGzip says whether a client takes a reply in gzip, as scrapers do.
func takesGzip(h http.Header) bool {
	for _, list := range h.Values("Accept-Encoding") {
		for coding := range strings.SplitSeq(list, ",") {
			name, quality, _ := strings.Cut(coding, ";")
			if strings.EqualFold(strings.TrimSpace(name), "gzip") {
				q, given := strings.CutPrefix(strings.TrimSpace(quality), "q=")
				n, err := strconv.ParseFloat(strings.TrimSpace(q), 64)
				return !given || err == nil && n > 0
			}
		}
	}
	return false
}

func (s *Server) healthz(w http.ResponseWriter, _ *http.Request) { w.Write([]byte("ok\n")) }

func (s *Server) readyz(w http.ResponseWriter, _ *http.Request) {
	if !s.relay.Load().Figures().Ready {
		http.Error(w, "not serving", http.StatusServiceUnavailable)
		return
	}
	io.WriteString(w, "ok\n")
	if say := s.saying.Load(); say != nil {
		if text := (*say)(); text != "" {
			io.WriteString(w, text+"\n")
		}
	}
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
		text := "starting"
		if say := s.saying.Load(); say != nil {
			text += ": " + (*say)()
		}
		http.Error(w, text, http.StatusServiceUnavailable)
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
