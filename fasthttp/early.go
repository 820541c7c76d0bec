package fasthttp

import (
	"io"
	"net"
	"time"

	"github.com/valyala/fasthttp"
)

const (
	lingerBytes = 1 << 20 // of a refused body that are read and dropped
	lingerTime  = 2 * time.Second
	lingerMax   = 256 // connections that may linger at once
)

// headerReceived decides by the header whether the body is wanted at all. If
// it is not, the request is turned into one without a body, so that the
// handler runs at once and the body is never read, buffered or waited for,
// whatever its framing: fixed length, chunked, or held back by Expect.
func (r *Relay) headerReceived(h *fasthttp.RequestHeader) fasthttp.RequestConfig {
	conf := fasthttp.RequestConfig{ReadTimeout: r.opts.BodyTimeout}
	if n := h.ContentLength(); n == 0 || n == -2 { // -2: neither length nor chunks
		if len(h.Peek(fasthttp.HeaderExpect)) > 0 {
			h.Del(fasthttp.HeaderExpect)
		}
		return conf
	}
	var req request
	if _, refused := r.admit(h, &req); refused != nil || !h.IsPost() {
		h.Del(fasthttp.HeaderExpect)
		h.SetContentLength(0)
		h.SetConnectionClose()
		return conf
	}
	conf.MaxRequestBodySize = req.route.maxBody
	return conf
}

// refuse answers a request whose body may still be on its way: the reply, then
// the end of our side, then a bounded rest of theirs is dropped. Closing at
// once would send a reset, which can eat the reply before the client reads it.
func (r *Relay) refuse(ctx *fasthttp.RequestCtx) {
	if r.lingering.Add(1) > lingerMax {
		r.lingering.Add(-1)
		ctx.SetConnectionClose()
		return
	}
	res := &ctx.Response
	res.SetConnectionClose()
	if ctx.IsHead() {
		res.SkipBody = true
	}
	ctx.HijackSetNoResponse(true)
	ctx.Hijack(func(c net.Conn) {
		defer r.lingering.Add(-1)
		defer c.Close()
		c.SetDeadline(time.Now().Add(lingerTime))
		if _, err := res.WriteTo(c); err != nil {
			return
		}
		if half, ok := c.(interface{ UnsafeConn() net.Conn }); ok {
			if tcp, ok := half.UnsafeConn().(interface{ CloseWrite() error }); ok {
				tcp.CloseWrite()
			}
		}
		io.CopyN(io.Discard, c, lingerBytes)
	})
}

// failed answers what the server itself could not read as a request.
func (r *Relay) failed(ctx *fasthttp.RequestCtx, err error) {
	f := &failure{status: fasthttp.StatusBadRequest, text: "the request can't be read"}
	var timeout net.Error
	switch {
	case asSmallBuffer(err):
		f = &failure{status: fasthttp.StatusRequestHeaderFieldsTooLarge, text: "the request header is too large"}
	case asError(err, &timeout) && timeout.Timeout():
		f = errTimeout
	case err == fasthttp.ErrBodyTooLarge:
		f = errBodyTooLarge
	}
	f.write(&ctx.Response)
	r.metrics.request(routeNone, f.status, -1)
}

// dropConn closes a connection that gets no answer.
func dropConn(c net.Conn) { c.Close() }
