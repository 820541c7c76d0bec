package fasthttp

import (
	"bytes"
	"io"
	"time"

	"cowrelay/fasthttp/conn"
	"cowrelay/fasthttp/refusal"
	"cowrelay/fasthttp/stats"

	"github.com/go-json-experiment/json"
	"github.com/valyala/fasthttp"
)

const (
	defaultHours = 24
	maxHours     = 7 * 24
)

// serveStats answers /stats.json.
func (r *Relay) serveStats(req request) error {
	t := r.store.Totals()
	body, err := json.Marshal(struct {
		Version           string `json:"version"`
		Uptime            int64  `json:"uptime_seconds"`
		Handles           int64  `json:"handles_active"`
		Slots             int    `json:"slots_active"`
		Pairs             int64  `json:"pair_slots_open"`
		Streams           int64  `json:"streams_active"`
		HandleClaims      uint64 `json:"handle_claims_total"`
		HandleFirstClaims uint64 `json:"handle_first_claims_total"`
		SlotAllocations   uint64 `json:"slot_allocations_total"`
		PairOpens         uint64 `json:"pair_opens_total"`
		EventsPosted      uint64 `json:"events_posted_total"`
	}{
		Version: r.opts.Version, Uptime: int64(time.Since(r.started).Seconds()), Slots: r.store.Len(),
		Handles: int64(r.opts.Desk.Handles.Len()), Pairs: int64(r.opts.Desk.Pairs.Len()), Streams: r.streams.Len(), HandleClaims: t.HandleClaims,
		HandleFirstClaims: t.HandleFirstClaims, SlotAllocations: t.SlotAllocations, PairOpens: t.PairOpens,
		EventsPosted: t.EventsPosted,
	})
	if err != nil {
		return err
	}
	req.reply(fasthttp.StatusOK, body)
	return nil
}

// serveStatsEither answers /stats: for people as the dashboard, for programs as
// /stats.json does.
func (r *Relay) serveStatsEither(req request) error {
	req.ctx.Response.Header.Add(fasthttp.HeaderVary, fasthttp.HeaderAccept)
	if takesHTML(&req.ctx.Request.Header) {
		return r.serveDashboard(req)
	}
	return r.serveStats(req)
}

func takesHTML(h *fasthttp.RequestHeader) bool {
	for _, accept := range h.PeekAll(fasthttp.HeaderAccept) {
		if bytes.Contains(bytes.ToLower(accept), []byte("text/html")) {
			return true
		}
	}
	return false
}

// hours reads how many hours back a request asks for.
func (req request) hours() (int, error) {
	values := req.ctx.QueryArgs().PeekMulti("hours")
	switch len(values) {
	case 0:
		return defaultHours, nil
	case 1:
		n, err := number(values[0])
		return min(n, maxHours), err
	}
	return 0, refusal.Query
}

// rowsBody is the body of a /stats.history reply. Upstream writes it after the
// handler has returned, so it has a rescue of its own.
type rowsBody struct {
	*stats.Rows
	relay *Relay
}

// Read is never used: the server writes bodies that can write themselves.
func (b rowsBody) Read([]byte) (int, error) { return 0, io.ErrNoProgress }

// WriteTo implements io.WriterTo.
func (b rowsBody) WriteTo(dst io.Writer) (n int64, err error) {
	defer b.relay.rescue("rows", func() { err = conn.ErrFault })
	return b.Rows.WriteTo(dst)
}

func (r *Relay) serveStatsHistory(req request) error {
	hours, err := req.hours()
	if err != nil {
		return err
	}
	body := rowsBody{r.recorder.Rows(hours, time.Now()), r}
	res := &req.ctx.Response
	res.Header.SetContentTypeBytes(contentTypeJSON)
	res.SetBodyStream(body, body.Size())
	return nil
}

func (r *Relay) serveStatsSeries(req request) error {
	hours, err := req.hours()
	if err != nil || hours == 0 {
		return refusal.Query
	}
	res := &req.ctx.Response
	res.SetStatusCode(fasthttp.StatusOK)
	res.Header.SetContentTypeBytes(contentTypeJSON)
	res.SetBodyRaw(r.recorder.Series(hours, time.Now()))
	return nil
}
