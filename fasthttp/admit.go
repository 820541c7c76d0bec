package fasthttp

import (
	"bytes"
	"math/bits"
	"time"

	"cowrelay/cow"
	"cowrelay/cow/token"
	"cowrelay/fasthttp/coding"
	"cowrelay/fasthttp/conn"
	"cowrelay/fasthttp/refusal"

	"github.com/valyala/fasthttp"
)

// admit decides by the header alone: whether the client asks too often, which
// handler the request is for, and whether it may. It returns the handler, or the
// reply that the request gets whatever its body holds.
func (r *Relay) admit(h *fasthttp.RequestHeader, req *request) (handler, *refusal.Reply) {
	rt, text := r.find(req.conn, h.RequestURI())
	m := rt.method(h)
	req.route, req.op = rt, m.op
	if refused := r.limited(req, h); refused != nil {
		return nil, refused
	}
	if r.live.Load().origins().preflight(h) {
		req.op = opPreflight
		return (*Relay).servePreflight, nil
	}
	if rt == routeNone {
		return nil, refusal.NotFound
	}
	if m.serve == nil {
		return nil, &refusal.Reply{Status: fasthttp.StatusMethodNotAllowed, Text: "method not allowed", Allow: rt.allow}
	}
	req.head = h.IsHead()
	if rt.bearer {
		id, isID := cow.ParseID(text)
		if rt.shapeFirst && !isID {
			return nil, refusal.SlotShape
		}
		text, inQuery := bearer(h), false
		if len(text) == 0 && m.ticket {
			text, inQuery = ticket(h.RequestURI()), true
		}
		if len(text) == 0 {
			return nil, refusal.NoBearer
		}
		if !isID {
			return nil, refusal.UnknownSlot
		}
		refused := r.authorize(req, id, text)
		if refused != nil && r.shared { // another relay may have made the slot or the token just now
			if err := r.inDoubt(req, h, r.store.Barrier); err != nil {
				return nil, r.refusalOf(req.name(), err)
			}
			refused = r.authorize(req, id, text)
		}
		if refused != nil {
			return nil, refused
		}
		if inQuery && !req.grant.Ticket() {
			// A URL stands in histories and logs. Nothing that lives long is taken from it.
			return nil, refusal.NoBearer
		}
		if !req.grant.May(m.needs) {
			r.countMissing(m.needs)
			return nil, refusal.Missing(m.needs)
		}
		if req.slot.Blocked() && !rt.evenBlocked && !m.evenBlocked {
			return nil, refusal.Blocked
		}
	}
	if rt.anyBearer && len(bearer(h)) == 0 {
		return nil, refusal.NoBearer
	}
	if n := h.ContentLength(); h.IsPost() && !(rt.noBody && (n == 0 || n == -2)) {
		switch kind := h.ContentType(); {
		case coding.Compressed(h.Peek(fasthttp.HeaderContentEncoding)):
			return nil, refusal.Compressed
		case refusal.IsJSON(kind):
		case rt.lines == nil:
			return nil, refusal.ContentType
		case !refusal.IsLines(kind):
			return nil, refusal.LinesType
		default:
			m.serve, req.op = rt.lines, opBatchPost
		}
		if n > rt.maxBody || req.withheld { // what else a body is withheld for is refused above
			return nil, refusal.BodyTooLarge
		}
	}
	return m.serve, nil
}

// authorize finds the slot of a request and what the token may do there.
func (r *Relay) authorize(req *request, id cow.ID, token []byte) *refusal.Reply {
	if req.slot = r.store.Slot(id); req.slot == nil {
		return refusal.UnknownSlot
	}
	req.grant = req.slot.Authorize(cow.HashToken(token), time.Now().Unix())
	if !req.grant.OK() {
		return refusal.WrongToken
	}
	return nil
}

// verdict is what admit decided about a request by its header, while the body was
// still to come. The connection keeps it for the handler. So each request is routed,
// counted by the limits, and authenticated once.
type verdict struct {
	stands  bool // of the request under way, and not taken yet
	serve   handler
	refused *refusal.Reply
	route   *route
	op      int // of route and method
	slot    *cow.Slot
	grant   cow.Grant
	head    bool
}

// verdictOn returns the connection's verdict, which is made with its first body.
func verdictOn(c *conn.Conn) *verdict {
	v, ok := c.Verdict.(*verdict)
	if !ok {
		v = new(verdict)
		c.Verdict = v
	}
	return v
}

// admitEarly admits a request before its body is read, and has the connection keep what
// comes of it.
func (r *Relay) admitEarly(h *fasthttp.RequestHeader, req *request) *refusal.Reply {
	serve, refused := r.admit(h, req)
	if req.conn != nil {
		*verdictOn(req.conn) = verdict{stands: true, serve: serve, refused: refused, route: req.route, op: req.op, slot: req.slot, grant: req.grant, head: req.head}
	}
	return refused
}

// admitOnce admits a request, or takes what was decided with its header. A token that
// was taken back while the body came lets nothing in.
func (r *Relay) admitOnce(h *fasthttp.RequestHeader, req *request) (handler, *refusal.Reply) {
	if req.conn != nil {
		if v, ok := req.conn.Verdict.(*verdict); ok && v.stands {
			req.route, req.op, req.slot, req.grant, req.head = v.route, v.op, v.slot, v.grant, v.head
			serve, refused := v.serve, v.refused
			*v = verdict{} // it must not keep a slot that is removed
			if refused == nil && req.grant.OK() && !req.grant.Live() {
				return nil, refusal.WrongToken
			}
			return serve, refused
		}
	}
	return r.admit(h, req)
}

// bearer returns the token of the Authorization header, or nothing.
func bearer(h *fasthttp.RequestHeader) []byte {
	const scheme = "bearer "
	v := h.Peek(fasthttp.HeaderAuthorization)
	if len(v) < len(scheme) || !bytes.EqualFold(v[:len(scheme)], []byte(scheme)) {
		return nil
	}
	return bytes.TrimSpace(v[len(scheme):])
}

// countMissing counts a request whose token lacked a right.
func (r *Relay) countMissing(needs token.Right) {
	r.missing[bits.TrailingZeros8(uint8(needs))].Add(1)
}

// ticket returns the value of the query's first ticket, as it stands there, or
// nothing. A ticket is hex digits: it needs no decoding.
func ticket(target []byte) []byte {
	_, query, _ := bytes.Cut(target, []byte{'?'})
	query, _, _ = bytes.Cut(query, []byte{'#'})
	for len(query) > 0 {
		var part []byte
		part, query, _ = bytes.Cut(query, []byte{'&'})
		if value, ok := bytes.CutPrefix(part, ticketKey); ok {
			return value
		}
	}
	return nil
}

var ticketKey = []byte("ticket=")

// servePreflight tells a browser what pages of an allowed origin may do.
func (r *Relay) servePreflight(req request) error {
	res := &req.ctx.Response
	res.SetStatusCode(fasthttp.StatusNoContent)
	if r.live.Load().origins().any() {
		res.Header.Add(fasthttp.HeaderVary, fasthttp.HeaderOrigin)
	}
	res.Header.Set(fasthttp.HeaderAccessControlAllowMethods, corsMethods)
	res.Header.Set(fasthttp.HeaderAccessControlAllowHeaders, corsHeaders)
	res.Header.Set(fasthttp.HeaderAccessControlMaxAge, corsMaxAge)
	return nil
}
