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
	held  []byte   // what the server's buffer gave us ahead of the page
	head  []byte   // what is left to write of it
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

// Read is never used: the server writes bodies that can write themselves.
func (p *page) Read([]byte) (int, error) { return 0, io.ErrNoProgress }

// Close ends the page. The server calls it when the reply is written or given up.
func (p *page) Close() error {
	defer p.relay.rescue("page", nil)
	p.Reset()
	clear(p.parts)
	p.relay, p.conn, p.held, p.head, p.fault = nil, nil, nil, nil, nil
	pagePool.Put(p)
	return nil
}

// gatherBytes is the length from which on a write to the server's buffer, of 4
// KiB, is certain to flush it and then to pass it by. A page that is shorter is
// copied.
const gatherBytes = 3 * 4096

// trigger stands for a page in the server's buffer: the page's own bytes would be
// held by the server for as long as the client keeps it waiting.
var trigger = make([]byte, gatherBytes)

var (
	errGather  = errors.New("BUG: the server's buffer kept a part back")
	errNotHere = errors.New("what comes next is not in memory")
)

// WriteTo writes the page. A long one goes out together with the header, which
// the server's buffer still has, in one system call if the socket takes it: in
// several, as the buffer would do it, the receiver is woken for each.
func (p *page) WriteTo(dst io.Writer) (n int64, err error) {
	defer p.relay.rescue("page", func() {
		if err = errFault; p.conn != nil {
			p.conn.page = nil
		}
	})
	switch {
	case p.conn == nil: // a test's
		return p.Window.WriteTo(dst)
	case p.Len() < gatherBytes:
		return p.copyTo(dst)
	}
	if err := p.gather(dst); err != nil {
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

// gather has the server's buffer give the connection what it holds, and then
// writes the page; see conn.Write.
func (p *page) gather(dst io.Writer) error {
	p.conn.page = p
	_, err := dst.Write(trigger)
	p.conn.page = nil
	if err == nil && p.Left() > 0 {
		err = errGather
	}
	return err
}

// write is what conn.Write does while p gathers: it keeps what the buffer holds,
// which ends with the beginning of the trigger, and with the trigger's end
// writes the page.
func (p *page) write(b []byte) (int, error) {
	if len(b) == 0 || p.Left() == 0 {
		return 0, errGather
	}
	if &b[len(b)-1] != &trigger[gatherBytes-1] {
		if p.held != nil {
			return 0, errGather
		}
		p.held = b // the buffer's own bytes: it leaves them alone until this write is done
		return len(b), nil
	}
	before := len(p.held) - (gatherBytes - len(b))
	if before < 0 {
		return 0, errGather
	}
	p.head = p.held[:before]
	if err := p.send(); err != nil {
		return 0, err
	}
	return len(b), nil
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
		if len(p.head) > 0 {
			p.parts = append(p.parts, p.head)
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
	k := min(n, len(p.head))
	p.head = p.head[k:]
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
