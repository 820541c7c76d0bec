package fasthttp

import (
	"bytes"
	"log/slog"
	"strings"
	"sync"
	"testing"
)

// safeBuffer is a log that may be read while it is written.
type safeBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *safeBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *safeBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

// A panic in a handler is a 500, counted, with its stack in the log, and the
// relay goes on.
func TestPanic_IsA500(t *testing.T) {
	var log safeBuffer
	g := newRig(t, func(o *rigOptions) { o.relay.Logger = slog.New(slog.NewTextHandler(&log, nil)) })
	g.panics = 3
	restore := withHandler(routeStats, func(_ *Relay, req request) error {
		req.reply(200, []byte(`{"half":`))
		var none []int
		return faultyHandler(none)
	})
	defer restore()
	for range 3 {
		r := g.call("GET", "/stats.json", "", nil).want(t, 500)
		if strings.Contains(r.body, "half") || strings.Contains(r.body, "index") {
			t.Errorf("the reply tells of the inside: %s", r.body)
		}
		if !r.close {
			t.Error("the connection goes on after a panic")
		}
	}
	if n := g.relay.panics.Load(); n != 3 {
		t.Errorf("%d panics counted, want 3", n)
	}
	if !strings.Contains(log.String(), "faultyHandler") || !strings.Contains(log.String(), "index out of range") {
		t.Errorf("the log holds no stack: %.300s", log.String())
	}
	if text := metricsText(g); !strings.Contains(text, "cowrelay_panics_total 3\n") ||
		!strings.Contains(text, `cowrelay_http_requests_total{route="stats",status="500"} 3`) {
		t.Error("/metrics does not tell of the panics")
	}
	restore()
	g.call("GET", "/stats.json", "", nil).want(t, 200)
	g.allocate().fill(2)
}

//go:noinline
func faultyHandler(list []int) error {
	_ = list[3]
	return nil
}

// A panic in one stream ends that stream alone.
func TestPanic_InAStream(t *testing.T) {
	g := newRig(t)
	g.panics = 1
	m := g.allocate()
	bad, good := m.stream("", ""), m.stream("", "")
	m.post(eventN(0)).want(t, 201)
	bad.want(0, 1)
	good.want(0, 1)
	g.eventually("both are idle", func() bool {
		idle := true
		g.relay.streams.wheel.each(func(st *stream) { idle = idle && st.state.Load() == streamIdle })
		return idle
	})
	poisoned := false
	g.relay.streams.wheel.each(func(st *stream) {
		if !poisoned && st.conn.RemoteAddr().String() == bad.LocalAddr().String() {
			st.raw, poisoned = nil, true
		}
	})
	m.post(eventN(1)).want(t, 201)
	good.want(1, 2)
	if f, err := bad.readFrame(); err == nil {
		t.Errorf("the faulty stream goes on: %q", f)
	}
	if n := g.relay.streams.ended[endPanic].Load(); n != 1 || g.relay.panics.Load() != 1 {
		t.Errorf("%d streams ended by a panic, want 1", n)
	}
	m.post(eventN(2)).want(t, 201)
	good.want(2, 3)
}
