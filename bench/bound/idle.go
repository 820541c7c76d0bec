package bound

import (
	"net"
	"sync/atomic"
	"time"

	"github.com/valyala/fasthttp"
)

// idleBoards is how many groups of streams there are. Each group gets its
// comments at another time, so that the comments spread over the heartbeat, as
// in a relay whose streams were not all opened at once.
const idleBoards = 48

// idleBoardBytes is the room for the comments of one group: hours of them.
const idleBoardBytes = 64 << 10

const heartbeatFrame = ": alive\n\n"

// newIdle returns the bound of idle: a board for each group, a goroutine for
// each socket, and one ticker that shows the boards a comment in turn.
func newIdle(heartbeat time.Duration) fasthttp.RequestHandler {
	boards := make([]*board, idleBoards)
	for i := range boards {
		boards[i] = newBoard(idleBoardBytes)
	}
	// It lives as long as the process.
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

// holdStream is the bound of churn: it sends a stream's head and waits for the
// client to leave. A board would not notice that before its second write.
func holdStream(c net.Conn) {
	defer c.Close()
	if _, err := c.Write([]byte(streamHead)); err != nil {
		return
	}
	var b [1]byte
	_, _ = c.Read(b[:])
}
