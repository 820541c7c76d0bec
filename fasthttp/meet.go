package fasthttp

import (
	"bytes"
	"io"
	"strings"
	"time"

	"cowrelay/cow"
	"cowrelay/cow/rendezvous"
	"cowrelay/cow/token"
	"cowrelay/fasthttp/accept"
	"cowrelay/fasthttp/conn"
	"cowrelay/fasthttp/meet"
	"cowrelay/fasthttp/refusal"

	"github.com/valyala/fasthttp"
)

// What is here joins package meet, which makes the replies, to requests.

// sourceOf returns whose request it is, for what the desk shares out. As with rate
// limits, a client on this machine has no share, and a request that a trusted proxy
// passes on is never one of those.
func (r *Relay) sourceOf(req request) rendezvous.Source {
	c := req.conn
	if c == nil || c.Unix() {
		return 0
	}
	live := r.live.Load()
	client, named := live.client(c, &req.ctx.Request.Header)
	if !named && client.IsLoopback() && (len(live.TrustedProxies) == 0 || !live.proxies().Trust(client)) {
		return 0
	}
	return max(1, rendezvous.Source(accept.ClientAt(client))) // ::1 has the key 0
}

// mayActFor says whether the request's bearer may act for a slot that is not named
// by the path.
func (r *Relay) mayActFor(req request, evenBlocked bool) func(cow.ID) (*cow.Slot, error) {
	return func(id cow.ID) (*cow.Slot, error) {
		text := bearer(&req.ctx.Request.Header)
		if len(text) == 0 {
			return nil, refusal.NoBearer
		}
		slot := r.store.Slot(id)
		if slot == nil {
			return nil, refusal.UnknownSlot
		}
		grant := slot.Authorize(cow.HashToken(text), time.Now().Unix())
		switch {
		case !grant.OK():
			return nil, refusal.WrongToken
		case !grant.May(token.Slot):
			r.countMissing(token.Slot)
			return nil, refusal.Missing(token.Slot)
		case slot.Blocked() && !evenBlocked:
			return nil, refusal.Blocked
		}
		return slot, nil
	}
}

// rest returns what stands behind a prefix of the request's path.
func (req request) rest(prefix []byte) string {
	return string(bytes.TrimPrefix(pathOf(req.ctx.Request.Header.RequestURI()), prefix))
}

// query returns a parameter of the query, nil if it is not there. It may be there
// once.
func (req request) query(name string) (*string, error) {
	values := req.ctx.QueryArgs().PeekMulti(name)
	switch len(values) {
	case 0:
		return nil, nil
	case 1:
		text := string(values[0])
		return &text, nil
	}
	return nil, &refusal.Reply{Status: fasthttp.StatusBadRequest, Text: "bad query: " + name + " is there more than once"}
}

func (r *Relay) serveClaim(req request) error {
	return r.withJSON(req, fasthttp.StatusCreated, func(body []byte) ([]byte, error) {
		return meet.Claim(r.opts.Desk.Handles, r.sourceOf(req), body, r.mayActFor(req, false))
	})
}

func (r *Relay) serveUnclaim(req request) error {
	reply, err := r.surely(req, func() ([]byte, error) {
		return meet.Unclaim(r.opts.Desk.Handles, req.rest(prefixClaim), r.mayActFor(req, true))
	})
	if err == nil {
		req.reply(fasthttp.StatusOK, reply)
	}
	return err
}

func (r *Relay) serveWhois(req request) error { return r.serveHandle(req, meet.Whois) }

func (r *Relay) serveAgentCard(req request) error { return r.serveHandle(req, meet.AgentCard) }

// serveHandle answers what somebody asks about one handle.
func (r *Relay) serveHandle(req request, body func(*rendezvous.Directory, string) ([]byte, error)) error {
	handle, err := req.query("handle")
	if err != nil {
		return err
	}
	reply, err := r.surely(req, func() ([]byte, error) { return body(r.opts.Desk.Handles, deref(handle)) })
	if err == nil {
		req.reply(fasthttp.StatusOK, reply)
		r.markStale(&req.ctx.Response)
	}
	return err
}

func deref(text *string) string {
	if text == nil {
		return ""
	}
	return *text
}

// handlesBody is the body of a page of the directory. Upstream writes it after the
// handler has returned, so it has a rescue of its own. It owns the reply's head, as
// long pages of slots do: both go out in one system call.
type handlesBody struct {
	*rendezvous.Page
	relay *Relay
	conn  *conn.Conn // nil: it does not own the head
	head  []byte
}

// TakeHead implements conn.HeadTaker.
func (b *handlesBody) TakeHead(part []byte) { b.head = append(b.head, part...) }

// Read is never used: the server writes bodies that can write themselves.
func (b *handlesBody) Read([]byte) (int, error) { return 0, io.ErrNoProgress }

// WriteTo implements io.WriterTo.
func (b *handlesBody) WriteTo(dst io.Writer) (n int64, err error) {
	defer b.relay.rescue("handles", func() { err = conn.ErrFault })
	if b.conn != nil {
		b.conn.GiveHead(nil)
		dst = b.conn
	}
	return b.Page.WriteBehind(b.head, dst)
}

// Close implements io.Closer: a reply that takes the page's place has its head sent.
func (b *handlesBody) Close() error {
	if b.conn != nil {
		b.conn.GiveHead(nil)
	}
	return nil
}

