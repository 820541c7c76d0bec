package fasthttp

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"runtime"
	"slices"
	"sync"
	"testing"
	"time"

	"cowrelay/fasthttp/stream"
)

// From replay to live there is no gap and no repeat while eight posters post,
// and every reader sees the same order (I6).
func TestStreams_ReplayToLive(t *testing.T) {
	t.Parallel()
	g := newRig(t)
	m := g.allocate()
	const posters, each, readers = 8, 120, 8
	var wg sync.WaitGroup
	for p := range posters {
		wg.Go(func() {
			for i := range each {
				e := fmt.Sprintf(`{"event_id":"p%d-%d","p":%d,"i":%d}`, p, i, p, i)
				if r, err := m.tryCall("POST", "/v1/events/"+m.id, m.token, `{"event":`+e+`}`); err != nil || r.status != 201 {
					t.Errorf("post: %d, %v", r.status, err)
					return
				}
			}
		})
	}
	logs := make([][]string, readers)
	for n := range readers {
		time.Sleep(time.Duration(n) * 5 * time.Millisecond)
		s := m.stream("?since=start", "")
		wg.Go(func() {
			last := ""
			for len(logs[n]) < posters*each {
				f, err := s.readFrame()
				if err != nil {
					t.Errorf("reader %d after %d: %v", n, len(logs[n]), err)
					return
				}
				logs[n] = append(logs[n], f.data)
				last = f.id
				if len(logs[n])%170 == 0 { // leave, and come back by the last id
					s.close()
					s, _ = m.tryStream("", "Last-Event-ID: "+last)
				}
			}
			s.close()
		})
	}
	wg.Wait()
	var order []string
	for since := ""; len(order) < posters*each; {
		page := m.pull("?limit=1000&since=" + since)
		if len(page) == 0 {
			break
		}
		order = append(order, page...)
		var e struct {
			ID string `json:"event_id"`
		}
		json.Unmarshal([]byte(page[len(page)-1]), &e)
		since = e.ID
	}
	next := [posters]int{}
	for _, e := range order {
		var x struct{ P, I int }
		json.Unmarshal([]byte(e), &x)
		if next[x.P] != x.I {
			t.Fatalf("poster %d: event %d where %d is due", x.P, x.I, next[x.P])
		}
		next[x.P]++
	}
	for n := range logs {
		if !slices.Equal(logs[n], order) {
			t.Errorf("reader %d saw %d events, in another order or number than the %d pulled", n, len(logs[n]), len(order))
		}
	}
}

// The 256th stream of a slot opens, the 257th does not; long polls count with
// them; other slots don't.
func TestStreams_256(t *testing.T) {
	g := newRig(t)
	m, other := g.allocate(), g.allocate()
	var open []*sse
	for range 250 {
		open = append(open, m.stream("", ""))
	}
	for range 5 {
		m.longPoll("?wait=25")
	}
	g.eventually("the polls wait", func() bool { return g.relay.polls.Len() == 5 })
	open = append(open, m.stream("", ""))
	_, r := m.tryStream("", "")
	if r.want(t, 503); r.header.Get("Retry-After") == "" {
		t.Error("503 without Retry-After")
	}
	if _, r := m.tryStream("?since=x", ""); r.status != 503 {
		t.Errorf("the 257th with a cursor: %d", r.status)
	}
	if r := <-m.longPoll("?wait=25"); r.status != 503 {
		t.Errorf("the 257th as a long poll: %d", r.status)
	}
	m.pull("")
	other.stream("", "").close()
	g.eventually("251 streams", func() bool { return g.relay.streams.Len() == 251 })
	m.post(eventN(0)).want(t, 201) // answers the polls
	for _, s := range open {
		s.want(0, 1)
	}
	g.eventually("the polls are gone", func() bool { return g.store.Stats().Subscribers.Load() == 251 })
	for range 5 {
		open = append(open, m.stream("", ""))
	}
	if _, r := m.tryStream("", ""); r.status != 503 {
		t.Errorf("the 257th again: %d", r.status)
	}
	open[100].close() // room at once for another
	g.eventually("there is room for one", func() bool {
		s, _ := m.tryStream("", "")
		return s != nil
	})
}

