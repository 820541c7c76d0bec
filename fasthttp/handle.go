package fasthttp

import (
	"bytes"
	"runtime/pprof"
	"slices"
	"time"

	"cowrelay/cow"
	"cowrelay/fasthttp/conn"
	"cowrelay/fasthttp/redact"
	"cowrelay/fasthttp/refusal"
	"cowrelay/fasthttp/trace"

	"github.com/valyala/fasthttp"
)

// handle answers one request: it admits it, calls its handler, and counts the reply.
func (r *Relay) handle(ctx *fasthttp.RequestCtx) {
	startNs := r.store.Now()
	live := r.live.Load()
	live.origins().share(&ctx.Request.Header, &ctx.Response)
	req := request{ctx: ctx, route: routeNone, startNs: startNs, id: idOf(&ctx.Request.Header)}
	defer r.rescueRequest(&req)
	if live.AccessLog {
		req.name()
	}
	if req.conn, _ = ctx.Conn().(*conn.Conn); req.conn != nil {
		defer req.conn.Arrived()
	}
	if r.opts.Tracer != nil {
		req.span = r.startSpan(&req)
	}
	why := withheld(ctx)
	req.withheld = why != ""
	serve, refused := handler(nil), decided(why)
	if refused == nil {
		serve, refused = r.admitOnce(&ctx.Request.Header, &req)
	} else {
		req.route, _ = r.find(req.conn, ctx.Request.Header.RequestURI())
		req.op = req.route.method(&ctx.Request.Header).op
	}
	req.begun = true
	r.requests.Begin(req.op)
	pprof.SetGoroutineLabels(r.labels[req.op]) // until the next request: its reply's way out has them, too
	if refused == nil {
		if err := serve(r, req); err != nil {
			refused = r.refusalOf(req.name(), err)
		}
	}
	if refused != nil {
		writeRefusal(&ctx.Response, refused, req.name())
		r.countRefusal(&req, refused)
	} else if req.id != "" {
		ctx.Response.Header.SetCanonical(requestID, []byte(req.id))
	}
	if req.withheld || refused != nil && unread(ctx) {
		refuse(ctx)
	}
	if req.conn != nil && req.conn.Unix() {
		ctx.SetConnectionClose() // clients of the socket read a reply to its end
	}
	status := ctx.Response.StatusCode()
	took := time.Duration(r.store.Now() - startNs)
	r.requests.Count(req.counts(), status, took)
	req.begun = false
	if refused == refusal.ManyFields {
		defer forget(&ctx.Request.Header)
	}
	traceID := ""
	if req.span != nil {
		traceID = req.span.TraceID()
		req.endSpan(status)
	}
	if live.AccessLog && (status >= fasthttp.StatusInternalServerError || r.sampled(live.AccessLogSample)) {
		line := []any{
			"request_id", req.id, "method", redact.Method(string(ctx.Method())), "path", redact.Path(string(ctx.Path())), "route", req.route.name,
			"status", status, "took", took, "bytes", bodyBytes(ctx), "remote", live.remote(ctx),
		}
		if traceID != "" {
			line = append(line, "trace_id", traceID)
		}
		r.opts.AccessLogger.Info("request", line...)
	}
}

// sampled says whether a request is one of the so many that are logged.
func (r *Relay) sampled(of int) bool {
	return of <= 1 || r.seen.Add(1)%uint64(of) == 0
}

// startSpan begins the span of a request, if that is to be traced.
func (r *Relay) startSpan(req *request) trace.Span {
	var asked trace.Asked
	h := &req.ctx.Request.Header
	if parents := h.PeekAll("Traceparent"); len(parents) == 1 { // more than one are none
		asked.Parent, asked.Client = string(parents[0]), uint64(r.clientOf(*req))
		if state := bytes.Join(h.PeekAll("Tracestate"), []byte{','}); len(state) <= trace.MaxState {
			asked.State = string(state)
		}
	}
	return r.opts.Tracer.Start(asked)
}

// endSpan ends the span of a request, which is traced.
func (req *request) endSpan(status int) {
	o := trace.Outcome{Method: string(req.ctx.Method()), Route: req.route.name, Status: status, RequestID: req.id}
	if !slices.Contains(knownMethods, o.Method) {
		o.Method = "" // a client may send any word
	}
	if req.slot != nil {
		o.Slot = req.slot.ID().String()
	}
	span := req.span
	req.span = nil // a panic behind this must not end it again
	span.End(o)
}

var knownMethods = []string{"GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH"}

// tracePost tells of the parts of a post, which began at that time and is answered
// now. One that the commit loop has never taken has waited all the time.
func (r *Relay) tracePost(req request, p *cow.Post, began time.Time) {
	now := time.Now()
	taken := now
	if at := p.Taken(); at != 0 {
		taken = now.Add(time.Duration(at - r.store.Now()))
	}
	if taken.Before(began) {
		taken = began // the two clocks are read one after the other
	}
	req.span.Part(trace.Queue, began, taken)
	if p.Taken() != 0 {
		req.span.Part(trace.Commit, taken, now)
	}
}

// bodyBytes is how many bytes of body a reply has, -1 if that shows when it is sent. The
// header holds it only for bodies that are streamed: for others it is set behind us.
func bodyBytes(ctx *fasthttp.RequestCtx) int {
	switch {
	case ctx.IsHead():
		return 0
	case ctx.Response.IsBodyStream():
		return max(ctx.Response.Header.ContentLength(), -1)
	}
	return len(ctx.Response.Body())
}

// unread says whether a part of a body that was wanted may be left: it came in
// chunks, or it is longer than what the server reads ahead of the handler.
func unread(ctx *fasthttp.RequestCtx) bool {
	n := ctx.Request.Header.ContentLength()
	return ctx.Request.IsBodyStream() && (n < 0 || n > conn.SmallBody)
}
