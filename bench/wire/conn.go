package wire

import (
	"bufio"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"time"
)

// SmallBuffer is the size of the read buffer of connections that carry small
// answers, in bytes.
const SmallBuffer = 4 << 10

// DialTimeout is the longest time that one connect may take.
const DialTimeout = 5 * time.Second

// A Conn is one keep-alive connection of the generator. It writes requests that
// were serialized before, and reads the status and the length of the answers.
// It belongs to one goroutine; only Close may be called from another.
type Conn struct {
	TCP    *net.TCPConn // for deadlines
	stream net.Conn     // TCP, or TLS over it
	br     *bufio.Reader
	sink   truncSink
}

// Dial connects to addr. The read buffer has so many bytes, and a response head
// must fit into it.
func Dial(ctx context.Context, addr string, buffer int) (*Conn, error) {
	return DialFrom(ctx, nil, addr, buffer)
}

// DialFrom is Dial from the next address of src. With nil, the system chooses
// the address.
func DialFrom(ctx context.Context, src *Sources, addr string, buffer int) (*Conn, error) {
	d := net.Dialer{Timeout: DialTimeout, KeepAlive: -1} // TCP keep-alive would cost four system calls
	src.bind(&d)
	addr, secure := split(addr)
	c, err := d.DialContext(ctx, "tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("cannot connect: %w", err)
	}
	tc := c.(*net.TCPConn)
	rc := &Conn{TCP: tc, stream: tc}
	if secure != nil {
		client := tls.Client(tc, secure)
		handshake, cancel := context.WithTimeout(ctx, DialTimeout)
		defer cancel()
		if err := client.HandshakeContext(handshake); err != nil {
			tc.Close()
			return nil, fmt.Errorf("cannot agree on TLS: %w", err)
		}
		rc.stream = client
	}
	rc.br = bufio.NewReaderSize(rc.stream, buffer)
	if err := rc.sink.init(tc); err != nil {
		tc.Close()
		return nil, err
	}
	return rc, nil
}

func (c *Conn) Close() { c.TCP.Close() }

// Send writes one request and reads the head of its answer.
func (c *Conn) Send(req []byte) (Head, error) {
	if _, err := c.stream.Write(req); err != nil {
		return Head{}, fmt.Errorf("cannot write request: %w", err)
	}
	h, err := readHead(c.br)
	if err != nil {
		return h, fmt.Errorf("cannot read response: %w", err)
	}
	return h, nil
}

// Exchange is Send for answers that must have a Content-Length.
func (c *Conn) Exchange(req []byte) (Head, error) {
	h, err := c.Send(req)
	if err == nil && h.Length < 0 {
		err = errNoLength
	}
	return h, err
}

// Body reads a body of n bytes into buf, which it grows if it is too small.
func (c *Conn) Body(buf []byte, n int) ([]byte, error) {
	if cap(buf) < n {
		buf = make([]byte, n)
	}
	buf = buf[:n]
	if _, err := io.ReadFull(c.br, buf); err != nil {
		return buf, fmt.Errorf("cannot read body: %w", err)
	}
	return buf, nil
}

// Skip drops a body of n bytes without copying it.
func (c *Conn) Skip(n int) error {
	if have := min(n, c.br.Buffered()); have > 0 {
		if _, err := c.br.Discard(have); err != nil {
			return err
		}
		n -= have
	}
	if n > 0 && c.stream != net.Conn(c.TCP) {
		_, err := io.CopyN(io.Discard, c.stream, int64(n))
		return err
	}
	if n > 0 {
		return c.sink.drop(n)
	}
	return nil
}
