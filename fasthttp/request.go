package fasthttp

import (
	"cowrelay/cow"
	"cowrelay/fasthttp/conn"
	"cowrelay/fasthttp/limit"
	"cowrelay/fasthttp/refusal"

	"github.com/valyala/fasthttp"
)

// route is one row of the table of paths.
type route struct {
	name              string // the label of its metrics
	get, post, delete method // HEAD is answered as GET is, without the body
	bearer            bool   // the slot's token is asked for
	anyBearer         bool   // a bearer is asked for; whose it must be, the body says
	// shapeFirst answers 400 to a text that is not a slot id, before anything else.
	shapeFirst bool
	// evenBlocked serves slots that the operator has blocked.
	evenBlocked bool
	// unlimited requests count for no limit, whatever their method.
	unlimited bool
	// local routes are served in local-only mode, and at a Unix socket.
	local   bool
	maxBody int    // bytes of a post's body, 0 if it has none
	allow   string // for 405; made from the methods
	index   int    // in routes
}

// method is what a route does for a method. Without serve the route does not have
// it.
type method struct {
	serve handler
	class limit.Class // the limit that it counts for
}

// handler answers a request that was let in. An error is answered by refusalOf.
type handler func(*Relay, request) error

// method returns what the route does for the request's method.
func (rt *route) method(h *fasthttp.RequestHeader) method {
	switch {
	case h.IsGet(), h.IsHead():
		return rt.get
	case h.IsPost():
		return rt.post
	case h.IsDelete():
		return rt.delete
	}
	return method{}
}

// request is what routing and authentication found out about a request.
type request struct {
	ctx      *fasthttp.RequestCtx
	route    *route
	slot     *cow.Slot  // of a route with a bearer
	head     bool       // HEAD: the body is not sent
	conn     *conn.Conn // nil if it is not one of the listener's
	withheld bool       // the header said that the body is not to be read
	startNs  int64      // on the store's clock
}

// reply fills the response with a JSON body.
func (req request) reply(status int, body []byte) {
	res := &req.ctx.Response
	res.SetStatusCode(status)
	res.Header.SetContentTypeBytes(contentTypeJSON)
	res.SetBody(body)
}

// number reads a whole number from 0 up. Anything above a thousand million is read
// as that.
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
