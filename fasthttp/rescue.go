package fasthttp

import (
	"context"
	"runtime/debug"
	"runtime/pprof"
	"time"

	"cowrelay/fasthttp/redact"
	"cowrelay/fasthttp/refusal"

	"github.com/valyala/fasthttp"
)

// rescue, deferred, keeps a panic from ending the process: upstream recovers
// none, neither in a handler nor in what else of ours it calls. The panic is
// counted and logged with its stack; then after runs, if it is not nil, to end
// the one request, connection or stream that it was about. where is a constant
// that says what ran.
func (r *Relay) rescue(where string, after func()) {
	if fault := recover(); fault != nil {
		r.Faulted(where, fault)
		if after != nil {
			after()
		}
	}
}

// spawn runs f on a goroutine of its own, under that label; see labeled. A
// panic ends that goroutine alone.
func (r *Relay) spawn(label string, f func()) {
	go labeled(label, func() {
		defer r.rescue(label, nil)
		f()
	})
}

// rescueRequest is rescue for a request. Its client gets 500.
func (r *Relay) rescueRequest(req *request) {
	if fault := recover(); fault != nil {
		r.faulted("handler", fault, "request_id", req.name())
		writeRefusal(&req.ctx.Response, refusal.Internal, req.id)
		refuse(req.ctx)
		r.refusals.Count(int(refusal.Fault))
		if !req.begun {
			r.requests.Begin(req.op)
		}
		r.requests.Count(req.counts(), fasthttp.StatusInternalServerError, time.Duration(r.store.Now()-req.startNs))
		if req.span != nil {
			req.endSpan(fasthttp.StatusInternalServerError)
		}
	}
}

// Faulted counts and logs a panic. It is called on the goroutine that panicked,
// before its stack is gone.
func (r *Relay) Faulted(where string, fault any) { r.faulted(where, fault) }

// faulted is Faulted with more to say about it.
func (r *Relay) faulted(where string, fault any, about ...any) {
	r.panics.Add(1)
	r.opts.Logger.Error("panic", append([]any{"in", where, "panic", redact.Panic(fault), "stack", string(debug.Stack())}, about...)...)
}

// labeled runs f under a pprof label: go tool pprof -tagfocus=relay=sse.
func labeled(name string, f func()) {
	pprof.Do(context.Background(), pprof.Labels("relay", name), func(context.Context) { f() })
}
