package bound

import (
	"net"
	"sync/atomic"

	"github.com/valyala/fasthttp"

	"cowrelay/bench/wire"
)

// newFanout returns the bound of fan-out. Posts pay the same group commit as in
// the bound of post, so that both sides wait for a disk before they deliver.
// There is one slot at a time: each allocation begins a new one.
func newFanout(g *groupCommit, t *wire.Template) fasthttp.RequestHandler {
	var current atomic.Pointer[board]
	current.Store(newBoard(boardBytes))
	post := g.handler(t, func(batch []*waitingPost) { current.Load().publish(batch, t) })
	return func(ctx *fasthttp.RequestCtx) {
		switch {
		case ctx.IsPost() && len(ctx.Path()) == len("/v1/slot/allocate"):
			// The streams of the old slot must end: they hold its buffer.
			current.Swap(newBoard(boardBytes)).end()
			answerSlot(ctx)
		case ctx.IsPost():
			post(ctx)
		case len(ctx.Path()) == len("/readyz"):
			ctx.SetBodyString("ok\n")
		default:
			hijack(ctx, current.Load().stream)
		}
	}
}

// hijack gives the bare connection of a request to serve, in a goroutine of its
// own. Nothing is answered. The server keeps some KB of the request until the
// hijacker returns, so that returns at once.
func hijack(ctx *fasthttp.RequestCtx, serve func(net.Conn)) {
	ctx.HijackSetNoResponse(true)
	ctx.Hijack(func(c net.Conn) {
		if u, ok := c.(interface{ UnsafeConn() net.Conn }); ok {
			c = u.UnsafeConn()
		}
		go serve(c)
	})
}
