package fasthttp

import (
	"bytes"
	"errors"
	"net"

	"cowrelay/fasthttp/conn"
	"cowrelay/fasthttp/refusal"
	"cowrelay/fasthttp/trace"

	"github.com/valyala/fasthttp"
)

// Why a body is not read.
const (
	withheldAdmit = "admit" // admit refuses the request, and will say so again
	withheldFrame = "framing"
	withheldField = "fields"
	withheldRoom  = "room"
	withheldFault = "fault"
)

// headerReceived decides by the header whether the body is wanted at all. If
// it is not, the request is turned into one without a body, so that the
// handler runs at once and the body is never read, buffered or waited for,
// whatever its framing: fixed length, chunked, or held back by Expect.
func (r *Relay) headerReceived(h *fasthttp.RequestHeader) (conf fasthttp.RequestConfig) {
	defer r.rescue("header", func() { withhold(h, withheldFault) })
	conf.ReadTimeout = r.opts.BodyTimeout
	c := connOf(h)
	if c != nil {
		if c.Begin() {
			h.SetConnectionClose()
		}
		c.Arrived() // the header is there
		if v, ok := c.Verdict.(*verdict); ok {
			*v = verdict{}
		}
	}
	switch bad, fields := misframed(h); {
	case bad:
		withhold(h, withheldFrame)
		return conf
	case fields > conn.MostLines:
		withhold(h, withheldField)
		return conf
	}
	if n := h.ContentLength(); n == 0 || n == -2 { // -2: neither length nor chunks
		if len(h.Peek(fasthttp.HeaderExpect)) > 0 {
			h.Del(fasthttp.HeaderExpect)
		}
		return conf
	}
	req := request{conn: c, startNs: r.store.Now()}
	if refused := r.admitEarly(h, &req); refused != nil || !h.IsPost() {
		withhold(h, withheldAdmit)
		return conf
	}
	if c != nil {
		if n := h.ContentLength(); n > conn.SmallBody && !c.BookBody(r.clientKey(c, h), int64(n)) {
			withhold(h, withheldRoom)
			return conf
		}
		c.AwaitBody()
	}
	conf.MaxRequestBodySize = req.route.maxBody
	return conf
}

// decided returns the reply that was decided with the header, or nil.
func decided(why string) *refusal.Reply {
	switch why {
	case withheldFrame:
		return refusal.Framing
	case withheldField:
		return refusal.ManyFields
	case withheldRoom:
		return refusal.ManyBytes
	case withheldFault:
		return refusal.Internal
	}
	return nil
}

// refuse has the connection closed behind the reply, gently: a body may still
// be on its way.
func refuse(ctx *fasthttp.RequestCtx) {
	ctx.SetConnectionClose()
	if c, ok := ctx.Conn().(*conn.Conn); ok {
		c.Refuse()
	}
}

// forget drops the memory of a header that was large or of many lines. The
// server keeps it for the next request otherwise, and for other connections.
func forget(h *fasthttp.RequestHeader) { *h = fasthttp.RequestHeader{} }

// failed answers what the server itself could not read as a request.
func (r *Relay) failed(ctx *fasthttp.RequestCtx, err error) {
	defer r.rescue("error reply", func() {
		writeRefusal(&ctx.Response, refusal.Internal, trace.NewID())
		refuse(ctx)
	})
	f := &refusal.Reply{Status: fasthttp.StatusBadRequest, Text: "the request can't be read"}
	c, _ := ctx.Conn().(*conn.Conn)
	switch {
	case c != nil && c.WasCut():
		f = refusal.ManyBytes
	case asSmallBuffer(err):
		f = &refusal.Reply{Status: fasthttp.StatusRequestHeaderFieldsTooLarge, Text: "the request header is too large"}
	case errors.Is(err, conn.ErrPlain):
		f = &refusal.Reply{Status: fasthttp.StatusBadRequest, Text: "this address speaks TLS: use https"}
	case errors.Is(err, conn.ErrProxyHeader):
		f = &refusal.Reply{Status: fasthttp.StatusBadRequest, Text: "a PROXY header counts only with --proxy-protocol, and from an address in --trusted-proxies"}
	case errors.Is(err, conn.ErrFault):
		f = refusal.Internal
	case isTimeout(err):
		f = refusal.Timeout
	case err == fasthttp.ErrBodyTooLarge:
		f = refusal.BodyTooLarge
	}
	r.live.Load().origins().share(&ctx.Request.Header, &ctx.Response)
	writeRefusal(&ctx.Response, f, trace.NewID())
	refuse(ctx)
	if c != nil {
		c.Arrived()
	}
	forget(&ctx.Request.Header)
	r.refusals.Count(int(f.Reason()))
	r.requests.Begin(opNone)
	r.requests.Count(opNone, f.Status, -1)
}

// dropConn closes a connection that gets no answer.
func dropConn(c net.Conn) { c.Close() }

var (
	nameCoding = []byte("transfer-encoding")
	nameLength = []byte("content-length")
	chunked    = []byte("chunked")
)

// misframed says whether a proxy in front may read a header in another way than
// upstream did, so that the two differ in where the request ends (RFC 9112,
// sections 2.2, 5.1, 5.2, 6.1 and 6.3). Such a request is refused, and what follows
// it on the connection is dropped:
//
//   - a line that continues the one before;
//   - a name with a blank in it;
//   - a transfer coding that is not chunked;
//   - a transfer coding beside a length.
//
// Upstream refuses all else of that kind by itself. fields is how many lines there
// are.
func misframed(h *fasthttp.RequestHeader) (bad bool, fields int) {
	coded, sized := false, false
	for rest := h.RawHeaders(); len(rest) > 0; {
		line := rest
		if i := bytes.IndexByte(rest, '\n'); i >= 0 {
			line, rest = rest[:i], rest[i+1:]
		} else {
			rest = nil
		}
		fields++
		// A continued line may have no colon; upstream takes no other such line
		// but the empty one at the end.
		name, value, _ := bytes.Cut(line, []byte{':'})
		if bytes.IndexByte(name, ' ') >= 0 || len(name) > 0 && name[0] == '\t' {
			return true, fields
		}
		switch len(name) {
		case len(nameCoding):
			if bytes.EqualFold(name, nameCoding) {
				coded = true
				if !bytes.EqualFold(bytes.TrimSpace(value), chunked) {
					return true, fields
				}
			}
		case len(nameLength):
			sized = sized || bytes.EqualFold(name, nameLength)
		}
	}
	return coded && sized, fields - 1 // without the empty one at the end
}
