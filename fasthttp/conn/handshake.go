package conn

import (
	"crypto/tls"
	"errors"
	"io"
	"os"
	"time"

	"cowrelay/fasthttp/accept"
	"cowrelay/fasthttp/secure"
)

// Results of handshakes. They are labels of a metric.
const (
	HandshakeFull    = iota // a new session
	HandshakeResumed        // an earlier session, taken up
	HandshakeFailed         // the two can't agree, the client left, or it speaks no TLS
	HandshakeLate           // it took too long
	HandshakeRoom           // there was no memory for it
	HandshakeRate           // the client makes too many
	handshakeResults
)

// HandshakeNames are the results' names.
var HandshakeNames = [handshakeResults]string{"full", "resumed", "failed", "late", "room", "rate"}

// A handshake costs a client little and the relay much: up to a millisecond of a
// processor. So there are two bounds. Options.MayShake says how many a client may make.
// And those that compute take turns by client, and leave a share of the processors to
// all others; see gate.

// handshake runs that of TLS.
func (c *Conn) handshake() error {
	if client, ok := c.set.opts.MayShake(c); !ok {
		c.set.tooMany(client)
		c.rest(refusedRest)
		return io.EOF
	}
	begun, first := c.begun, true
	turn := turn{gate: c.set.gate, client: c.arriving.peer}
	defer turn.leave() // also if a fault ends the connection: others wait for the place
	late := time.NewTimer(c.set.opts.PrologueTimeout)
	defer late.Stop()
	err := c.secure.Handshake(secure.Steps{
		Waits: func() error {
			turn.leave()
			if c.cut.Load() {
				return ErrNoRoom
			}
			if first { // so far it is a connection that says nothing
				first = false
				return nil
			}
			c.begun = true
			return c.set.Arrivals.wait(&c.arriving)
		},
		Computes: func() error { return turn.enter(late.C) },
	})
	turn.leave()
	c.Arrived()
	c.begun = begun
	result := HandshakeFull
	var plain tls.RecordHeaderError
	switch {
	case err == nil && c.secure.Resumed():
		result = HandshakeResumed
	case err == nil:
	case c.cut.Load():
		result, err = HandshakeRoom, io.EOF
	case errors.Is(err, os.ErrDeadlineExceeded):
		result, err = HandshakeLate, io.EOF
	case errors.As(err, &plain) && plain.Conn != nil && proxyHeader(plain.RecordHeader[:]):
		c.set.proxy[ProxyUntrusted].Add(1)
		result, err = HandshakeFailed, ErrProxyHeader
		c.secure.Bare()
	case errors.As(err, &plain) && plain.Conn != nil && letters(plain.RecordHeader[:3]):
		result, err = HandshakeFailed, ErrPlain
		c.secure.Bare()
	default:
		c.set.opts.Logger.Debug("a handshake failed", "remote", c.Peer, "error", err)
		result, err = HandshakeFailed, io.EOF
	}
	c.set.handshakes[result].Add(1)
	return err
}

// letters says whether text is capital letters, as a method of HTTP is.
func letters(text []byte) bool {
	for _, b := range text {
		if b < 'A' || b > 'Z' {
			return false
		}
	}
	return true
}

// refusedRest is how long a refused connection stays open. Who begins the next one when
// one is closed takes less of the processors so. Until then the connection gives its
// place to whoever needs it.
const refusedRest = 250 * time.Millisecond

// rest waits for so long, or until the connection is closed or gives its place up. It
// reads nothing.
func (c *Conn) rest(most time.Duration) {
	raw, err := c.base.SyscallConn()
	if err != nil || c.base.SetReadDeadline(time.Now().Add(most)) != nil {
		return
	}
	raw.Read(func(uintptr) bool { return c.Evicted() }) // an eviction wakes the read
}

// tooManyEvery is the time between two lines in the log about refused handshakes.
const tooManyEvery = 10 * time.Second

// tooMany counts a handshake that was refused because the client makes too many, and
// tells of it now and then.
func (s *Set) tooMany(client accept.Client) {
	n := s.handshakes[HandshakeRate].Add(1)
	now, last := s.Now(), s.toldTooMany.Load()
	if last != 0 && now-last < int64(tooManyEvery) || !s.toldTooMany.CompareAndSwap(last, now) {
		return
	}
	s.opts.Logger.Warn("a client begins more TLS handshakes than it may: its connections are closed. If many clients stand behind the address, raise the class handshake of --rate-limits",
		"client", client.String(), "refused", n)
}
