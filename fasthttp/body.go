package fasthttp

import (
	"errors"
	"io"
	"net"
	"os"
	"strings"
	"sync"

	"cowrelay/cow"

	"github.com/valyala/fasthttp"
)

var bodyPool = sync.Pool{New: func() any { return new([]byte) }}

// withBody reads the whole body, at most the route's limit, and calls f with
// it. The bytes are f's only while it runs.
func (req *request) withBody(f func(body []byte) error) error {
	buf := bodyPool.Get().(*[]byte)
	body, err := readBody(req.ctx, (*buf)[:0], req.route.maxBody)
	if err == nil {
		err = f(body)
	}
	if cow.Invariants { // whoever kept a part of it learns so now
		for i := range body {
			body[i] = 0xDB
		}
	}
	if cap(body) <= 64<<10 {
		*buf = body
	}
	bodyPool.Put(buf)
	return err
}

func readBody(ctx *fasthttp.RequestCtx, dst []byte, limit int) ([]byte, error) {
	in := ctx.RequestBodyStream()
	if in == nil {
		return append(dst, ctx.Request.Body()...), nil
	}
	if n := ctx.Request.Header.ContentLength(); n > cap(dst) {
		dst = make([]byte, 0, n+1) // n was checked; one more shows the end without growing
	}
	for {
		if len(dst) == cap(dst) {
			dst = append(dst, 0)[:len(dst)]
		}
		n, err := in.Read(dst[len(dst):min(cap(dst), limit+1)])
		dst = dst[:len(dst)+n]
		if len(dst) > limit {
			return dst, errBodyTooLarge
		}
		switch {
		case err == io.EOF:
			if n := ctx.Request.Header.ContentLength(); n >= 0 && len(dst) < n {
				return dst, errCutBody
			}
			return dst, nil
		case err != nil:
			if isTimeout(err) {
				return dst, errTimeout
			}
			return dst, errCutBody
		}
	}
}

// isTimeout says whether err is a passed deadline. Errors about chunks hide
// their cause from errors.As, hence the text.
func isTimeout(err error) bool {
	var timeout net.Error
	return errors.As(err, &timeout) && timeout.Timeout() || strings.Contains(err.Error(), os.ErrDeadlineExceeded.Error())
}

func asSmallBuffer(err error) bool {
	var small *fasthttp.ErrSmallBuffer
	return errors.As(err, &small)
}
