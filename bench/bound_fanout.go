package bench

import (
	"net"
	"sync"
	"sync/atomic"

	"github.com/valyala/fasthttp"
)

// boardBytes is the room for the frames of one slot: a slot's 64 MiB with what
// frames add. Pages that are never written cost nothing.
const boardBytes = 256 << 20

// A board is the bound of fan-out: an append-only buffer of frames, and for
// each socket a goroutine with a cursor into it, woken by a channel. Posts pay
// the same group commit as in the bound of post, so that both sides wait for a
// disk before an event is delivered.
type board struct {
	buf []byte
	// shown is how much of buf may be read. The commit loop writes the frames
	// before it stores shown; a stream loads shown before it reads them.
	shown atomic.Int64
	// over is stored before the last wake-up and loaded after each one.
	over atomic.Bool

	mu      sync.Mutex
	readers map[chan struct{}]struct{}
}

func newBoard(bytes int) *board {
	return &board{buf: make([]byte, bytes), readers: map[chan struct{}]struct{}{}}
}

// publish appends the frames of a batch and wakes every stream.
func (b *board) publish(batch []*waitingPost, t *template) {
	at := int(b.shown.Load())
	for _, p := range batch {
		event := p.body[len(postOpen) : len(p.body)-len(postClose)]
		at += copy(b.buf[at:], "id: ")
		at += copy(b.buf[at:], event[t.idAt:t.idAt+idDigits])
		at += copy(b.buf[at:], "\ndata: ")
		at += copy(b.buf[at:], event)
		at += copy(b.buf[at:], "\n\n")
	}
	b.shown.Store(int64(at))
	b.wake()
}

const streamHead = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nCache-Control: no-cache\r\nX-Accel-Buffering: no\r\n\r\n: ok\n\n"

// stream writes what is shown to c until a write fails.
func (b *board) stream(c net.Conn) {
	wake := make(chan struct{}, 1)
	b.mu.Lock()
	b.readers[wake] = struct{}{}
	cursor := b.shown.Load()
	b.mu.Unlock()
	defer func() {
		b.mu.Lock()
		delete(b.readers, wake)
		b.mu.Unlock()
		c.Close()
	}()
	// The head goes out after the cursor stands: whoever has read it gets every
	// later event.
	if _, err := c.Write([]byte(streamHead)); err != nil {
		return
	}
	for {
		shown := b.shown.Load()
		if shown == cursor {
			if b.over.Load() {
				return
			}
			<-wake
			continue
		}
		if _, err := c.Write(b.buf[cursor:shown]); err != nil {
			return
		}
		cursor = shown
	}
}

// newFanoutBound serves one slot at a time: each allocation begins a new one.
func newFanoutBound(g *groupCommit, t *template) fasthttp.RequestHandler {
	var current atomic.Pointer[board]
	current.Store(newBoard(boardBytes))
	post := g.handler(t, func(batch []*waitingPost) { current.Load().publish(batch, t) })
	return func(ctx *fasthttp.RequestCtx) {
		switch {
		case ctx.IsPost() && len(ctx.Path()) == len("/v1/slot/allocate"):
			// Its streams must go before the next slot: they hold its buffer.
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

// hijack gives the bare connection of a request to serve, without an answer.
// That runs in a goroutine of its own: the server keeps what belongs to the
// request, some KB, until the function that it calls returns.
func hijack(ctx *fasthttp.RequestCtx, serve func(net.Conn)) {
	ctx.HijackSetNoResponse(true)
	ctx.Hijack(func(c net.Conn) {
		if u, ok := c.(interface{ UnsafeConn() net.Conn }); ok {
			c = u.UnsafeConn()
		}
		go serve(c)
	})
}

// end lets every stream end.
func (b *board) end() {
	b.over.Store(true)
	b.wake()
}

// wake wakes every stream; one that is woken already needs no second wake-up.
func (b *board) wake() {
	b.mu.Lock()
	defer b.mu.Unlock()
	for c := range b.readers {
		select {
		case c <- struct{}{}:
		default:
		}
	}
}
