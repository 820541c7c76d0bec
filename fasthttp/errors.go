package fasthttp

import (
	"strconv"

	"cowrelay/fasthttp/refusal"

	"github.com/valyala/fasthttp"
)

var contentTypeJSON = []byte("application/json")

// refusalOf returns what a client hears of err. It logs an error that no client
// caused.
func (r *Relay) refusalOf(err error) *refusal.Reply {
	reply, known := refusal.Of(err)
	if !known {
		r.opts.Logger.Error("request failed", "error", err)
	}
	return reply
}

// writeRefusal fills the response. It does not send it.
func writeRefusal(res *fasthttp.Response, f *refusal.Reply) {
	res.ResetBody()
	res.SetStatusCode(f.Status)
	res.Header.SetContentTypeBytes(contentTypeJSON)
	res.SetBody(f.Body())
	if f.RetryAfter > 0 {
		res.Header.Set(fasthttp.HeaderRetryAfter, strconv.Itoa(f.RetryAfter))
	}
	if f.Allow != "" {
		res.Header.Set(fasthttp.HeaderAllow, f.Allow)
	}
	if f.Status == fasthttp.StatusUnauthorized {
		res.Header.Set(fasthttp.HeaderWWWAuthenticate, "Bearer")
	}
}
