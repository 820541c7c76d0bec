package conn

import (
	"errors"
	"os"
	"syscall"

	"cowrelay/cow/frame"
)

var errNotHere = errors.New("what comes next is not in memory")

// send writes head and page. It waits for the client, and for the store.
func (p *Page) send() error {
	raw, err := p.conn.rawConn()
	if err != nil {
		return err
	}
	p.overdueNs, p.pieceLeft = 0, 0
	for p.body.Left() > 0 || p.unsent() {
		p.fault = nil
		if err = raw.Write(p.try); err == nil {
			err = p.fault
		}
		switch {
		case err == nil:
			continue
		case err == errNotHere:
			err = p.load()
		case p.overdueNs > p.set.Now() && errors.Is(err, os.ErrDeadlineExceeded):
			err = p.conn.writeWithin(p.overdueNs) // it has taken a piece since
		}
		if err != nil {
			p.conn.late(err)
			return err
		}
	}
	return nil
}

// attempt gives the socket what is in memory, until it takes no more. Then it
// returns false, and is called again when there is room. Whenever it returns, p
// holds nothing of the slot.
func (p *Page) attempt(fd uintptr) bool {
	for p.body.Left() > 0 || p.unsent() {
		p.parts = p.parts[:0]
		if head := p.head[p.sent:]; len(head) > 0 {
			p.parts = append(p.parts, head)
		}
		ahead := len(p.parts)
		if p.parts = p.body.Parts(p.parts); len(p.parts) == ahead && p.body.Left() > 0 {
			p.fault = errNotHere
			return true
		}
		n, err := p.give(fd)
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

// give gives what is next to the socket, or to what stands before it.
func (p *Page) give(fd uintptr) (int, error) {
	if s := p.conn.secure; s != nil {
		return s.Give(fd, p.parts)
	}
	return p.vec.write(fd, p.parts)
}

// unsent says whether a part of the page was taken and has not left. Then nothing of
// the slot is held, but its sealed bytes are.
func (p *Page) unsent() bool { return p.conn.secure != nil && p.conn.secure.Unsent() }

func (p *Page) wrote(n int) {
	p.set.out.Add(uint64(n))
	p.pieceLeft -= n
	k := min(n, len(p.head)-p.sent)
	p.sent += k
	p.body.Wrote(n - k)
}

// patience has the wait that follows end when the client has not taken a piece
// in time, or when the time for the whole reply is over.
func (p *Page) patience() error {
	if p.pieceLeft > 0 {
		return nil
	}
	first := p.overdueNs == 0
	p.pieceLeft = frame.MaxPiece
	p.overdueNs = p.conn.pieceDeadline()
	if !first {
		return nil // the deadline that is set comes sooner; send sets the next
	}
	return p.conn.writeWithin(p.overdueNs)
}
