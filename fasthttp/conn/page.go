package conn

import (
	"errors"
	"io"
	"net"
	"sync"

	"cowrelay/cow"
)

// Page is the body of a pull: a window, written from the slot's own bytes.
//
// It holds none of them while it waits for its client or for the store. It gives
// the socket what is in memory and what the socket takes at once, lets go, and
// goes on from where it was when there is room. So a client that does not read
// can fill the kernel's buffer of its connection, and no memory of the slots.
// What pages take of that is what they have loaded and write at this moment. Loads
// are few at once (cow.Options.Loads): that is the cap, and no client can have a
// share of it for longer than a system call.
//
// A long page owns its head: the server gives it what is to be sent before it,
// and both go out in one system call. Otherwise the receiver is woken for each.
type Page struct {
	cow.Window
	body Body // what is written: the window, unless Instead gave another
	set  *Set
	conn *Conn // nil where it is not ours

	text  []byte   // of a short page
	head  []byte   // the reply's head, and what the server had before it
	sent  int      // bytes of head that the socket has taken
	parts [][]byte // of one system call
	vec   vector

	try       func(fd uintptr) bool // attempt, made once
	fault     error                 // what attempt met
	pieceLeft int                   // bytes of the piece that the client must take
	overdueNs int64                 // until when, on the set's clock; 0: nothing waits
}

// Body is what a page writes. The methods are those of cow.Window.
type Body interface {
	Len() int
	Left() int
	Parts([][]byte) [][]byte
	Wrote(int)
	Load() error
}

// Instead has the page write b in the place of its window. If b is an io.Closer, Close
// closes it.
func (p *Page) Instead(b Body) { p.body = b }

// Len returns how many bytes the page writes.
func (p *Page) Len() int { return p.body.Len() }

var pagePool = sync.Pool{New: func() any {
	p := new(Page)
	p.try = p.attempt
	return p
}}

// NewPage returns an empty page for a reply on the connection.
func (s *Set) NewPage(c net.Conn) *Page {
	p := pagePool.Get().(*Page)
	p.set, p.body = s, &p.Window
	p.conn, _ = c.(*Conn)
	return p
}

// longPage is the length from which on a page is written from the slot's own
// bytes: some times the server's buffer. A shorter one is copied into that buffer,
// behind its head.
const longPage = 3 * 4096

// Long says whether the page is to own its head.
func (p *Page) Long() bool { return p.conn != nil && p.Len() >= longPage }

// TakeHead implements HeadTaker. It keeps a copy.
func (p *Page) TakeHead(part []byte) { p.head = append(p.head, part...) }

// ownsHead says whether the reply's head goes to the page.
func (p *Page) ownsHead() bool { return p.conn != nil && p.conn.head == HeadTaker(p) }

// Read is never used: the server writes bodies that can write themselves.
func (p *Page) Read([]byte) (int, error) { return 0, io.ErrNoProgress }

var errHead = errors.New("BUG: the head of a page was not sent")

// Close ends the page. The server calls it when the reply is written or given up.
func (p *Page) Close() (err error) {
	defer p.set.rescue("page", nil)
	if p.ownsHead() {
		p.conn.head = nil
		if len(p.head) > 0 {
			err = errHead // the server closes the connection for it
		}
	}
	if c, ok := p.body.(io.Closer); ok {
		c.Close()
	}
	p.Reset()
	clear(p.parts)
	p.set, p.conn, p.body, p.fault = nil, nil, nil, nil
	p.head, p.sent = p.head[:0], 0
	pagePool.Put(p)
	return err
}

// WriteTo writes the page.
func (p *Page) WriteTo(dst io.Writer) (n int64, err error) {
	defer p.set.rescue("page", func() { err = ErrFault })
	if !p.ownsHead() {
		return p.copyTo(dst)
	}
	p.conn.head = nil
	if err := p.send(); err != nil {
		return 0, err
	}
	return int64(p.Len()), nil
}

// load brings what comes next.
func (p *Page) load() error {
	err := p.body.Load()
	if err != nil {
		p.set.cuts.loadFailed(err, p.set.Now(), p.set.opts.Logger)
	}
	return err
}

// copyTo writes a copy.
func (p *Page) copyTo(dst io.Writer) (int64, error) {
	p.text = p.text[:0]
	for p.body.Left() > 0 {
		p.parts = p.body.Parts(p.parts[:0])
		n := len(p.text)
		for _, part := range p.parts {
			p.text = append(p.text, part...)
		}
		clear(p.parts)
		if p.body.Wrote(len(p.text) - n); p.body.Left() > 0 && len(p.parts) == 0 {
			if err := p.load(); err != nil {
				return 0, err
			}
		}
	}
	n, err := dst.Write(p.text)
	return int64(n), err
}
