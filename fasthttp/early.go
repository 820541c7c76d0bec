package fasthttp

import (
	"net"

	"github.com/valyala/fasthttp"
)

// headerWithheld marks, between the header and the handler, a request whose
// body is not read. What a client sends under this name is dropped.
const headerWithheld = "Cowrelay-Withheld"

// headerReceived decides by the header whether the body is wanted at all. If
// it is not, the request is turned into one without a body, so that the
// handler runs at once and the body is never read, buffered or waited for,
// whatever its framing: fixed length, chunked, or held back by Expect.
func (r *Relay) headerReceived(h *fasthttp.RequestHeader) fasthttp.RequestConfig {
	conf := fasthttp.RequestConfig{ReadTimeout: r.opts.BodyTimeout}
	if h.ConnectionClose() { // withheld asks for it first
		h.Del(headerWithheld)
	}
	if n := h.ContentLength(); n == 0 || n == -2 { // -2: neither length nor chunks
		if len(h.Peek(fasthttp.HeaderExpect)) > 0 {
			h.Del(fasthttp.HeaderExpect)
		}
		return conf
	}
	req := request{conn: connOf(h), early: true, start: r.store.Now()}
	if _, refused := r.admit(h, &req); refused != nil || !h.IsPost() {
		h.Del(fasthttp.HeaderExpect)
		h.SetContentLength(0)
		h.Set(headerWithheld, "1")
		h.SetConnectionClose()
		return conf
	}
	conf.MaxRequestBodySize = req.route.maxBody
	return conf
}

// withheld says whether the request has a body that is not read.
func withheld(h *fasthttp.RequestHeader) bool {
	return h.ConnectionClose() && len(h.Peek(headerWithheld)) > 0
}

// refuse has the connection closed behind the reply, gently: a body may still
// be on its way.
func refuse(ctx *fasthttp.RequestCtx) {
	ctx.SetConnectionClose()
	if c, ok := ctx.Conn().(*conn); ok {
		c.linger.Store(true)
	}
}

// failed answers what the server itself could not read as a request.
func (r *Relay) failed(ctx *fasthttp.RequestCtx, err error) {
	f := &failure{status: fasthttp.StatusBadRequest, text: "the request can't be read"}
	switch {
	case asSmallBuffer(err):
		f = &failure{status: fasthttp.StatusRequestHeaderFieldsTooLarge, text: "the request header is too large"}
	case isTimeout(err):
		f = errTimeout
	case err == fasthttp.ErrBodyTooLarge:
		f = errBodyTooLarge
	}
	r.live.Load().share(&ctx.Request.Header, &ctx.Response)
	f.write(&ctx.Response)
	refuse(ctx)
	r.metrics.request(routeNone, f.status, -1)
}

// dropConn closes a connection that gets no answer.
func dropConn(c net.Conn) { c.Close() }
