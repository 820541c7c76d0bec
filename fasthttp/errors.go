package fasthttp

import (
	"strconv"

	"cowrelay/fasthttp/coding"
	"cowrelay/fasthttp/redact"
	"cowrelay/fasthttp/refusal"

	"github.com/valyala/fasthttp"
)

var (
	contentTypeJSON = []byte("application/json")
	requestID       = []byte("X-Request-Id")
)

// refusalOf returns what a client hears of err. It logs an error that no client
// caused, with the id of the request.
func (r *Relay) refusalOf(id string, err error) *refusal.Reply {
	reply, known := refusal.Of(err)
	if !known {
		r.opts.Logger.Error("request failed", "request_id", id, "error", err)
	}
	return reply
}

// reasonNames are the names of the reasons for refusals, by reason.
func reasonNames() []string {
	list := make([]string, refusal.Reasons)
	for why := range refusal.Reasons {
		list[why] = why.String()
	}
	return list
}

// countRefusal counts a refusal. Of those that ran into a limit it logs some.
func (r *Relay) countRefusal(req *request, f *refusal.Reply) {
	why := f.Reason()
	r.refusals.Count(int(why))
	if !why.AtLimit() {
		return
	}
	if n, due := r.refusals.Sample(int(why), req.startNs); due {
		r.opts.Logger.Warn("requests are refused at a limit", "reason", why.String(), "refused", n, "answer", f.Text, "route", req.route.name,
			"path", redact.Path(string(req.ctx.Path())), "remote", r.live.Load().remote(req.ctx), "request_id", req.name())
	}
}

// writeRefusal fills the response. It does not send it. id is the request's, or "" if
// there is no request.
func writeRefusal(res *fasthttp.Response, f *refusal.Reply, id string) {
	res.ResetBody()
	res.SetStatusCode(f.Status)
	res.Header.SetContentTypeBytes(contentTypeJSON)
	res.SetBody(f.Body(id))
	if id != "" {
		res.Header.SetCanonical(requestID, []byte(id))
	}
	if f.RetryAfter > 0 {
		res.Header.Set(fasthttp.HeaderRetryAfter, strconv.Itoa(f.RetryAfter))
	}
	if f.Plain {
		res.Header.Set(fasthttp.HeaderAcceptEncoding, coding.Identity.String())
	}
	if f.Allow != "" {
		res.Header.Set(fasthttp.HeaderAllow, f.Allow)
	}
	if f.Status == fasthttp.StatusUnauthorized {
		res.Header.Set(fasthttp.HeaderWWWAuthenticate, "Bearer")
	}
}
