package fasthttp

import (
	"bytes"

	"cowrelay/cow"
	"cowrelay/fasthttp/conn"
	"cowrelay/fasthttp/refusal"

	"github.com/valyala/fasthttp"
)

// admit decides by the header alone: whether the client asks too often, which
// handler the request is for, and whether it may. It returns the handler, or the
// reply that the request gets whatever its body holds.
func (r *Relay) admit(h *fasthttp.RequestHeader, req *request) (handler, *refusal.Reply) {
	rt, text := r.find(req.conn, h.RequestURI())
	req.route = rt
	if refused := r.limited(req, h); refused != nil {
		return nil, refused
	}
	if r.live.Load().origins().preflight(h) {
		return (*Relay).servePreflight, nil
	}
	if rt == routeNone {
		return nil, refusal.NotFound
	}
	serve := rt.method(h).serve
	if serve == nil {
		return nil, &refusal.Reply{Status: fasthttp.StatusMethodNotAllowed, Text: "method not allowed", Allow: rt.allow}
	}
	req.head = h.IsHead()
	if rt.bearer {
		id, isID := cow.ParseID(text)
		if rt.shapeFirst && !isID {
			return nil, refusal.SlotShape
		}
		token := bearer(h)
		if len(token) == 0 {
			return nil, refusal.NoBearer
		}
		if isID {
			req.slot = r.store.Slot(id)
		}
		if req.slot == nil {
			return nil, refusal.UnknownSlot
		}
		if !req.slot.Authorize(cow.HashToken(token)) {
			return nil, refusal.WrongToken
		}
		if req.slot.Blocked() && !rt.evenBlocked {
			return nil, refusal.Blocked
		}
	}
	if rt.anyBearer && len(bearer(h)) == 0 {
		return nil, refusal.NoBearer
	}
	if h.IsPost() {
		if !refusal.IsJSON(h.ContentType()) {
			return nil, refusal.ContentType
		}
		if h.ContentLength() > rt.maxBody || req.withheld { // what else a body is withheld for is refused above
			return nil, refusal.BodyTooLarge
		}
	}
	return serve, nil
}

// verdict is what admit decided about a request by its header, while the body was
// still to come. The connection keeps it for the handler. So each request is routed,
// counted by the limits, and authenticated once.
type verdict struct {
	stands  bool // of the request under way, and not taken yet
	serve   handler
	refused *refusal.Reply
	route   *route
	slot    *cow.Slot
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
		*verdictOn(req.conn) = verdict{stands: true, serve: serve, refused: refused, route: req.route, slot: req.slot, head: req.head}
	}
	return refused
}

// admitOnce admits a request, or takes what was decided with its header.
func (r *Relay) admitOnce(h *fasthttp.RequestHeader, req *request) (handler, *refusal.Reply) {
	if req.conn != nil {
		if v, ok := req.conn.Verdict.(*verdict); ok && v.stands {
			req.route, req.slot, req.head = v.route, v.slot, v.head
			serve, refused := v.serve, v.refused
			*v = verdict{} // it must not keep a slot that is removed
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
