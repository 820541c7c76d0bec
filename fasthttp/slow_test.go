package fasthttp

import (
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"cowrelay/fasthttp/stream"
)

// stuckEvents is how many events of 200 kB are more than a socket with a small buffer
// swallows.
const (
	stuckEvents = 12
	stuckBuffer = 8 << 10
)

func stuckEvent(i int) string { return bigEvent(fmt.Sprint("s", i), 200_000) }

// While a client stands still, others get each event, however long it does so.
func TestStreams_StuckClientHarmsNobody(t *testing.T) {
	t.Parallel()
	g := newRig(t, func(o *rigOptions) { o.relay.StreamWriteTimeout, o.relay.StreamSendBuffer = time.Hour, stuckBuffer })
	m := g.allocate()
	stuck := m.stream("", "")
	defer stuck.close()
	stuck.Conn.(*net.TCPConn).SetReadBuffer(4 << 10)
	other := m.stream("", "")
	elsewhere := g.allocate()
	third := elsewhere.stream("", "")
	for i := range stuckEvents {
		m.post(stuckEvent(i)).want(t, 201)
		elsewhere.post(eventN(i)).want(t, 201)
		if f := other.next(); f.data != stuckEvent(i) {
			t.Fatalf("the other stream: %.40q, want %.40q", f.data, stuckEvent(i))
		}
		if f := third.next(); f.data != eventN(i) {
			t.Fatalf("the third stream: %q, want %q", f.data, eventN(i))
		}
	}
	if n := g.relay.streams.Len(); n != 3 {
		t.Errorf("%d streams are open, want 3", n)
	}
}

// A client that stops reading is cut after the deadline, and loses nothing: it comes
// back by its last id.
func TestStreams_ClientThatStopsReading(t *testing.T) {
	t.Parallel()
	g := newRig(t, func(o *rigOptions) { o.relay.StreamWriteTimeout, o.relay.StreamSendBuffer = time.Second, stuckBuffer })
	m := g.allocate()
	stuck := m.stream("", "")
	stuck.Conn.(*net.TCPConn).SetReadBuffer(4 << 10)
	for i := range stuckEvents {
		m.post(stuckEvent(i)).want(t, 201)
	}
	g.eventually("the stuck client is cut", func() bool { return g.relay.streams.Ended(stream.EndSlow) == 1 })
	if n := g.relay.streams.Len(); n != 0 {
		t.Errorf("%d streams are open, want 0", n)
	}
	// It reads what it was sent; the last frame may be torn, no other.
	next := 0
	for {
		id, err := stuck.br.ReadString('\n')
		if err != nil {
			break
		}
		data, err := stuck.br.ReadString('\n')
		if err != nil || data != "data: "+stuckEvent(next)+"\n" || id != fmt.Sprintf("id: s%d\n", next) {
			break
		}
		if b, err := stuck.br.ReadString('\n'); err != nil || b != "\n" {
			break
		}
		next++
	}
	if next >= stuckEvents {
		t.Fatal("the client was never cut")
	}
	cursor := "Last-Event-ID: none"
	if next > 0 {
		cursor = fmt.Sprintf("Last-Event-ID: s%d", next-1)
	}
	back := m.stream("", cursor)
	for i := next; i < stuckEvents; i++ {
		if f := back.next(); f.data != stuckEvent(i) {
			t.Fatalf("after coming back: %.40q, want %.40q", f.data, stuckEvent(i))
		}
	}
}

// A client that reads slowly but steadily is not one that stopped: the deadline
// is for one piece, and a long replay takes as long as it takes.
func TestStreams_SlowButSteady(t *testing.T) {
	t.Parallel()
	g := newRig(t, func(o *rigOptions) {
		o.relay.StreamWriteTimeout = 2 * time.Second
		o.relay.StreamSendBuffer = 8 << 10 // so that each piece takes many writes
	})
	m := g.allocate()
	pad := strings.Repeat("x", 20_000)
	const events = 450 // more than is read slowly
	for i := range events {
		m.post(fmt.Sprintf(`{"event_id":"s%d","pad":"%s"}`, i, pad)).want(t, 201)
	}
	w := g.dial()
	w.Conn.(*net.TCPConn).SetReadBuffer(32 << 10) // through less, loopback is slow
	w.send("GET /v1/events/" + m.id + "/stream?since=none HTTP/1.1\nHost: x\nAuthorization: Bearer " + m.token + "\n\n")
	start, total, buf := time.Now(), 0, make([]byte, 16<<10)
	for total < events*20_000 {
		n, err := w.Conn.Read(buf)
		if total += n; err != nil {
			t.Fatalf("cut after %v and %d bytes: %v", time.Since(start), total, err)
		}
		if time.Since(start) < 2500*time.Millisecond {
			time.Sleep(5 * time.Millisecond) // 3 MB a second, a piece in 20 ms
		}
	}
	if took := time.Since(start); took < 2*time.Second {
		t.Errorf("took %v: too fast to tell", took)
	}
	if n := g.relay.streams.Ended(stream.EndSlow); n != 0 {
		t.Errorf("%d streams cut as slow", n)
	}
}
