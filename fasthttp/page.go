package fasthttp

import (
	"errors"
	"io"
	"os"
	"sync"
	"syscall"
	"time"

	"cowrelay/cow"
	"cowrelay/cow/frame"
)

// page is the body of a pull: a window, written from the slot's own bytes.
//
// It holds none of them while it waits for its client or for the store: it
// gives the socket what is in memory and what the socket takes at once, lets go,
// and goes on from where it was when there is room. So what a client that does
// not read can fill is the kernel's buffer of its connection (see
// Options.SendBuffer) and no memory of the slots. What pages take of that is what
// they have loaded and write at this moment, and loads are few at once
// (cow.Options.Loads): that is the cap, and no client can have a share of it for
// longer than a system call.
type page struct {
	cow.Window
	relay *Relay
	conn  *conn // nil where it is not ours

	text  []byte   // of a short page
	head  []byte   // the reply's head, and what the server wrote before it
	sent  int      // bytes of head that the socket has taken
	parts [][]byte // of one system call
	vec   vector

	try     func(fd uintptr) bool // attempt, made once
	fault   error                 // what attempt met
	left    int                   // of the piece that the client must take
	overdue int64                 // until when, on the relay's clock
}

var pagePool = sync.Pool{New: func() any {
	p := new(page)
	p.try = p.attempt
	return p
}}

func (r *Relay) newPage(req request) *page {
	p := pagePool.Get().(*page)
	p.relay = r
	p.conn, _ = req.ctx.Conn().(*conn)
	return p
}

// long says whether the page is written from the slot's own bytes. A short one is
// copied into the server's buffer, where its head is.
func (p *page) long() bool { return p.conn != nil && p.Len() >= longPage }

const longPage = 3 * 4096

// takeHead implements headTaker: it keeps a copy of the reply's head, and of what
// else was in the server's buffer before it.
func (p *page) takeHead(part []byte) { p.head = append(p.head, part...) }

// Read is never used: the server writes bodies that can write themselves.
func (p *page) Read([]byte) (int, error) { return 0, io.ErrNoProgress }

// Close ends the page. The server calls it when the reply is written or given up.
func (p *page) Close() (err error) {
	defer p.relay.rescue("page", nil)
	if p.ownsHead() {
		p.conn.head = nil
		if len(p.head) > 0 {
			err = errHead // the server drops the connection for it
		}
	}
	p.Reset()
	clear(p.parts)
	p.relay, p.conn, p.fault = nil, nil, nil
	p.head, p.sent = p.head[:0], 0
	pagePool.Put(p)
	return err
}

// ownsHead says whether the reply's head goes to the page.
func (p *page) ownsHead() bool { return p.conn != nil && p.conn.head == headTaker(p) }

var (
	errHead    = errors.New("BUG: the head of a page was not sent")
	errNotHere = errors.New("what comes next is not in memory")
)

// WriteTo writes the page. A long one goes out together with its head, in one
// system call if the socket takes it.
func (p *page) WriteTo(dst io.Writer) (n int64, err error) {
	defer p.relay.rescue("page", func() { err = errFault })
	switch {
	case p.conn == nil: // a test's
		return p.Window.WriteTo(dst)
	case !p.ownsHead():
		return p.copyTo(dst)
	}
	p.conn.head = nil
	if err := p.send(); err != nil {
		return 0, err
	}
	return int64(p.Len()), nil
}

// load brings what comes next.
func (p *page) load() error {
	err := p.Load()
	if err != nil {
		p.relay.cut(err)
	}
	return err
}

// copyTo writes a copy.
func (p *page) copyTo(dst io.Writer) (int64, error) {
	p.text = p.text[:0]
	for p.Left() > 0 {
		p.parts = p.Parts(p.parts[:0])
		n := len(p.text)
		for _, part := range p.parts {
			p.text = append(p.text, part...)
		}
		clear(p.parts)
		if p.Wrote(len(p.text) - n); p.Left() > 0 && len(p.parts) == 0 {
			if err := p.load(); err != nil {
				return 0, err
			}
		}
	}
	n, err := dst.Write(p.text)
	return int64(n), err
}

// send writes head and page. It waits for the client, and for the store.
func (p *page) send() error {
	raw, err := p.conn.rawConn()
	if err != nil {
		return err
	}
	p.overdue, p.left = 0, 0
	for p.Left() > 0 {
		p.fault = nil
		if err = raw.Write(p.try); err == nil {
			err = p.fault
		}
		switch {
		case err == nil:
			continue
		case err == errNotHere:
			err = p.load()
		case p.overdue > p.relay.clock() && errors.Is(err, os.ErrDeadlineExceeded):
			err = p.conn.writeWithin(p.overdue) // it has taken a piece since
		}
		if err != nil {
			p.conn.late(err)
			return err
		}
	}
	return nil
}

// attempt gives the socket what is in memory, until it takes no more: then it
// returns false, and is called again when there is room. Whenever it returns, p
// holds nothing of the slot.
func (p *page) attempt(fd uintptr) bool {
	for p.Left() > 0 {
		p.parts = p.parts[:0]
		if head := p.head[p.sent:]; len(head) > 0 {
			p.parts = append(p.parts, head)
		}
		ahead := len(p.parts)
		if p.parts = p.Parts(p.parts); len(p.parts) == ahead {
			p.fault = errNotHere
			return true
		}
		n, err := p.vec.write(fd, p.parts)
		clear(p.parts)
		p.wrote(n)
		switch {
		case err == syscall.EAGAIN:
			p.fault = p.patience()
			return p.fault != nil
		case err != nil:
			p.fault = os.NewSyscallError("writev", err)
			return true
		}
	}
	return true
}

func (p *page) wrote(n int) {
	p.left -= n
	k := min(n, len(p.head)-p.sent)
	p.sent += k
	p.Wrote(n - k)
}

// patience has the wait that follows end when the client has not taken a piece
// in time, or the time for the whole reply is over.
func (p *page) patience() error {
	if p.left > 0 {
		return nil
	}
	first := p.overdue == 0
	p.left = frame.MaxPiece
	p.overdue = p.relay.clock() + int64(p.relay.opts.StreamWriteTimeout)
	if !first {
		return nil // the deadline that is set comes sooner; send sets the next
	}
	return p.conn.writeWithin(p.overdue)
}

// clock is the time that deadlines of connections are in: nanoseconds since the
// relay was made.
func (r *Relay) clock() int64 { return int64(time.Since(r.started)) }
