package admin

import (
	"log/slog"
	"net/http"
	"strings"

	"cowrelay/fasthttp/refusal"
)

// status says how the relay is.
func (s *Server) status(r *attached, w http.ResponseWriter, _ *http.Request) error {
	m, st := r.store.Memory(), r.store.Stats()
	posts, bytes := r.store.Queue()
	f, desk := r.Figures(), r.Desk()
	handovers, failed := s.handedOver()
	return replyJSON(w, http.StatusOK, struct {
		Version      string `json:"version"`
		Uptime       int64  `json:"uptime_seconds"`
		Ready        bool   `json:"ready"`
		Draining     bool   `json:"draining"`
		LogLevel     string `json:"log_level"`
		Slots        int    `json:"slots"`
		SlotsHot     int    `json:"slots_hot"`
		SlotsBlocked int64  `json:"slots_blocked"`
		Events       int64  `json:"events"`
		EventBytes   int64  `json:"event_bytes"`
		Connections  int64  `json:"connections"`
		Streams      int64  `json:"streams"`
		LongPolls    int64  `json:"long_polls"`
		Handles      int    `json:"handles"`
		Invites      int    `json:"invites"`
		Pairs        int    `json:"pairs"`
		QueuePosts   int64  `json:"queue_posts"`
		QueueBytes   int64  `json:"queue_bytes"`
		Memory       int64  `json:"memory_bytes"`
		MemoryBudget int64  `json:"memory_budget_bytes"`
		Handovers    int    `json:"handovers"`
		HandFailed   string `json:"handover_failed,omitempty"`
	}{
		f.Version, int64(f.Uptime.Seconds()), f.Ready, f.Draining, s.levelText(),
		r.store.Len(), m.HotSlots, r.store.BlockedSlots(), st.Events.Load(), st.Bytes.Load(),
		f.Connections, f.Streams, f.LongPolls, desk.Handles.Len(), desk.Invites.Len(), desk.Pairs.Len(), posts, bytes, m.Used, m.Limit, handovers, failed,
	})
}

// levelReply is what the log-level routes take and give.
type levelReply struct {
	Level string `json:"level"`
}

var errNoLevel = &refusal.Reply{Status: http.StatusNotImplemented, Text: "this relay's log level can't be set"}

func (s *Server) levelText() string {
	if s.opts.Level == nil {
		return ""
	}
	return strings.ToLower(s.opts.Level.Level().String())
}

func (s *Server) logLevel(_ *attached, w http.ResponseWriter, _ *http.Request) error {
	if s.opts.Level == nil {
		return errNoLevel
	}
	return replyJSON(w, http.StatusOK, levelReply{s.levelText()})
}

func (s *Server) setLogLevel(_ *attached, w http.ResponseWriter, req *http.Request) error {
	if s.opts.Level == nil {
		return errNoLevel
	}
	var want levelReply
	if err := body(req, &want); err != nil {
		return err
	}
	var level slog.Level
	switch strings.ToLower(want.Level) {
	case "debug", "info", "warn", "error":
		level.UnmarshalText([]byte(want.Level))
	default:
		return &refusal.Reply{Status: http.StatusUnprocessableEntity, Text: "level is debug, info, warn or error"}
	}
	was := s.levelText()
	// Logged while the more talkative of the two levels is set, so that it is seen.
	if level < s.opts.Level.Level() {
		s.opts.Level.Set(level)
	}
	s.acted(req, "set log level", was+" to "+strings.ToLower(want.Level), nil)
	s.opts.Level.Set(level)
	return s.logLevel(nil, w, req)
}

// drain begins the end of the process.
func (s *Server) drain(r *attached, w http.ResponseWriter, req *http.Request) error {
	if s.opts.Stop == nil {
		return &refusal.Reply{Status: http.StatusNotImplemented, Text: "this relay can't be stopped from here"}
	}
	s.acted(req, "drain", "relay", nil)
	err := replyJSON(w, http.StatusAccepted, map[string]bool{"draining": true})
	if !r.Figures().Draining { // two signals would end the process at once
		s.opts.Stop()
	}
	return err
}
