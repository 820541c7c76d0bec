package bound

import (
	"net"
	"sync"
	"sync/atomic"

	"cowrelay/bench/wire"
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
func (b *board) publish(batch []*waitingPost, t *wire.Template) {
	at := int(b.shown.Load())
	for _, p := range batch {
		event := p.body[len(wire.PostOpen) : len(p.body)-len(wire.PostClose)]
		at += copy(b.buf[at:], "id: ")
		at += copy(b.buf[at:], event[t.IdAt:t.IdAt+wire.IdDigits])
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

// comment shows one more comment, as long as there is room.
func (b *board) comment() {
	at := b.shown.Load()
	b.shown.Store(at + int64(copy(b.buf[at:], heartbeatFrame)))
	b.wake()
}
