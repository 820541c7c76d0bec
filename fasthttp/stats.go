package fasthttp

import (
	"bytes"
	"io"
	"strconv"
	"time"

	"github.com/valyala/fasthttp"
)

const (
	defaultHours = 24
	maxHours     = 7 * 24
)

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

// hours reads how far back a request wants to see.
func (req request) hours() (int, error) {
	values := req.ctx.QueryArgs().PeekMulti("hours")
	switch len(values) {
	case 0:
		return defaultHours, nil
	case 1:
		n, err := number(values[0])
		return min(n, maxHours), err
	}
	return 0, errQuery
}

// rowsBody is the body of a /stats.history reply: a head, and rows as the
// blocks have them. All replies share those.
type rowsBody struct {
	relay        *Relay
	timeline     timeline
	after, until int64
	count, size  int
	head         []byte
}

func (r *Relay) newRowsBody(t timeline, hours int, now int64) *rowsBody {
	b := &rowsBody{relay: r, timeline: t, after: now - int64(hours)*3600, until: now + 1}
	if hours == 0 {
		b.until = b.after
	}
	for s := range b.stretches {
		b.count += s.to - s.from
		b.size += len(s.bytes())
	}
	b.head = append(b.head, `{"hours":`...)
	b.head = strconv.AppendInt(b.head, int64(hours), 10)
	b.head = append(b.head, `,"now_unix":`...)
	b.head = strconv.AppendInt(b.head, now, 10)
	b.head = append(b.head, `,"count":`...)
	b.head = strconv.AppendInt(b.head, int64(b.count), 10)
	b.head = append(b.head, `,"entries":[`...)
	b.size = len(b.head) + max(b.size-1, 0) + len("]}") // the first row has no comma before it
	return b
}

func (b *rowsBody) stretches(yield func(stretch) bool) { b.timeline.within(b.after, b.until, yield) }

// Read is never used: the server writes bodies that can write themselves.
func (b *rowsBody) Read([]byte) (int, error) { return 0, io.ErrNoProgress }

func (b *rowsBody) WriteTo(dst io.Writer) (n int64, err error) {
	defer b.relay.rescue("rows", func() { err = errFault })
	write := func(p []byte) bool {
		var m int
		m, err = dst.Write(p)
		n += int64(m)
		return err == nil
	}
	if !write(b.head) {
		return n, err
	}
	skip := 1
	for s := range b.stretches {
		if !write(s.bytes()[skip:]) {
			return n, err
		}
		skip = 0
	}
	write([]byte("]}"))
	return n, err
}

func (r *Relay) serveStatsHistory(req request) error {
	hours, err := req.hours()
	if err != nil {
		return err
	}
	body := r.newRowsBody(*r.sampler.history.timeline.Load(), hours, time.Now().Unix())
	res := &req.ctx.Response
	res.Header.SetContentTypeBytes(contentTypeJSON)
	res.SetBodyStream(body, body.size)
	return nil
}

func (r *Relay) serveStatsSeries(req request) error {
	hours, err := req.hours()
	if err != nil || hours == 0 {
		return errQuery
	}
	s := r.sampler
	body := r.series.body(s.history.timeline.Load(), hours, time.Now(), int64(s.every/time.Second))
	res := &req.ctx.Response
	res.SetStatusCode(fasthttp.StatusOK)
	res.Header.SetContentTypeBytes(contentTypeJSON)
	res.SetBodyRaw(body)
	return nil
}
