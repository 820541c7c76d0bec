package fasthttp

import (
	"errors"
	"io"
	"net"
	"sync"

	"cowrelay/cow"
)

// page is the body of a pull: a window, written from the slot's own bytes.
type page struct {
	cow.Window
	relay *Relay
	conn  *conn // nil where it is not ours

	// While gather runs: what is to go out together, and the bytes before it.
	parts [][]byte
	held  []byte
	out   net.Buffers
	list  [][]byte // owns the array of out, which writing uses up
}

var pagePool = sync.Pool{New: func() any { return new(page) }}

func (r *Relay) newPage(req request) *page {
	p := pagePool.Get().(*page)
	p.relay = r
	p.conn, _ = req.ctx.Conn().(*conn)
	return p
}

// Read is never used: the server writes bodies that can write themselves.
func (p *page) Read([]byte) (int, error) { return 0, io.ErrNoProgress }

// Close lets go of the slot's bytes. The server calls it when the reply is
// written or given up.
func (p *page) Close() error {
	defer p.relay.rescue("page", nil)
	p.Reset()
	clear(p.list)
	clear(p.parts)
	p.relay, p.conn, p.parts, p.list = nil, nil, p.parts[:0], p.list[:0]
	pagePool.Put(p)
	return nil
}

// gatherBytes is the length of a part from which on the server's buffer, of 4
// KiB, is certain to be flushed and then passed by.
const gatherBytes = 3 * 4096

var errGather = errors.New("BUG: the server's buffer kept a part back")

// WriteTo writes the page to the server's buffer up to the first long part. That
// one and all others go out in one system call, together with the header, which
// the buffer still has: in four or five, as the buffer would do it, the receiver
// is woken for each.
func (p *page) WriteTo(dst io.Writer) (n int64, err error) {
	defer p.relay.rescue("page", func() {
		if err = errFault; p.conn != nil {
			p.conn.page = nil
		}
	})
	p.parts = p.parts[:0]
	for part := range p.Slices {
		p.parts = append(p.parts, part)
	}
	for i, part := range p.parts {
		if p.conn != nil && len(part) >= gatherBytes {
			m, err := p.gather(dst, p.parts[i:])
			return n + m, err
		}
		m, err := dst.Write(part)
		if n += int64(m); err != nil {
			return n, err
		}
	}
	return n, nil
}

// gather writes the first part to dst, whose buffer gives the connection what
// it holds and then the rest of the part as it is; see conn.Write.
func (p *page) gather(dst io.Writer, parts [][]byte) (n int64, err error) {
	all := p.parts
	p.parts, p.held = parts, nil
	p.conn.page = p
	_, err = dst.Write(parts[0])
	p.conn.page = nil
	if err == nil && p.parts != nil {
		err = errGather
	}
	p.parts, p.held = all, nil
	if err != nil {
		return 0, err
	}
	for _, part := range parts {
		n += int64(len(part))
	}
	return n, nil
}

// write is what conn.Write does while p gathers: it keeps the bytes that stand
// before the first part, and writes everything with its end.
func (p *page) write(c *net.TCPConn, b []byte) (int, error) {
	if p.parts == nil || len(b) == 0 {
		return 0, errGather
	}
	first := p.parts[0]
	if &b[len(b)-1] != &first[len(first)-1] {
		if p.held != nil {
			return 0, errGather
		}
		p.held = b // the buffer's own bytes: it leaves them alone until the part is written
		return len(b), nil
	}
	p.list = append(p.list[:0], p.held, b)
	p.list = append(p.list, p.parts[1:]...)
	p.parts, p.out = nil, p.list
	if _, err := p.out.WriteTo(c); err != nil {
		return 0, err
	}
	return len(b), nil
}
