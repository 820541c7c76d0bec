package fasthttp

import (
	"errors"
	"fmt"
	"strconv"
	"syscall"
	"time"

	"cowrelay/cow"
	"cowrelay/fasthttp/accept"
	"cowrelay/fasthttp/coding"
	"cowrelay/fasthttp/conn"
	"cowrelay/fasthttp/poll"
	"cowrelay/fasthttp/refusal"
	"cowrelay/fasthttp/trace"

	"github.com/valyala/fasthttp"
)

// servePost stores an event, and answers when that is durable.
func (r *Relay) servePost(req request) error {
	p := r.store.NewPost()
	defer p.Release()
	if err := r.withBody(&req, p.Accept); err != nil {
		return err
	}
	var began time.Time
	if req.span != nil {
		p.Time()
		began = time.Now()
	}
	duplicate, err := p.Commit(req.slot)
	if req.span != nil {
		r.tracePost(req, p, began)
	}
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

// servePostLines stores the events of a body that has one a line, all or none, and
// answers when that is durable.
func (r *Relay) servePostLines(req request) error {
	p := r.store.NewPost()
	defer p.Release()
	if err := r.withBody(&req, func(body []byte) error {
		if len(body) > keptBody {
			r.sieve <- struct{}{}
			defer func() { <-r.sieve }()
		}
		return p.AcceptLines(body)
	}); err != nil {
		return err
	}
	if refused := r.limitedFor(&req, p.Lines()); refused != nil {
		return refused
	}
	var began time.Time
	if req.span != nil {
		p.Time()
		began = time.Now()
	}
	stored, duplicates, next, err := p.CommitLines(req.slot)
	if req.span != nil {
		r.tracePost(req, p, began)
	}
	if err != nil {
		return ofPost(req, req.slot, err)
	}
	r.batches.Count(stored, duplicates)
	status := fasthttp.StatusCreated
	if stored == 0 {
		status = fasthttp.StatusOK
	}
	req.reply(status, fmt.Appendf(nil, `{"stored":%d,"duplicates":%d,"next":%d}`, stored, duplicates, next))
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

// What every pull says of positions.
var (
	relayNext = []byte("Relay-Next")
	relayEnd  = []byte("Relay-End")
	// Of a reading that points at what has left the slot: where it begins instead.
	relayTrimmed = []byte("Relay-Trimmed")
)

// servePull answers with a window of a slot. If the window is empty, it waits as long
// as the client asks.
func (r *Relay) servePull(req request) error {
	q, err := req.reading(false)
	if err != nil {
		return err
	}
	client := r.clientOf(req)
	q.start = q.start.For(uint64(client))
	p := r.conns.NewPage(req.ctx.Conn())
	if req.span != nil && !req.slot.Hot() && req.slot.Count() > 0 {
		began := time.Now()
		err = r.window(req, q, &p.Window)
		req.span.Part(trace.Load, began, time.Now())
	} else {
		err = r.window(req, q, &p.Window)
	}
	oldest, trimmed := p.Trimmed()
	if err == nil && p.Events() == 0 && q.wait > 0 && q.limit > 0 && !req.head {
		began := time.Now()
		err = r.await(req, client, q, &p.Window)
		if req.span != nil {
			req.span.Part(trace.Wait, began, time.Now())
		}
	}
	if err != nil {
		p.Close()
		return err
	}
	if !req.head {
		req.slot.MarkPulled(time.Now())
		r.pulled.Add(uint64(p.Events()))
	}
	res := &req.ctx.Response
	res.Header.SetContentTypeBytes(contentTypeJSON)
	var room [20]byte
	res.Header.SetCanonical(relayNext, strconv.AppendUint(room[:0], p.Next(), 10))
	res.Header.SetCanonical(relayEnd, strconv.AppendUint(room[:0], p.End(), 10))
	if trimmed {
		res.Header.SetCanonical(relayTrimmed, strconv.AppendUint(room[:0], oldest, 10))
	}
	r.markStale(res)
	r.compress(req, p)
	res.SetBodyStream(p, p.Len())
	if !req.head && p.Long() {
		bodyOwnsHead(req.ctx, req.conn, p)
	}
	return nil
}

// newCoder makes what compresses pages. It may take an eighth of the memory of slots:
// half for what it keeps, and half for replies that are under way.
func newCoder(r *Relay) *coding.Coder {
	part := r.store.Memory().Limit / 16
	return coding.New(coding.Options{
		Workers: max(1, int(r.opts.CPUs/2)), CacheBytes: part, ReplyBytes: part, ClientBytes: part / 2, Charge: r.store.Charge,
	})
}

// compress has the page go out in the coding that the client asks for, if that can be
// done at once. HEAD is answered as a client is that asks for none.
func (r *Relay) compress(req request, p *conn.Page) {
	offered := r.live.Load().Compression
	if offered == 0 {
		return
	}
	res := &req.ctx.Response
	res.Header.Add(fasthttp.HeaderVary, fasthttp.HeaderAcceptEncoding)
	if req.head {
		return
	}
	as := offered.Choose(req.ctx.Request.Header.PeekAll(fasthttp.HeaderAcceptEncoding))
	if as.Coding == coding.Identity {
		return
	}
	if b := r.coder.Page(as, r.clientOf(req), req.slot, &p.Window); b != nil {
		p.Instead(b)
		res.Header.SetContentEncoding(as.Coding.String())
	}
}

// await fills w as soon as there is something to pull. It leaves it empty after
// the time that the client gives, when the client leaves, when the relay drains,
// or when the poll has to give way to another. w is the empty page that it had. It
// knows the position from which on everything is new.
func (r *Relay) await(req request, client accept.Client, q reading, w *cow.Window) error {
	req.slot.MarkPulled(time.Now())
	req.waited(r)
	var socket syscall.Conn
	if req.conn != nil {
		socket = req.conn.Socket
	}
	p, err := r.polls.Open(req.slot, client, socket)
	if err == poll.ErrFull {
		return refusal.ManyPolls
	}
	if err != nil {
		return err
	}
	start, end := cow.From(w.Next()).For(uint64(client)), poll.EndError
	defer func() { p.Close(end) }() // also after a panic
	dead := false
	end, err = p.Await(q.wait, r.drain, func() (bool, error) {
		if dead = !req.grant.Live(); dead {
			return false, refusal.WrongToken
		}
		if err := r.store.Window(req.slot, start, q.limit, w); err != nil || w.Events() > 0 {
			return err == nil, err
		}
		if req.slot.Blocked() {
			return false, refusal.Blocked
		}
		return false, nil
	})
	if dead {
		end = poll.EndToken
	}
	return err
}
