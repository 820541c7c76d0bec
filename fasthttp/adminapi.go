package fasthttp

import (
	"io"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"cowrelay/cow"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/valyala/fasthttp"
)

// routes adds the admin API. Slots are named by id; no token of a slot is
// known here.
func (a *Admin) routes() {
	a.handle("GET /admin/v1/status", a.status)
	a.handle("GET /admin/v1/slots", a.listSlots)
	a.handle("GET /admin/v1/slots/{id}", a.inspectSlot)
	a.handle("DELETE /admin/v1/slots/{id}", a.deleteSlot)
	a.handle("POST /admin/v1/slots/{id}/block", a.blockSlot)
	a.handle("POST /admin/v1/slots/{id}/unblock", a.unblockSlot)
	a.handle("GET /admin/v1/log-level", a.logLevel)
	a.handle("PUT /admin/v1/log-level", a.setLogLevel)
	a.handle("POST /admin/v1/drain", a.drain)
	a.exportRoutes()
}

// acted logs an act of an operator, and returns its error.
func (a *Admin) acted(req *http.Request, what, on string, err error, more ...any) error {
	result := "done"
	if err != nil {
		result = err.Error()
	}
	a.opts.Logger.Info("admin", append([]any{"remote", req.RemoteAddr, "act", what, "on", on, "result", result}, more...)...)
	return err
}

// adminBody reads the small JSON object of a request into v. No body is {}.
func adminBody(req *http.Request, v any) error {
	const most = 16 << 10
	data, err := io.ReadAll(io.LimitReader(req.Body, most+1))
	switch {
	case err != nil && isTimeout(err):
		return errTimeout
	case err != nil:
		return errCutBody
	case len(data) > most:
		return errBodyTooLarge
	case len(data) == 0:
		return nil
	}
	return decode(data, v)
}

// slotOf finds the slot that the path names.
func slotOf(r *Relay, req *http.Request) (*cow.Slot, error) {
	id, ok := cow.ParseID(req.PathValue("id"))
	if !ok {
		return nil, errSlotShape
	}
	slot := r.store.Slot(id)
	if slot == nil {
		return nil, cow.ErrNoSlot
	}
	return slot, nil
}

func (a *Admin) status(r *Relay, w http.ResponseWriter, _ *http.Request) error {
	m, st := r.store.Memory(), r.store.Stats()
	posts, bytes := r.store.Queue()
	return replyJSON(w, fasthttp.StatusOK, struct {
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
		QueuePosts   int64  `json:"queue_posts"`
		QueueBytes   int64  `json:"queue_bytes"`
		Memory       int64  `json:"memory_bytes"`
		MemoryBudget int64  `json:"memory_budget_bytes"`
	}{
		r.opts.Version, int64(time.Since(r.started).Seconds()), r.Ready(), r.draining.Load(), a.levelText(),
		r.store.Len(), m.HotSlots, r.store.BlockedSlots(), st.Events.Load(), st.Bytes.Load(),
		r.conns.Load(), r.streams.Len(), r.polls.waiting(), posts, bytes, m.Used, m.Limit,
	})
}

func (a *Admin) deleteSlot(r *Relay, w http.ResponseWriter, req *http.Request) error {
	slot, err := slotOf(r, req)
	if err == nil {
		err = r.store.Remove(slot)
	}
	if a.acted(req, "delete slot", req.PathValue("id"), err) != nil {
		return err
	}
	w.WriteHeader(fasthttp.StatusNoContent)
	return nil
}

// maxReason is the longest reason for a block, in bytes.
const maxReason = 1000

// blockNote is what is kept of a block.
type blockNote struct {
	At     int64  `json:"at_unix"`
	Reason string `json:"reason"`
}

func (a *Admin) blockSlot(r *Relay, w http.ResponseWriter, req *http.Request) error {
	var note blockNote
	err := adminBody(req, &note)
	if err == nil && len(note.Reason) > maxReason {
		err = &failure{status: fasthttp.StatusUnprocessableEntity, text: "the reason is too long"}
	}
	if err != nil {
		return err
	}
	slot, err := slotOf(r, req)
	if err == nil {
		note.At = time.Now().Unix()
		var record []byte
		if record, err = json.Marshal(note); err == nil {
			err = r.store.Block(slot, record)
		}
	}
	if a.acted(req, "block slot", req.PathValue("id"), err, "reason", note.Reason) != nil {
		return err
	}
	return replyJSON(w, fasthttp.StatusOK, a.describe(slot))
}

func (a *Admin) unblockSlot(r *Relay, w http.ResponseWriter, req *http.Request) error {
	slot, err := slotOf(r, req)
	if err == nil {
		err = r.store.Unblock(slot)
	}
	if a.acted(req, "unblock slot", req.PathValue("id"), err) != nil {
		return err
	}
	return replyJSON(w, fasthttp.StatusOK, a.describe(slot))
}

func (a *Admin) inspectSlot(r *Relay, w http.ResponseWriter, req *http.Request) error {
	slot, err := slotOf(r, req)
	if err != nil {
		return err
	}
	health, err := r.store.Health(slot)
	if err != nil {
		return err
	}
	note, err := r.store.BlockNote(slot)
	if err != nil {
		return err
	}
	return replyJSON(w, fasthttp.StatusOK, struct {
		slotInfo
		Block  jsontext.Value `json:"block"`
		Health jsontext.Value `json:"responder_health"`
	}{a.describe(slot), note, health})
}

// levelReply is what the log-level routes take and give.
type levelReply struct {
	Level string `json:"level"`
}

var errNoLevel = &failure{status: fasthttp.StatusNotImplemented, text: "this relay's log level can't be set"}

func (a *Admin) levelText() string {
	if a.opts.Level == nil {
		return ""
	}
	return strings.ToLower(a.opts.Level.Level().String())
}

func (a *Admin) logLevel(_ *Relay, w http.ResponseWriter, _ *http.Request) error {
	if a.opts.Level == nil {
		return errNoLevel
	}
	return replyJSON(w, fasthttp.StatusOK, levelReply{a.levelText()})
}

func (a *Admin) setLogLevel(_ *Relay, w http.ResponseWriter, req *http.Request) error {
	if a.opts.Level == nil {
		return errNoLevel
	}
	var want levelReply
	if err := adminBody(req, &want); err != nil {
		return err
	}
	var level slog.Level
	switch strings.ToLower(want.Level) {
	case "debug", "info", "warn", "error":
		level.UnmarshalText([]byte(want.Level))
	default:
		return &failure{status: fasthttp.StatusUnprocessableEntity, text: "level is debug, info, warn or error"}
	}
	was := a.levelText()
	// Logged under the more talkative of the two, so that it is seen.
	if level < a.opts.Level.Level() {
		a.opts.Level.Set(level)
	}
	a.acted(req, "set log level", was+" to "+strings.ToLower(want.Level), nil)
	a.opts.Level.Set(level)
	return a.logLevel(nil, w, req)
}

func (a *Admin) drain(r *Relay, w http.ResponseWriter, req *http.Request) error {
	if a.opts.Stop == nil {
		return &failure{status: fasthttp.StatusNotImplemented, text: "this relay can't be stopped from here"}
	}
	a.acted(req, "drain", "relay", nil)
	err := replyJSON(w, fasthttp.StatusAccepted, map[string]bool{"draining": true})
	if !r.draining.Load() { // two signals would end the process at once
		a.opts.Stop()
	}
	return err
}
