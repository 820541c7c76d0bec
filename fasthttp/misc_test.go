package fasthttp

import (
	"context"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// I5: of many posters of one id exactly one stores it, and all hear so.
func TestPost_OneIDOfMany(t *testing.T) {
	t.Parallel()
	g := newRig(t)
	m := g.allocate()
	for round := range 10 {
		var stored, duplicate atomic.Int32
		var wg sync.WaitGroup
		for range 16 {
			wg.Go(func() {
				r, err := m.tryCall("POST", "/v1/events/"+m.id, m.token, `{"event":`+eventN(round)+`}`)
				switch {
				case err == nil && r.status == 201:
					stored.Add(1)
				case err == nil && r.status == 200:
					duplicate.Add(1)
				default:
					t.Errorf("%d, %v", r.status, err)
				}
			})
		}
		wg.Wait()
		if stored.Load() != 1 || duplicate.Load() != 15 {
			t.Errorf("%d stored, %d duplicates; want 1 and 15", stored.Load(), duplicate.Load())
		}
	}
	if got := m.pull(""); len(got) != 10 {
		t.Errorf("%d events, want 10", len(got))
	}
}

// Posts, pulls, streams and the removal of their slot at once: each gets one of
// the answers that the contract knows, and nothing stays.
func TestDelete_Races(t *testing.T) {
	t.Parallel()
	g := newRig(t)
	for range 20 {
		m := g.allocate()
		m.fill(2)
		var wg sync.WaitGroup
		call := func(method, path string, body any, statuses ...int) {
			wg.Go(func() {
				r, err := g.tryCall(method, path, m.owner, body)
				if err != nil {
					t.Errorf("%s: %v", method, err)
					return
				}
				for _, s := range statuses {
					if r.status == s {
						return
					}
				}
				t.Errorf("%s %s: %d %s", method, path, r.status, r.body)
			})
		}
		s := m.stream("?since=none", "")
		s.want(0, 2)
		for i := range 4 {
			call("POST", "/v1/events/"+m.id, `{"event":`+eventN(10+i)+`}`, 201, 404)
			call("GET", "/v1/events/"+m.id+"?wait=1&since=e1", nil, 200, 404)
			call("GET", "/v1/slot/"+m.id+"/state", nil, 200, 404)
			if i == 1 {
				call("DELETE", "/v1/slot/"+m.id, nil, 204, 404)
				call("DELETE", "/v1/slot/"+m.id, nil, 204, 404)
			}
		}
		wg.Wait()
		for {
			if _, err := s.readFrame(); err != nil {
				if err != io.EOF {
					t.Errorf("the stream ends with %v", err)
				}
				break
			}
		}
		g.call("GET", "/v1/events/"+m.id, m.token, nil).want(t, 404)
	}
	g.eventually("no stream stays", func() bool { return g.relay.streams.Len() == 0 && g.store.Stats().Subscribers.Load() == 0 })
	if n := g.store.Stats().Events.Load(); n != 0 || g.store.Len() != 0 {
		t.Errorf("%d events in %d slots stay", n, g.store.Len())
	}
}

// A client that asks for a page and does not read it is cut at the write
// timeout, and takes nobody with it.
func TestPull_ClientThatStopsReading(t *testing.T) {
	t.Parallel()
	g := newRig(t, func(o *rigOptions) { o.relay.WriteTimeout = 2 * time.Second })
	m := g.allocate()
	pad := strings.Repeat("x", 250_000)
	for i := range 16 {
		m.post(fmt.Sprintf(`{"event_id":"b%d","pad":"%s"}`, i, pad)).want(t, 201)
	}
	var stuck []*wire
	for range 8 {
		w := g.dial()
		w.Conn.(*net.TCPConn).SetReadBuffer(4 << 10)
		for range 3 { // more than loopback swallows
			w.send("GET /v1/events/" + m.id + " HTTP/1.1\nHost: x\nAuthorization: Bearer " + m.token + "\n\n")
		}
		stuck = append(stuck, w)
	}
	if got := m.pull("?limit=1"); len(got) != 1 {
		t.Error("another reader is disturbed")
	}
	g.client.CloseIdleConnections()
	g.eventually("the stuck clients are cut", func() bool { return g.relay.conns.Len() == 0 })
	for _, w := range stuck {
		w.Close()
	}
	if got := m.pull(""); len(got) != 16 {
		t.Errorf("%d events", len(got))
	}
}

// A post whose body is still coming when the drain begins is answered.
func TestDrain_PostUnderWay(t *testing.T) {
	t.Parallel()
	g := newRig(t)
	m := g.allocate()
	body := `{"event":` + bigEvent("half", 100_000) + `}`
	w := g.dial()
	w.send("POST /v1/events/" + m.id + " HTTP/1.1\nHost: x\nContent-Type: application/json\nAuthorization: Bearer " + m.token +
		fmt.Sprintf("\nContent-Length: %d\n\n", len(body)) + body[:50_000])
	g.eventually("the body is under way", func() bool { return g.relay.conns.Arrivals.Used() >= int64(len(body)) })
	done := make(chan struct{})
	go func() {
		defer close(done)
		g.stop()
	}()
	g.eventually("the drain began", func() bool { return !g.relay.Ready() })
	time.Sleep(30 * time.Millisecond)
	w.send(body[50_000:])
	if r := w.reply("POST").want(t, 201); !r.close {
		t.Error("the connection goes on in a drain")
	}
	<-done
	g.start()
	if got := m.pull(""); len(got) != 1 {
		t.Errorf("%d events after the restart, want 1", len(got))
	}
}

// What does not end by itself is cut when the drain's time is over.
func TestDrain_IsBounded(t *testing.T) {
	t.Parallel()
	g := newRig(t, func(o *rigOptions) { o.relay.StreamWriteTimeout = time.Minute })
	m := g.allocate()
	stuck := m.stream("", "")
	stuck.Conn.(*net.TCPConn).SetReadBuffer(4 << 10)
	pad := strings.Repeat("x", 250_000)
	for i := range 40 {
		m.post(fmt.Sprintf(`{"event_id":"b%d","pad":"%s"}`, i, pad)).want(t, 201)
	}
	half := g.dial()
	half.send("POST /v1/events/" + m.id + " HTTP/1.1\nHost: x\nContent-Type: application/json\nAuthorization: Bearer " + m.token + "\nContent-Length: 100000\n\n{")
	time.Sleep(30 * time.Millisecond)
	ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
	defer cancel()
	start := time.Now()
	err := g.relay.Drain(ctx, 0)
	if took := time.Since(start); took > 30*time.Second { // a stuck write would hold it for a minute
		t.Errorf("a drain of 500 ms took %v (%v)", took, err)
	}
	if n := g.relay.streams.Len(); n != 0 {
		t.Errorf("%d streams are open after the drain", n)
	}
	half.Close()
	stuck.close()
	g.eventually("connections are let go", func() bool { return g.relay.conns.Len() == 0 })
}

// The header timeout holds for the second request of a connection too.
func TestHostile_SlowSecondRequest(t *testing.T) {
	t.Parallel()
	g := newRig(t, shortTimes)
	w := g.dial()
	w.send("GET /healthz HTTP/1.1\nHost: x\n\n")
	w.reply("GET").want(t, 200)
	time.Sleep(100 * time.Millisecond)
	start := time.Now()
	w.send("GET /healthz HTTP/1.1\nHo")
	w.reply("GET").want(t, 408)
	if took := time.Since(start); took < 800*time.Millisecond || took > 30*time.Second {
		t.Errorf("cut after %v", took)
	}
	// And an idle one is closed without a word.
	w = g.dial()
	w.send("GET /healthz HTTP/1.1\nHost: x\n\n")
	w.reply("GET").want(t, 200)
	w.ends()
}
