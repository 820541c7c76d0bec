package bound

import (
	"net"
	"sync/atomic"
	"time"

	"github.com/valyala/fasthttp"
)

// idleBoards is how many groups the streams of the bound of idle are in. Each
// group gets its comment at another time, so that the comments spread over the
// heartbeat, as they do in any relay whose streams were not opened at once.
const idleBoards = 48

// idleBoardBytes is the room for comments of one group: hours of them.
const idleBoardBytes = 64 << 10

const heartbeatFrame = ": alive\n\n"

// newIdle is the bound of idle: boards as in that of fanout, a goroutine a
// socket, and one ticker that shows them a comment in turn.
func newIdle(heartbeat time.Duration) fasthttp.RequestHandler {
	boards := make([]*board, idleBoards)
	for i := range boards {
		boards[i] = newBoard(idleBoardBytes)
	}
	// For the life of the process.
	go func() {
		tick := 0
		for range time.Tick(heartbeat / idleBoards) {
			boards[tick%idleBoards].comment()
			tick++
		}
	}()
	var opened atomic.Uint32
	return func(ctx *fasthttp.RequestCtx) {
		hijack(ctx, boards[opened.Add(1)%idleBoards].stream)
	}
}

// holdStream is the bound of churn: a stream's head, and then a goroutine that
// waits for the client to close. That of idle would not notice it before its
// second write.
func holdStream(c net.Conn) {
	defer c.Close()
	if _, err := c.Write([]byte(streamHead)); err != nil {
		return
	}
	var b [1]byte
	_, _ = c.Read(b[:])
}
