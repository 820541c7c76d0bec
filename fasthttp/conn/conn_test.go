package conn

import (
	"bytes"
	"errors"
	"io"
	"log/slog"
	"net"
	"testing"
	"time"

	"cowrelay/fasthttp/accept"
	"cowrelay/fasthttp/stream"
)

// rig is a set, and connections of it over loopback.
type rig struct {
	testing.TB
	*Set
	faults []string // where panics were
}

func newRig(t testing.TB, edit func(*Options)) *rig {
	g := &rig{TB: t}
	opts := Options{
		Places: accept.NewPlaces("public", 10), MostConns: 10, ArrivalBytes: 32 << 20, PieceTimeout: time.Minute,
		Logger: slog.New(slog.DiscardHandler), Faulted: func(where string, _ any) { g.faults = append(g.faults, where) },
	}
	if edit != nil {
		edit(&opts)
	}
	g.Set = NewSet(opts)
	return g
}

// pair returns a client and the connection that is served.
func (g *rig) pair() (client *net.TCPConn, served *Conn) {
	g.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		g.Fatal(err)
	}
	defer ln.Close()
	c, err := net.Dial("tcp", ln.Addr().String())
	if err != nil {
		g.Fatal(err)
	}
	g.Cleanup(func() { c.Close() })
	s, err := ln.Accept()
	if err != nil {
		g.Fatal(err)
	}
	served = g.Open(s.(*net.TCPConn), Prologue{})
	if !g.opts.Places.Take(&served.Place, served.Socket, accept.ClientAt(served.Peer), 0, nil) {
		g.Fatal("no place")
	}
	g.Cleanup(func() { served.Close() })
	return c.(*net.TCPConn), served
}

// headFunc is a HeadTaker.
type headFunc func([]byte)

func (f *headFunc) TakeHead(part []byte) { (*f)(part) }

// What is written goes to who owns the head, and then to the socket again.
func TestConn_GiveHead(t *testing.T) {
	g := newRig(t, nil)
	client, c := g.pair()
	var taken bytes.Buffer
	take := headFunc(func(part []byte) { taken.Write(part) })
	c.GiveHead(&take)
	for _, part := range []string{"the ", "head"} {
		if n, err := c.Write([]byte(part)); n != len(part) || err != nil {
			t.Errorf("%d, %v", n, err)
		}
	}
	c.GiveHead(nil)
	c.Write([]byte("the rest"))
	c.Close()
	if got, err := io.ReadAll(client); taken.String() != "the head" || string(got) != "the rest" || err != nil {
		t.Errorf("%q was taken, %q sent, %v", taken.String(), got, err)
	}
}

// A fault in a read, a write or a close is told of and returned, and the
// connection can be closed.
func TestConn_Faults(t *testing.T) {
	faulty := headFunc(func([]byte) { panic("BUG: a panic for this test") })
	for where, do := range map[string]func(*Conn) error{
		"read": func(c *Conn) error {
			c.FirstByte() // it has to be booked, by a clock that is broken
			_, err := c.Read(make([]byte, 10))
			return err
		},
		"write": func(c *Conn) error {
			c.GiveHead(&faulty)
			_, err := c.Write([]byte("x"))
			return err
		},
		"close": func(c *Conn) error {
			c.Opens(new(stream.Stream)) // which nobody opened
			if err := c.Close(); err != nil {
				return err
			}
			return ErrFault
		},
	} {
		g := newRig(t, func(o *Options) {
			o.ArrivalBytes = 1 // nothing is loose
			o.Now = func() int64 { panic("BUG: a panic for this test") }
		})
		_, c := g.pair()
		if err := do(c); !errors.Is(err, ErrFault) {
			t.Errorf("%s: %v", where, err)
		}
		if len(g.faults) != 1 || g.faults[0] != where {
			t.Errorf("%s: faults in %q", where, g.faults)
		}
		c.Close()
		if n, places := g.Len(), g.opts.Places.Used(); n != 0 || places != 0 {
			t.Errorf("%s: %d connections and %d places stay", where, n, places)
		}
	}
}

// A page that is closed with its head unsent says so: else the server would go
// on with a reply that has no head.
func TestPage_HeadIsNotLost(t *testing.T) {
	g := newRig(t, nil)
	_, c := g.pair()
	p := g.NewPage(c)
	c.GiveHead(p)
	c.Write([]byte("HTTP/1.1 200 OK\r\n\r\n"))
	if err := p.Close(); err != errHead {
		t.Errorf("%v, want %v", err, errHead)
	}
	if c.head != nil {
		t.Error("the connection still gives its writes to the page")
	}
	p = g.NewPage(c)
	if c.GiveHead(p); p.Close() != nil {
		t.Error("a page that was given nothing fails")
	}
}
