package fasthttp

import (
	"bytes"
	"errors"
	"strconv"
	"time"

	"cowrelay/cow"
	"cowrelay/fasthttp/refusal"

	"github.com/go-json-experiment/json"
	"github.com/valyala/fasthttp"
)

func (req request) reply(status int, body []byte) {
	res := &req.ctx.Response
	res.SetStatusCode(status)
	res.Header.SetContentTypeBytes(contentTypeJSON)
	res.SetBody(body)
}

func (r *Relay) serveHealthz(req request) error {
	req.ctx.Response.Header.SetContentType("text/plain; charset=utf-8")
	req.ctx.Response.SetBodyString("ok\n")
	return nil
}

func (r *Relay) serveReadyz(req request) error {
	if !r.Ready() {
		return refusal.Draining
	}
	return r.serveHealthz(req)
}

func (r *Relay) serveAllocate(req request) error {
	return req.withBody(func(body []byte) error {
		var hint *struct {
			Handle *string `json:"handle"`
		}
		if err := refusal.Decode(body, &hint); err != nil {
			return err
		}
		if hint == nil {
			return &refusal.Reply{Status: fasthttp.StatusUnprocessableEntity, Text: "the body has the wrong shape: send {}"}
		}
		id, token, err := r.store.Allocate()
		if err != nil {
			return err
		}
		req.reply(fasthttp.StatusCreated, []byte(`{"slot_id":"`+id.String()+`","slot_token":"`+token+`"}`))
		return nil
	})
}

func (r *Relay) servePost(req request) error {
	p := r.store.NewPost()
	defer p.Release()
	if err := req.withBody(p.Accept); err != nil {
		return err
	}
	duplicate, err := p.Commit(req.slot)
	switch {
	case errors.Is(err, cow.ErrSlotFull):
		return refusal.SlotFull(req.slot.Bytes())
	case errors.Is(err, cow.ErrUnknown):
		// Nothing true can be said: no answer. The client sends again, and the
		// event's id makes that safe.
		req.ctx.HijackSetNoResponse(true)
		req.ctx.Hijack(dropConn)
		return nil
	case err != nil:
		return err
	}
	res := &req.ctx.Response
	res.Header.SetContentTypeBytes(contentTypeJSON)
	res.AppendBodyString(`{"event_id":`)
	if id := p.RawID(); id != nil {
		res.AppendBody(id)
	} else {
		res.AppendBodyString("null")
	}
	if duplicate {
		res.SetStatusCode(fasthttp.StatusOK)
		res.AppendBodyString(`,"status":"duplicate"}`)
	} else {
		res.SetStatusCode(fasthttp.StatusCreated)
		res.AppendBodyString(`,"status":"stored"}`)
	}
	return nil
}

const (
	defaultLimit = 100
	maxLimit     = 1000
	maxWait      = 25 * time.Second
)

func (r *Relay) servePull(req request) error {
	q, err := req.pullQuery()
	if err != nil {
		return err
	}
	p := r.newPage(req)
	err = r.store.Window(req.slot, q.since, q.limit, &p.Window)
	if err == nil && p.Events() == 0 && q.wait > 0 && q.limit > 0 && !req.head {
		err = r.await(req, q, &p.Window)
	}
	if err != nil {
		p.Close()
		return err
	}
	if !req.head {
		req.slot.MarkPulled(time.Now())
	}
	res := &req.ctx.Response
	res.Header.SetContentTypeBytes(contentTypeJSON)
	res.SetBodyStream(p, p.Len())
	if !req.head && p.long() {
		bodyOwnsHead(req.ctx, p.conn, p)
	}
	return nil
}

// pullQuery is what a pull asks for.
type pullQuery struct {
	since []byte // valid while the request is
	limit int
	wait  time.Duration
}

func (req request) pullQuery() (pullQuery, error) {
	q := pullQuery{limit: defaultLimit}
	var seen [3]bool
	for key, value := range req.ctx.QueryArgs().All() {
		var n int
		var err error
		at := 0
		switch string(key) {
		case "since":
			q.since = value
		case "limit":
			at = 1
			n, err = number(value)
			q.limit = min(n, maxLimit)
		case "wait":
			at = 2
			n, err = number(value)
			q.wait = min(time.Duration(n)*time.Second, maxWait)
		default:
			continue
		}
		if err != nil || seen[at] {
			return q, refusal.Query
		}
		seen[at] = true
	}
	return q, nil
}

// number reads a whole number from 0 up. One beyond a thousand million is as
// good as that.
func number(text []byte) (int, error) {
	if len(text) == 0 {
		return 0, refusal.Query
	}
	n := 0
	for _, c := range text {
		if c < '0' || c > '9' {
			return 0, refusal.Query
		}
		n = min(n*10+int(c-'0'), 1_000_000_000)
	}
	return n, nil
}

func (r *Relay) serveState(req request) error {
	health, err := r.store.Health(req.slot)
	if err != nil {
		return err
	}
	body := append([]byte(nil), `{"slot_id":"`...)
	body = append(body, req.slot.ID().String()...)
	body = append(body, `","event_count":`...)
	body = strconv.AppendUint(body, req.slot.Count(), 10)
	body = append(body, `,"last_pull_at_unix":`...)
	if at := req.slot.PulledAt(); at != 0 {
		body = strconv.AppendInt(body, at, 10)
	} else {
		body = append(body, "null"...)
	}
	body = append(body, `,"responder_health":`...)
	if health != nil {
		body = append(body, health...)
	} else {
		body = append(body, "null"...)
	}
	req.reply(fasthttp.StatusOK, append(body, '}'))
	return nil
}

func (r *Relay) serveHealth(req request) error {
	return req.withBody(func(body []byte) error {
		var h *struct {
			Status        *string `json:"status,omitzero"`
			SetAt         *string `json:"set_at,omitzero"`
			Reason        *string `json:"reason,omitzero"`
			LastSuccessAt *string `json:"last_success_at,omitzero"`
		}
		if err := refusal.Decode(body, &h); err != nil {
			return err
		}
		if h == nil || h.Status == nil || h.SetAt == nil {
			return &refusal.Reply{Status: fasthttp.StatusUnprocessableEntity, Text: "status and set_at must be strings"}
		}
		record, err := json.Marshal(h)
		if err != nil {
			return err
		}
		if err := r.store.SetHealth(req.slot, record); err != nil {
			return err
		}
		req.reply(fasthttp.StatusOK, record)
		return nil
	})
}

func (r *Relay) serveDelete(req request) error {
	if err := r.store.Remove(req.slot); err != nil {
		return err
	}
	req.ctx.Response.SetStatusCode(fasthttp.StatusNoContent)
	return nil
}

// cursor returns where a stream is to resume, if it is: behind the id that the
// client saw last, by the header that browsers send, or else by the query. One
// that is there and empty is no event's: the stream then begins at the oldest.
func (req request) cursor() (id []byte, resume bool) {
	if ids := req.ctx.Request.Header.PeekAll("Last-Event-ID"); len(ids) > 0 {
		return bytes.Clone(ids[0]), true
	}
	args := req.ctx.QueryArgs()
	return bytes.Clone(args.Peek("since")), args.Has("since")
}
