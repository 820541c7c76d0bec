package fasthttp

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"testing"
	"time"
)

// The connections that a relay lets go of are served on by another one, here in the same
// process, without a byte lost: those that are idle, one that has sent nothing yet, one
// whose request comes while nobody reads, and one whose request is under way, which the
// first relay answers.
func TestHandOver_Connections(t *testing.T) {
	t.Parallel()
	first, second := newRig(t), newRig(t)
	ask := func(c net.Conn) error {
		_, err := io.WriteString(c, "GET /healthz HTTP/1.1\r\nHost: relay\r\n\r\n")
		return err
	}
	answer := func(c net.Conn, r *bufio.Reader) error {
		c.SetReadDeadline(time.Now().Add(time.Minute))
		res, err := http.ReadResponse(r, nil)
		if err != nil {
			return err
		}
		body, err := io.ReadAll(res.Body)
		if err != nil || string(body) != "ok\n" || res.Close {
			return fmt.Errorf("%s %q %v, close %v", res.Status, body, err, res.Close)
		}
		return nil
	}
	const idle, fresh, busy = 20, 3, 2
	var conns []net.Conn
	var readers []*bufio.Reader
	for i := range idle + fresh + busy {
		c, err := net.Dial("tcp", first.addr)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		conns, readers = append(conns, c), append(readers, bufio.NewReader(c))
		switch {
		case i < idle:
			if err := ask(c); err != nil {
				t.Fatal(err)
			}
			if err := answer(c, readers[i]); err != nil {
				t.Fatal(err)
			}
		case i >= idle+fresh: // half a request
			before := first.relay.conns.Arrivals.Used()
			io.WriteString(c, "GET /healthz HTTP/1.1\r\nHo")
			eventually(t, "it has begun", func() bool { return first.relay.conns.Arrivals.Used() > before })
		}
	}
	eventually(t, "all are accepted", func() bool { return first.relay.conns.Len() == int64(len(conns)) })
	var rest sync.WaitGroup
	for i := idle + fresh; i < len(conns); i++ {
		rest.Go(func() {
			<-first.relay.drain
			io.WriteString(conns[i], "st: relay\r\n\r\n")
			if err := answer(conns[i], readers[i]); err != nil {
				t.Errorf("under way: %v", err)
			}
		})
	}
	kept, err := first.relay.HandOver(context.Background())
	if err != nil || len(kept) != len(conns) {
		t.Fatalf("%d of %d connections are kept, %v", len(kept), len(conns), err)
	}
	rest.Wait()
	for i := range idle / 2 { // nobody reads them now
		if err := ask(conns[i]); err != nil {
			t.Fatal(err)
		}
	}
	served := make(chan error, 1)
	go func() { served <- second.relay.Resume(kept) }()
	for i, c := range conns {
		if i >= idle/2 {
			if err := ask(c); err != nil {
				t.Fatal(err)
			}
		}
		if err := answer(c, readers[i]); err != nil {
			t.Errorf("connection %d: %v", i, err)
		}
	}
	if n := second.relay.conns.Len(); n != int64(len(conns)) {
		t.Errorf("the second relay has %d connections of %d", n, len(conns))
	}
	if _, err := first.relay.HandOver(context.Background()); err == nil {
		t.Error("a relay is handed over twice")
	}
}

// A resumed connection that stays silent ends like any other that is idle, and is told
// nothing: it has sent no request.
func TestHandOver_SilentConnection(t *testing.T) {
	t.Parallel()
	first := newRig(t)
	second := newRig(t, func(o *rigOptions) { o.relay.IdleTimeout = 50 * time.Millisecond })
	c, err := net.Dial("tcp", first.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	eventually(t, "it is accepted", func() bool { return first.relay.conns.Len() == 1 })
	kept, err := first.relay.HandOver(context.Background())
	if err != nil || len(kept) != 1 {
		t.Fatal(kept, err)
	}
	go second.relay.Resume(kept)
	c.SetReadDeadline(time.Now().Add(time.Minute))
	if text, err := io.ReadAll(c); err != nil || len(text) != 0 {
		t.Errorf("%q %v", text, err)
	}
}