// A drain ends streams between frames, with a retry line each, spread, while
// posts that are under way are answered.
func TestStreams_Drain(t *testing.T) {
	g := newRig(t)
	m := g.allocate()
	m.fill(3)
	const n = 40
	var open []*sse
	for i := range n {
		if i%2 == 0 {
			open = append(open, m.stream("", ""))
		} else {
			open = append(open, m.stream("?since=e0", ""))
		}
	}
	stop := make(chan struct{})
	acked := map[string]bool{}
	var posting sync.WaitGroup
	posting.Go(func() {
		for i := 3; ; i++ {
			select {
			case <-stop:
				return
			default:
			}
			r, err := m.tryCall("POST", "/v1/events/"+m.id, m.token, `{"event":`+eventN(i)+`}`)
			if err == nil && r.status == 201 {
				acked[eventN(i)] = true
			}
		}
	})
	time.Sleep(50 * time.Millisecond)
	start := time.Now()
	g.stop()
	if took := time.Since(start); took > 9*time.Second { // stop would cut it after 10 s
		t.Errorf("the drain took %v", took)
	}
	close(stop)
	posting.Wait()
	retries := map[int]bool{}
	for i, s := range open {
		for {
			_, err := s.readFrame()
			if err == io.EOF {
				break
			}
			if err != nil {
				t.Fatalf("stream %d: %v", i, err)
			}
		}
		if s.retry <= 0 || s.retry > 30_000 {
			t.Fatalf("stream %d: retry %d", i, s.retry)
		}
		retries[s.retry] = true
	}
	if len(retries) < n/2 {
		t.Errorf("%d different retries for %d streams", len(retries), n)
	}
	if got := g.relay.streams.Ended(stream.EndDrain); got != n {
		t.Errorf("%d streams ended by the drain, want %d", got, n)
	}
	g.start()
	there := map[string]bool{}
	for _, e := range m.pull("?limit=1000") {
		there[e] = true
	}
	for e := range acked {
		if !there[e] && len(there) < 1000 {
			t.Errorf("acknowledged during the drain, and lost: %s", e)
		}
	}
}

func TestStreams_ResumeOverRestart(t *testing.T) {
	g := newRig(t, func(o *rigOptions) { o.dir, o.log.FS = t.TempDir(), nil })
	m := g.allocate()
	m.fill(10)
	s := m.stream("?since=e4", "")
	s.want(5, 8)
	g.restart()
	for i := 10; i < 15; i++ {
		m.post(eventN(i)).want(t, 201)
	}
	m.post(eventN(2)).want(t, 200)
	s = m.stream("", "Last-Event-ID: e7")
	s.want(8, 15)
	m.post(eventN(15)).want(t, 201)
	s.want(15, 16)
	live := m.stream("", "")
	m.post(eventN(16)).want(t, 201)
	live.want(16, 17)
}

// readyz follows the drain, and new streams and posts during its delay are
// still served: the load balancer has not heard yet.
func TestDrain_DelayAndReadyz(t *testing.T) {
	t.Parallel()
	g := newRig(t)
	m := g.allocate()
	w := g.dial()
	w.send("GET /readyz HTTP/1.1\nHost: x\n\n")
	w.reply("GET").want(t, 200)
	done := make(chan error, 1)
	go func() { done <- g.relay.Drain(t.Context(), 400*time.Millisecond) }()
	g.eventually("not ready", func() bool { return !g.relay.Ready() })
	w.send("GET /readyz HTTP/1.1\nHost: x\n\n")
	w.reply("GET").want(t, 503)
	g.call("GET", "/healthz", "", nil).want(t, 200)
	m.post(eventN(0)).want(t, 201)
	if err := <-done; err != nil {
		t.Errorf("drain: %v", err)
	}
	if c, err := net.Dial("tcp", g.addr); err == nil {
		c.Close()
		t.Error("the listener is still open after the drain")
	}
}

// Opening and closing streams on a silent slot leaves nothing behind.
func TestStreams_ManyOpensLeaveNothing(t *testing.T) {
	// No heartbeat finds them: that they left is enough.
	g := newRig(t, func(o *rigOptions) { o.relay.Heartbeat = time.Hour })
	m := g.allocate()
	g.client.CloseIdleConnections()
	g.eventually("no connection", func() bool { return g.relay.conns.Len() == 0 })
	before := runtime.NumGoroutine()
	const clients, each = 20, 100
	head := "GET /v1/events/" + m.id + "/stream HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer " + m.token + "\r\n\r\n"
	var wg sync.WaitGroup
	for c := range clients {
		wg.Go(func() {
			for i := range each {
				w, err := net.Dial("tcp", g.addr)
				if err != nil {
					t.Error(err)
					return
				}
				io.WriteString(w, head)
				if (c+i)%3 > 0 { // some leave before the head came
					w.Read(make([]byte, 10))
				}
				if (c+i)%2 == 0 {
					w.(*net.TCPConn).SetLinger(0)
				}
				w.Close()
			}
		})
	}
	wg.Wait()
	g.eventually("all is gone", func() bool {
		return g.relay.streams.Len() == 0 && g.store.Stats().Subscribers.Load() == 0 && g.relay.conns.Len() == 0
	})
	var ended uint64
	for why := range stream.Reasons {
		ended += g.relay.streams.Ended(why)
	}
	if total := g.relay.streams.Opened(); total != ended || total < clients*each/2 {
		t.Errorf("%d streams opened, %d ended with a reason", total, ended)
	}
	// The server keeps some workers for a while.
	g.eventually("goroutines are back", func() bool { return runtime.NumGoroutine() < before+clients+10 })
	if r := g.call("GET", "/stats.json", "", nil); r.field(t, "streams_active") != 0.0 {
		t.Error(r.body)
	}
}
