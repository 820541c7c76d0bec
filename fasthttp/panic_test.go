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
		!strings.Contains(text, `cowrelay_http_requests_total{route="stats",method="GET",status="500"} 3`) {
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
