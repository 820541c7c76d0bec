package fasthttp

import (
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"time"
)

// An event that is published between the subscription and the moment when the
// connection is the stream's own is written after the head, not before it, and
// not into nothing.
func TestOpening_WhileEventsCome(t *testing.T) {
	t.Parallel()
	g := newRig(t)
	m := g.allocate()
	stop := make(chan struct{})
	var wg sync.WaitGroup
	for p := range 4 {
		wg.Go(func() {
			for i := 0; ; i++ {
				select {
				case <-stop:
					return
				default:
				}
				if r, err := m.tryCall("POST", "/v1/events/"+m.id, m.token, fmt.Sprintf(`{"event":{"event_id":"p%d-%d"}}`, p, i)); err != nil || r.status != 201 {
					t.Errorf("post: %d, %v", r.status, err)
					return
				}
			}
		})
	}
	streams := 400
	if testing.Short() {
		streams = 150 // the plain run takes more
	}
	for range streams {
		s := m.stream("", "") // fails unless the head comes first, and whole
		s.next()
		s.close()
	}
	close(stop)
	wg.Wait()
	if n := g.relay.panics.Load(); n != 0 {
		t.Errorf("%d streams met a fault as they opened", n)
	}
}

// A client that is gone before its stream has the connection leaves nothing
// behind: a reply that was held back for the request in front fails then.
func TestOpening_ClientGone(t *testing.T) {
	g := newRig(t)
	m := g.allocate()
	send := strings.Repeat("GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n", 3) +
		"GET /v1/events/" + m.id + "/stream HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer " + m.token + "\r\n\r\n"
	for range 300 {
		c, err := net.Dial("tcp", g.addr)
		if err != nil {
			t.Fatal(err)
		}
		io.WriteString(c, send)
		c.(*net.TCPConn).SetLinger(0) // a reset
		c.Close()
	}
	end := time.Now().Add(5 * time.Second)
	for g.relay.conns.Len() > 1 && time.Now().Before(end) {
		time.Sleep(time.Millisecond)
	}
	g.eventually("no stream stays", func() bool { return g.relay.streams.Len() == 0 && g.store.Stats().Subscribers.Load() == 0 })
}
