package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"

	"cowrelay/bench/load"
	"cowrelay/bench/peer"
)

func startTest(t *testing.T, dir string) (s *server.Server, addr string) {
	t.Helper()
	s, err := start("127.0.0.1:0", dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Shutdown)
	return s, strings.TrimPrefix(s.ClientURL(), "nats://")
}

// listen returns what a new stream of a lane delivers.
func listen(t *testing.T, b peer.Backend, lane string) <-chan string {
	t.Helper()
	got := make(chan string, 16)
	done := make(chan struct{})
	c, err := b.Stream(t.Context(), lane, func(e []byte) { got <- string(e) }, func(err error) {
		select {
		case <-done:
		default:
			t.Errorf("the stream failed: %v", err)
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		close(done)
		c.Close()
	})
	return got
}

func expect(t *testing.T, got <-chan string, want ...string) {
	t.Helper()
	for _, w := range want {
		select {
		case g := <-got:
			if g != w {
				t.Fatalf("got %q, want %q", g, w)
			}
		case <-time.After(time.Minute):
			t.Fatalf("%q did not come", w)
		}
	}
}

func TestBackend(t *testing.T) {
	dir := t.TempDir()
	s, addr := startTest(t, dir)
	b, err := dial(addr)
	if err != nil {
		t.Fatal(err)
	}
	p, err := b.Poster(t.Context(), "lane-1")
	if err != nil {
		t.Fatal(err)
	}
	post := func(id, event string) error {
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		return p.Post(ctx, []byte(id), []byte(event))
	}
	early := listen(t, b, "lane-1")
	other := listen(t, b, "lane-2")
	for _, x := range []string{"a", "b", "c"} {
		if err := post(x, "event "+x); err != nil {
			t.Fatal(err)
		}
	}
	expect(t, early, "event a", "event b", "event c")
	// A stream that opens late replays.
	expect(t, listen(t, b, "lane-1"), "event a", "event b", "event c")
	if len(other) != 0 {
		t.Errorf("a lane heard another's events")
	}
	if err := post("b", "event b"); err == nil || !strings.Contains(err.Error(), "Duplicate:true") {
		t.Errorf("a post that was sent again: %v", err)
	}
	p.Close()

	// What was acknowledged is there after a restart. The streams end first:
	// they do not reconnect.
	t.Run("restart", func(t *testing.T) {
		copied := t.TempDir()
		if err := os.CopyFS(copied, os.DirFS(dir)); err != nil {
			t.Fatal(err)
		}
		_, addr := startTest(t, copied)
		again, err := dial(addr)
		if err != nil {
			t.Fatal(err)
		}
		expect(t, listen(t, again, "lane-1"), "event a", "event b", "event c")
	})
	if !s.JetStreamConfig().SyncAlways {
		t.Error("the server does not sync")
	}
}

func TestLoad(t *testing.T) {
	_, addr := startTest(t, t.TempDir())
	for n, scenario := range []string{"post", "fanout"} {
		var out bytes.Buffer
		err := peer.RunLoad(t.Context(), []string{
			"--scenario", scenario, "--addr", addr, "--pid", fmt.Sprint(os.Getpid()), "--nonce", fmt.Sprintf("%048x", n),
			"--conns", "4", "--streams", "4", "--posters", "2", "--event-bytes", "512", "--duration", "200ms", "--warmup", "50ms",
		}, &out, dial)
		if err != nil {
			t.Fatal(err)
		}
		var s load.Sample
		if err := json.Unmarshal(out.Bytes(), &s); err != nil || s.Ops == 0 || s.Errors != 0 || s.Latency.Count == 0 {
			t.Errorf("%s: %v, %s", scenario, err, out.Bytes())
		}
	}
}

func TestServe_endsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- serve(ctx, []string{"--bind", "127.0.0.1:0", "--dir", t.TempDir()}) }()
	time.Sleep(100 * time.Millisecond)
	cancel()
	select {
	case err := <-done:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(time.Minute):
		t.Error("the server did not end")
	}
	for _, args := range [][]string{nil, {"--bind", "nowhere"}, {"--bind", "127.0.0.1:0"}} {
		if err := serve(t.Context(), args); err == nil {
			t.Errorf("serve(%q): no error", args)
		}
	}
}

func TestPlace_spreads(t *testing.T) {
	var seen []string
	for i := range 64 {
		stream, subject := place(fmt.Sprintf("%048x-%d", 1, i))
		if n := strings.TrimPrefix(stream, "SLOTS-"); !strings.HasPrefix(subject, "slots."+n+".") {
			t.Errorf("subject %s in stream %s", subject, stream)
		}
		if !slices.Contains(seen, stream) {
			seen = append(seen, stream)
		}
	}
	if len(seen) < streams*3/4 {
		t.Errorf("64 lanes are in %d streams of %d", len(seen), streams)
	}
}
