package fasthttp

import (
	"errors"
	"io"
	"net"
	"os"
	"strings"
	"sync"

	"cowrelay/cow/invariants"
	"cowrelay/fasthttp/refusal"

	"github.com/valyala/fasthttp"
)

var bodyPool = sync.Pool{New: func() any { return new([]byte) }}

// withBody reads the whole body, at most the route's limit, and calls f with
// it. The bytes are f's only while it runs.
func (r *Relay) withBody(req *request, f func(body []byte) error) error {
	buf := bodyPool.Get().(*[]byte)
	body, err := r.readBody(req, (*buf)[:0])
	if err == nil {
		err = f(body)
	}
	if invariants.Enabled { // code that kept a part of it fails now
		for i := range body {
			body[i] = 0xDB
		}
	}
	if cap(body) <= keptBody {
		*buf = body
	}
	bodyPool.Put(buf)
	if req.conn != nil {
		req.conn.Arrived()
	}
	return err
}

// keptBody is the most bytes that a buffer of the pool has, and that a body may
// take which is not booked by its length.
const keptBody = 16 << 10

// readBody reads the whole body behind dst, which is empty. A body that is longer
// than keptBody is booked before there is memory for it. If the header has its
// length, headerReceived did that; else it is done here.
func (r *Relay) readBody(req *request, dst []byte) ([]byte, error) {
	ctx, limit := req.ctx, req.route.maxBody
	in := ctx.RequestBodyStream()
	if in == nil {
		return append(dst, ctx.Request.Body()...), nil
	}
	if n := ctx.Request.Header.ContentLength(); n > cap(dst) {
		dst = make([]byte, 0, n+1) // n was checked; one more shows the end without growing
	}
	for {
		if len(dst) == cap(dst) {
			to := min(max(2*cap(dst), 4<<10), limit+1)
			if to > keptBody && !r.book(req, to) {
				return dst, refusal.ManyBytes
			}
			dst = append(make([]byte, 0, to), dst...)
		}
		n, err := in.Read(dst[len(dst):min(cap(dst), limit+1)])
		dst = dst[:len(dst)+n]
		if len(dst) > limit {
			return dst, refusal.BodyTooLarge
		}
		switch {
		case err == io.EOF:
			if n := ctx.Request.Header.ContentLength(); n >= 0 && len(dst) < n {
				return dst, refusal.CutBody
			}
			return dst, nil
		case err != nil:
			if req.conn != nil && req.conn.WasCut() {
				return dst, refusal.ManyBytes
			}
			if isTimeout(err) {
				return dst, refusal.Timeout
			}
			return dst, refusal.CutBody
		}
	}
}

// book books a body in chunks that has come to n bytes.
func (r *Relay) book(req *request, n int) bool {
	return req.conn == nil || req.conn.BookBody(r.clientOf(*req), int64(n))
}

// isTimeout says whether err is a passed deadline. Upstream's errors about chunks
// don't unwrap to their cause, so the text is looked at, too.
func isTimeout(err error) bool {
	var timeout net.Error
	return errors.As(err, &timeout) && timeout.Timeout() || strings.Contains(err.Error(), os.ErrDeadlineExceeded.Error())
}

// asSmallBuffer says whether err is that a header is longer than the server reads
// ahead.
func asSmallBuffer(err error) bool {
	var small *fasthttp.ErrSmallBuffer
	return errors.As(err, &small)
}