func (r *Relay) serveHandles(req request) error {
	cursor, err := req.query("cursor")
	if err != nil {
		return err
	}
	limit, err := req.query("limit")
	if err != nil {
		return err
	}
	vibe, err := req.query("vibe")
	if err != nil {
		return err
	}
	page, err := meet.Handles(r.opts.Desk.Handles, deref(cursor), limit, vibe)
	if err != nil {
		return err
	}
	res := &req.ctx.Response
	res.Header.SetContentTypeBytes(contentTypeJSON)
	body := &handlesBody{Page: page, relay: r}
	r.markStale(res)
	res.SetBodyStream(body, page.Size())
	if req.conn != nil && !req.head {
		body.conn = req.conn
		bodyOwnsHead(req.ctx, req.conn, body)
	}
	return nil
}

// serveIntro brings an introduction to an agent.
func (r *Relay) serveIntro(req request) error {
	nick := req.rest(prefixIntro)
	if err := r.sure(req, func() error { return r.knows(nick) }); err != nil && err != error(refusal.UnknownSlot) {
		return err
	}
	p := r.store.NewPost()
	defer p.Release()
	if err := r.withBody(&req, p.Accept); err != nil {
		return err
	}
	status, reply, err := meet.Introduce(r.opts.Desk.Intros, r.sourceOf(req), nick, p)
	if err != nil {
		id, _ := r.opts.Desk.Handles.Slot(nick)
		if slot := r.store.Slot(id); slot != nil {
			err = ofPost(req, slot, err)
		}
		return err
	}
	req.reply(status, reply)
	return nil
}

// knows says whether somebody has a nick, and, where relays share a log, whether this
// one has heard of the nick's slot yet.
func (r *Relay) knows(nick string) error {
	err := meet.Known(r.opts.Desk.Handles, nick)
	if err == nil && r.shared {
		if id, _ := r.opts.Desk.Handles.Slot(nick); r.store.Slot(id) == nil {
			return refusal.UnknownSlot
		}
	}
	return err
}

// surely is sure for what makes a reply.
func (r *Relay) surely(req request, ask func() ([]byte, error)) (reply []byte, err error) {
	err = r.sure(req, func() error {
		reply, err = ask()
		return err
	})
	return reply, err
}

// withJSON reads a body, and replies with what f makes of it. f may be called again if
// it says that something is not there, or another's.
func (r *Relay) withJSON(req request, status int, f func(body []byte) ([]byte, error)) error {
	return r.withBody(&req, func(body []byte) error {
		out, err := r.surely(req, func() ([]byte, error) { return f(body) })
		if err == nil {
			req.reply(status, out)
		}
		return err
	})
}

// serveRegister keeps an invite.
func (r *Relay) serveRegister(req request) error {
	return r.withJSON(req, fasthttp.StatusCreated, func(body []byte) ([]byte, error) {
		return meet.RegisterInvite(r.opts.Desk.Invites, r.sourceOf(req), body)
	})
}

// serveInvite hands out an invite: a script, or its URL for those who can do with
// that.
func (r *Relay) serveInvite(req request) error {
	token := req.rest(prefixInvite)
	res := &req.ctx.Response
	format, err := req.query("format")
	if err != nil {
		return err
	}
	if deref(format) == "url" {
		url, err := r.surely(req, func() ([]byte, error) {
			url, err := meet.InviteURL(r.opts.Desk.Invites, token)
			return []byte(url), err
		})
		if err != nil {
			return err
		}
		res.SetBody(url)
		res.Header.SetContentType("text/plain; charset=utf-8")
	} else {
		script, err := r.surely(req, func() ([]byte, error) { return meet.InviteScript(r.opts.Desk.Invites, token, req.head) })
		if err != nil {
			return err
		}
		res.SetBodyRaw(script)
		res.Header.SetContentType("text/x-shellscript; charset=utf-8")
	}
	res.Header.Set(fasthttp.HeaderCacheControl, "private, no-store, max-age=0")
	return nil
}

// servePair leaves the first message of one side of a pair.
func (r *Relay) servePair(req request) error {
	return r.withJSON(req, fasthttp.StatusCreated, func(body []byte) ([]byte, error) {
		return meet.OpenPair(r.opts.Desk.Pairs, r.sourceOf(req), body)
	})
}

// pairID is the id in the path of a pair.
func (req request) pairID() string {
	id, _, _ := strings.Cut(req.rest(prefixPair), "/")
	return id
}

// serveLook answers with what the other side has left.
func (r *Relay) serveLook(req request) error {
	role, err := req.query("as_role")
	if err != nil {
		return err
	}
	out, err := r.surely(req, func() ([]byte, error) { return meet.LookAtPair(r.opts.Desk.Pairs, req.pairID(), deref(role)) })
	if err == nil {
		req.reply(fasthttp.StatusOK, out)
	}
	return err
}

// serveBootstrap leaves the sealed bootstrap of one side.
func (r *Relay) serveBootstrap(req request) error {
	return r.withJSON(req, fasthttp.StatusCreated, func(body []byte) ([]byte, error) {
		return meet.LeaveBootstrap(r.opts.Desk.Pairs, r.sourceOf(req), req.pairID(), body)
	})
}

// serveAbandon drops a pair.
func (r *Relay) serveAbandon(req request) error {
	return r.withBody(&req, func(body []byte) error {
		err := r.sure(req, func() error { return meet.AbandonPair(r.opts.Desk.Pairs, body) })
		if err == nil || err == error(meet.NoPair) {
			req.ctx.Response.SetStatusCode(fasthttp.StatusNoContent)
			return nil
		}
		return err
	})
}
