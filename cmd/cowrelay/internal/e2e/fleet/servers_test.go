package fleet

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"cowrelay/cmd/cowrelay/internal/relaytest"
)

// maxBytes sets how many bytes the fleet's stream may have.
func (f *fleet) maxBytes(n int64) {
	f.t.Helper()
	ctx := context.Background()
	nc, err := nats.Connect(strings.Join(f.nats.URLs(), ","))
	if err != nil {
		f.t.Fatal(err)
	}
	defer nc.Close()
	js, err := jetstream.New(nc)
	if err != nil {
		f.t.Fatal(err)
	}
	s, err := js.Stream(ctx, f.stream)
	if err != nil {
		f.t.Fatal(err)
	}
	config := s.CachedInfo().Config
	config.MaxBytes = n
	if _, err := js.UpdateStream(ctx, config); err != nil {
		f.t.Fatal(err)
	}
}

// A stream that is full refuses entries. Metrics and /readyz say so and why, and all
// goes on when there is room.
func TestFleet_FullStream(t *testing.T) {
	t.Parallel()
	f := newFleet(t).start(1)
	a := f.relays[0]
	s := a.Allocate()
	a.Post(s, relaytest.Event("a", 0, 100))
	if a.Metric("cowrelay_fleet_log_connected") != 1 || a.Metric(`cowrelay_fleet_log_answers_total{result="stored"}`) < 2 || a.Metric("cowrelay_fleet_log_readers_total") < 1 {
		t.Error("metrics don't show the connection, the answers or the reader")
	}
	f.maxBytes(1)
	code := status(t, s, "POST", a.EventsURL(s), relaytest.PostBody(relaytest.Event("a", 1, 100)))
	if code != 503 {
		t.Errorf("a post to a full stream: %d", code)
	}
	eventually(t, "that it says so", 30*time.Second, func() bool {
		code, text := ready(t, a.AdminURL)
		return code == 200 && strings.Contains(text, "refused: ") && strings.Contains(text, "--max-bytes")
	})
	if a.Metric(`cowrelay_fleet_log_answers_total{result="refused"}`) == 0 || a.Metric("cowrelay_fleet_log_error_timestamp_seconds") == 0 {
		t.Error("metrics don't show the refusal")
	}
	f.maxBytes(-1)
	eventually(t, "the post", 30*time.Second, func() bool {
		code := status(t, s, "POST", a.EventsURL(s), relaytest.PostBody(relaytest.Event("a", 1, 100)))
		return code == 200 || code == 201
	})
	eventually(t, "that it is well", 30*time.Second, func() bool { _, text := ready(t, a.AdminURL); return text == "ok\n" })
	if got := len(a.Pull(s, "")); got != 2 {
		t.Errorf("%d events", got)
	}
}

// A server that comes back without its promise is shown by a metric and by /readyz.
func TestFleet_ServerGetsUnfit(t *testing.T) {
	t.Parallel()
	var lax atomic.Bool
	peer := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprintf(w, `{"server_name":"peer","version":"2.15.0","max_payload":1048576,"jetstream":{"config":{"sync_always":%v}}}`, !lax.Load())
	}))
	t.Cleanup(peer.Close)
	f := newFleet(t)
	r := f.on(t.TempDir(), "a", "--nats-monitor="+strings.Join(append(f.nats.Monitors(), peer.URL), ",")).Start()
	if r.Metric("cowrelay_fleet_log_unfit") != 0 {
		t.Error("unfit from the start")
	}
	lax.Store(true)
	// The servers are asked each minute.
	eventually(t, "the metric", 5*time.Minute, func() bool { return r.Metric("cowrelay_fleet_log_unfit") == 1 })
	if code, text := ready(t, r.AdminURL); code != 200 || !strings.Contains(text, "unfit: ") || !strings.Contains(text, "sync_interval: always") {
		t.Errorf("ready: %d %q", code, text)
	}
}
