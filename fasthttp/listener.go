package fasthttp

import (
	"net"
	"net/netip"
	"os"
	"sync"
	"time"

	"cowrelay/fasthttp/accept"
	"cowrelay/fasthttp/conn"
	"cowrelay/fasthttp/refusal"

	"github.com/valyala/fasthttp"
)

// OverConns is how many connections may be open beyond so many that have a
// place: those that were turned away and linger, and the one that is accepted.
func OverConns(most int) int { return conn.Over(most) }

// newConns returns what the relay's connections share.
func newConns(r *Relay) *conn.Set {
	return conn.NewSet(conn.Options{
		Places: r.places, MostConns: r.opts.MaxConns,
		ArrivalBytes: r.opts.RequestBytes, Grace: r.opts.grace, Now: r.opts.arrivalsNow,
		HeaderTimeout: r.opts.HeaderTimeout, IdleTimeout: r.opts.IdleTimeout,
		PieceTimeout:    r.opts.StreamWriteTimeout,
		PrologueTimeout: r.opts.HeaderTimeout,
		MayShake:        r.mayShake, CPUs: r.opts.CPUs,
		Trusted: func(peer netip.Addr) bool { return r.live.Load().proxies().Trust(peer) },
		Faulted: r.Faulted, Logger: r.opts.Logger,
	})
}

// listener gives the relay's connections their places. A connection that finds
// none is turned away with an answer.
type listener struct {
	*accept.Listener
	relay    *Relay
	prologue conn.Prologue
}

// Accept implements net.Listener.
func (l *listener) Accept() (net.Conn, error) {
	for {
		c, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		if own := l.admit(c); own != nil {
			return own, nil
		}
	}
}

// admit gives an accepted connection its place. Nil: it was turned away.
func (l *listener) admit(c net.Conn) (admitted net.Conn) {
	r := l.relay
	socket, ok := c.(accept.Socket)
	if !ok {
		return c
	}
	prologue := l.prologue
	kept, again := c.(*keptConn)
	if again {
		socket = kept.Socket
		if kept.kept.Begun {
			prologue = conn.Prologue{}
		}
	}
	own := r.conns.Open(socket, prologue)
	defer r.rescue("accept", func() {
		own.Close()
		admitted = nil
	})
	live := r.live.Load()
	if r.places.Take(&own.Place, own.Socket, accept.ClientAt(own.Peer), live.mostConns(own.Peer), l.Done()) {
		if again {
			own.Resume(kept.kept)
		}
		return own
	}
	r.refusals.Count(int(refusal.Connections))
	if own.Secure() {
		// An answer would take a handshake, which is more than the place that there
		// is not.
		own.TurnAway()
		return nil
	}
	// The reply fits into any send buffer, so this does not wait.
	c.SetWriteDeadline(time.Now().Add(time.Second))
	var res fasthttp.Response
	live.origins().share(nil, &res)
	writeRefusal(&res, refusal.ManyConns, "")
	res.SetConnectionClose()
	res.WriteTo(c)
	own.TurnAway() // gently: its request may be on its way
	return nil
}

// handed is a listener of connections that another program has accepted and kept.
type handed struct {
	kept   []conn.Kept // of the goroutine that accepts
	closed chan struct{}
	once   sync.Once
}

// keptConn is one of them.
type keptConn struct {
	accept.Socket
	kept conn.Kept
}

// Resume serves connections that another program has kept, see HandOver, as those of a
// listener. It takes their descriptors over.
func (r *Relay) Resume(kept []conn.Kept) error {
	return r.Serve(&handed{kept: kept, closed: make(chan struct{})})
}

// Accept implements net.Listener. It leaves out what has broken. When there is none
// left, it waits for Close.
func (l *handed) Accept() (net.Conn, error) {
	for len(l.kept) > 0 {
		k := l.kept[0]
		l.kept = l.kept[1:]
		f := os.NewFile(uintptr(k.FD), "connection")
		c, err := net.FileConn(f)
		f.Close()
		if err != nil {
			continue
		}
		if s, ok := c.(accept.Socket); ok {
			return &keptConn{s, k}, nil
		}
		c.Close()
	}
	<-l.closed
	return nil, net.ErrClosed
}

// Close implements net.Listener.
func (l *handed) Close() error {
	l.once.Do(func() { close(l.closed) })
	return nil
}

// Addr implements net.Listener.
func (l *handed) Addr() net.Addr { return &net.UnixAddr{Net: "unix", Name: "handed over"} }

// MakeRoom closes a connection that waits for a request, if there is one, so that
// its descriptor is free for another use.
func (r *Relay) MakeRoom() { r.places.MakeRoom() }
