package bound

import (
	"net"
	"sync"
	"sync/atomic"

	"cowrelay/bench/wire"
)

// boardBytes is the room for the frames of one slot: 64 MiB of events and what
// frames add. Memory that is never written costs nothing.
const boardBytes = 256 << 20

// A board is the bound of streams: an append-only buffer of frames, and for
// each socket a goroutine with a cursor into it that a channel wakes.
//
//	published by the commit loop       not written yet
//	[ frame | frame | frame | frame ]  .....
//	      ^cursor of a slow stream   ^shown, and cursor of the others
type board struct {
	buf []byte
	// shown is how many bytes of buf may be read. The commit loop writes frames
	// and then stores shown; a stream loads shown and then reads frames.
	shown atomic.Int64
	// over is stored before the last wake-up, and loaded after each one.
	over atomic.Bool

	mu      sync.Mutex // guards readers
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
		at += copy(b.buf[at:], event[t.IDAt:t.IDAt+wire.IDDigits])
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
	// The cursor is set before the head goes out. So a client that has read the
	// head gets every later event.
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

// end ends every stream.
func (b *board) end() {
	b.over.Store(true)
	b.wake()
}

// wake wakes every stream. A stream whose wake-up is still in the channel needs
// no second one.
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

// comment shows one more comment, while there is room.
func (b *board) comment() {
	at := b.shown.Load()
	b.shown.Store(at + int64(copy(b.buf[at:], heartbeatFrame)))
	b.wake()
}
