package commands

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"syscall"
	"testing"

	"cowrelay/cmd/cowrelay/internal/relaytest"
)

// pinged is what ping prints in a pipe.
type pinged struct {
	rounds []struct {
		Round          int
		Post           float64 `json:"post_ms"`
		Pull           float64 `json:"pull_ms"`
		Stream         float64 `json:"stream_ms"`
		Error          string
		Slot           string `json:"slot_id"`
		Rounds, Failed int
	}
	sums map[string]json.RawMessage
}

func readPinged(t *testing.T, out string) (p pinged) {
	t.Helper()
	lines := strings.Split(strings.TrimSpace(out), "\n")
	last := len(lines) - 1
	if err := json.Unmarshal([]byte("["+strings.Join(lines[:last], ",")+"]"), &p.rounds); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if err := json.Unmarshal([]byte(lines[last]), &p.sums); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return p
}

// good fails unless so many rounds have all three times, and the sums fit them.
func (p pinged) good(t *testing.T, rounds int) {
	t.Helper()
	if len(p.rounds) != rounds || string(p.sums["rounds"]) != fmt.Sprint(rounds) || string(p.sums["failed"]) != "0" {
		t.Errorf("%+v", p)
	}
	least, most := p.rounds[0].Post, 0.0
	for i, r := range p.rounds {
		if r.Round != i+1 || r.Post <= 0 || r.Pull <= 0 || r.Stream <= 0 || r.Error != "" {
			t.Errorf("%+v", r)
		}
		least, most = min(least, r.Post), max(most, r.Post)
	}
	for _, name := range []string{"post", "pull", "stream"} {
		var s struct {
			Min  float64 `json:"min_ms"`
			Mean float64 `json:"mean_ms"`
			P99  float64 `json:"p99_ms"`
			Max  float64 `json:"max_ms"`
		}
		if err := json.Unmarshal(p.sums[name], &s); err != nil || !(0 < s.Min && s.Min <= s.Mean*1.01 && s.Mean <= s.Max*1.01 && s.P99 <= s.Max*1.01) {
			t.Errorf("%s: %+v, %v", name, s, err)
		}
		if name == "post" && (s.Min < least*0.99 || s.Min > least*1.01 || s.Max < most*0.99 || s.Max > most*1.01) {
			t.Errorf("from %v to %v ms, and the rounds say from %v to %v", s.Min, s.Max, least, most)
		}
	}
}

func TestPing_OwnSlot(t *testing.T) {
	r := relaytest.Start(t, t.TempDir())
	u := newUser(t, r)
	out, errs := u.run(0, "", "ping", "--count", "5", "--interval", "10ms", "--size", "5000")
	u.equal(errs, "")
	readPinged(t, out).good(t, 5)
	if n := r.Metric("cowrelay_slots"); n != 0 {
		t.Errorf("%v slots stay", n)
	}
	// Ctrl-C ends it with the sums, and the slot goes all the same.
	p := u.follow(nil, "ping", "--count", "0", "--interval", "10ms")
	p.wait(t, func(out string) bool { return strings.Count(out, "\n") >= 3 })
	p.Process.Signal(syscall.SIGINT)
	if err := <-p.done; err != nil {
		t.Errorf("after Ctrl-C: %v\n%s", err, p.errs.String())
	}
	got := readPinged(t, p.out.String())
	got.good(t, len(got.rounds))
	if n := r.Metric("cowrelay_slots"); n != 0 {
		t.Errorf("%v slots stay", n)
	}
	_, errs = u.run(1, "", "ping", "--relay", "http://127.0.0.1:1")
	relaytest.Contains(t, errs, "cannot reach the relay")
	for _, args := range [][]string{{"--count=-1"}, {"--interval=1ms"}, {"--timeout=0s"}, {"--size=300000"}, {"x"}, {"--relay=ftp://x"}} {
		u.run(2, "", append([]string{"ping"}, args...)...)
	}
}

// In a slot that others use, ping finds its own events.
func TestPing_GivenSlot(t *testing.T) {
	u, r, _ := execUser(t)
	for i := range 20 {
		u.run(0, "", "post", fmt.Sprintf(`{"n":%d}`, i))
	}
	p := u.follow(nil, "ping", "--profile", "default", "--count", "30", "--interval", "20ms")
	for range 5 {
		u.run(0, "", "post", `{"n":100}`, `{"event_id":"ping-x"}`)
	}
	if err := <-p.done; err != nil {
		t.Fatalf("%v\n%s", err, p.errs.String())
	}
	readPinged(t, p.out.String()).good(t, 30)
	if n := r.Metric("cowrelay_slots"); n != 1 {
		t.Errorf("%v slots", n)
	}
	out, _ := u.run(0, "", "pull")
	if n := strings.Count(out, `"cowrelay ping"`); n != 32 {
		t.Errorf("%d events of ping, want 30 and two before", n)
	}
	_, errs := u.run(1, "", "ping", "--slot", strings.Repeat("0", 32), "--token-file", relaytest.WriteTemp(t, "x"))
	relaytest.Contains(t, errs, "has no slot")
}

// A relay without what is beyond the existing one: no positions, no removing of slots.
// And one that fails in a round.
func TestPing_PlainAndFailing(t *testing.T) {
	r := relaytest.Start(t, t.TempDir())
	to, err := url.Parse(plainRelay(t, r))
	if err != nil {
		t.Fatal(err)
	}
	posts := 0
	proxy := httputil.NewSingleHostReverseProxy(to)
	proxy.FlushInterval = -1
	failing := false
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		switch {
		case req.Method == http.MethodDelete:
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(http.StatusMethodNotAllowed)
			fmt.Fprint(w, `{"error":"not allowed"}`)
			return
		case req.Method == http.MethodPost && strings.HasPrefix(req.URL.Path, "/v1/events/"):
			if posts++; failing && posts == 4 { // posts of ping come one after the other
				w.Header().Set("Content-Type", "application/json")
				w.WriteHeader(http.StatusServiceUnavailable)
				fmt.Fprint(w, `{"error":"too much waits"}`)
				return
			}
		}
		proxy.ServeHTTP(w, req)
	}))
	t.Cleanup(func() {
		s.CloseClientConnections()
		s.Close()
	})
	u := newUser(t, r)
	out, errs := u.run(0, "", "ping", "--relay", s.URL, "--count", "5", "--interval", "10ms")
	readPinged(t, out).good(t, 5)
	relaytest.Contains(t, errs, "does not let a client remove a slot")
	if n := r.Metric("cowrelay_slots"); n != 1 {
		t.Errorf("%v slots", n)
	}
	posts, failing = 0, true
	out, errs = u.run(1, "", "ping", "--relay", s.URL, "--count", "4", "--interval", "10ms")
	relaytest.Contains(t, errs, "1 of 4 rounds failed")
	got := readPinged(t, out)
	if len(got.rounds) != 4 || !strings.Contains(got.rounds[1].Error, "post: too much waits (503)") || got.rounds[2].Stream <= 0 || string(got.sums["failed"]) != "1" {
		t.Errorf("%s", out)
	}
}

// People get lines and a table.
func TestPing_InATerminal(t *testing.T) {
	r := relaytest.Start(t, t.TempDir())
	p := startPane(t, 24, 100, "ping", "--count=2", "--interval=20ms", "--relay="+r.URL)
	p.exits()
	relaytest.Contains(t, p.out.String(), "PING "+r.URL, "round 2: post ", "2 rounds, 0 failed", "mean", "p99")
}
