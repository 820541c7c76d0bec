package fasthttp

import (
	"bytes"
	"errors"
	"syscall"
	"time"

	"cowrelay/cow"
	"cowrelay/fasthttp/poll"
	"cowrelay/fasthttp/refusal"

	"github.com/valyala/fasthttp"
)

// servePost stores an event, and answers when that is durable.
func (r *Relay) servePost(req request) error {
	p := r.store.NewPost()
	defer p.Release()
	if err := r.withBody(&req, p.Accept); err != nil {
		return err
	}
	duplicate, err := p.Commit(req.slot)
	if err != nil {
		return ofPost(req, req.slot, err)
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

// ofPost is the answer to a post to a slot that was not stored, or perhaps not.
func ofPost(req request, slot *cow.Slot, err error) error {
	switch {
	case errors.Is(err, cow.ErrSlotFull):
		return refusal.SlotFull(slot.Bytes())
	case errors.Is(err, cow.ErrUnknown):
		// Nobody knows whether it was stored, so there is no answer. The client
		// sends again, and the event's id makes that safe.
		req.ctx.HijackSetNoResponse(true)
		req.ctx.Hijack(dropConn)
		return nil
	}
	return err
}

// Of a pull. What is above the most counts as the most.
const (
	defaultLimit = 100 // events
	maxLimit     = 1000
	maxWait      = 25 * time.Second
)

// servePull answers with a window of a slot. If the window is empty, it waits as long
// as the client asks.
func (r *Relay) servePull(req request) error {
	q, err := req.pullQuery()
	if err != nil {
		return err
	}
	p := r.conns.NewPage(req.ctx.Conn())
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
	if !req.head && p.Long() {
		bodyOwnsHead(req.ctx, req.conn, p)
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

// await fills w as soon as there is something to pull. It leaves it empty after
// the time that the client gives, when the client leaves, when the relay drains,
// or when the poll has to give way to another.
func (r *Relay) await(req request, q pullQuery, w *cow.Window) error {
	req.slot.MarkPulled(time.Now())
	var socket syscall.Conn
	if req.conn != nil {
		socket = req.conn.Socket
	}
	p, err := r.polls.Open(req.slot, r.clientOf(req), socket)
	if err == poll.ErrFull {
		return refusal.ManyPolls
	}
	if err != nil {
		return err
	}
	end := poll.EndError
	defer func() { p.Close(end) }() // also after a panic
	end, err = p.Await(q.wait, r.drain, func() (bool, error) {
		if err := r.store.Window(req.slot, q.since, q.limit, w); err != nil || w.Events() > 0 {
			return err == nil, err
		}
		if req.slot.Blocked() {
			return false, refusal.Blocked
		}
		return false, nil
	})
	return err
}

// cursor returns the id behind which a stream is to resume, and whether it is to
// resume at all. The header that browsers send counts before the query. An empty id
// belongs to no event: the stream then begins at the oldest.
func (req request) cursor() (id []byte, resume bool) {
	if ids := req.ctx.Request.Header.PeekAll("Last-Event-ID"); len(ids) > 0 {
		return bytes.Clone(ids[0]), true
	}
	args := req.ctx.QueryArgs()
	return bytes.Clone(args.Peek("since")), args.Has("since")
}
