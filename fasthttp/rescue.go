package fasthttp

import (
	"context"
	"runtime/debug"
	"runtime/pprof"

	"cowrelay/fasthttp/redact"
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

// Faulted counts and logs a panic. It is called on the goroutine that panicked,
// before its stack is gone.
func (r *Relay) Faulted(where string, fault any) {
	r.panics.Add(1)
	r.opts.Logger.Error("panic", "in", where, "panic", redact.Panic(fault), "stack", string(debug.Stack()))
}

// labeled runs f under a pprof label: go tool pprof -tagfocus=relay=sse.
func labeled(name string, f func()) {
	pprof.Do(context.Background(), pprof.Labels("relay", name), func(context.Context) { f() })
}
