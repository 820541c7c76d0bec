package fleet

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"time"

	"cowrelay/cmd/cowrelay/internal/relaytest"
	"cowrelay/cow/natslog/natstest"
)

// ready asks an operators' listener how the relay is.
func ready(t *testing.T, admin string) (code int, text string) {
	t.Helper()
	res, err := http.Get(admin + "/readyz")
	if err != nil {
		return 0, err.Error()
	}
	defer res.Body.Close()
	body, _ := io.ReadAll(res.Body)
	return res.StatusCode, string(body)
}

// A relay that starts while no server is there waits, says so, and can be stopped. It
// serves as soon as the servers are there.
func TestFleet_StartsWithoutServers(t *testing.T) {
	f := newFleet(t)
	t.Cleanup(f.nats.Mend)
	admin, err := natstest.FreeAddr()
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range f.nats.Servers {
		s.Front.Cut()
	}
	dir := t.TempDir()
	r := f.on(dir, "a", "--admin="+admin).Launch()
	eventually(t, "that it waits", 30*time.Second, func() bool {
		code, text := ready(t, "http://"+admin)
		return code == 503 && strings.Contains(text, "waiting for the NATS servers")
	})
	r.Signal(syscall.SIGTERM)
	if code := r.Wait(20 * time.Second); code != 0 {
		t.Errorf("stopped while it waits: exit %d\n%s", code, r.Log.String())
	}
	r = f.on(dir, "a", "--admin="+admin).Launch()
	eventually(t, "that it waits", 30*time.Second, func() bool { code, _ := ready(t, "http://"+admin); return code == 503 })
	f.nats.Mend()
	r.Ready()
	r.Post(r.Allocate(), relaytest.Event("a", 0, 100))
	if code, text := ready(t, r.AdminURL); code != 200 || text != "ok\n" {
		t.Errorf("ready: %d %q", code, text)
	}
}

// While the log can't be reached, pulls and streams go on and say how old they are,
// posts get 503 after their patience, and the relay can be stopped in time. When it is
// back all goes on, and what was refused is stored once.
func TestFleet_Away(t *testing.T) {
	t.Parallel()
	f := newFleetAlone(t).start(2)
	a, b := f.relays[0], f.relays[1]
	s := a.Allocate()
	a.Post(s, relaytest.Event("a", 0, 100))
	eventually(t, "the event at the other relay", 5*time.Second, func() bool { return len(b.Pull(s, "")) == 1 })
	live := relaytest.MustStream(b, s, "")
	for _, server := range f.nats.Servers {
		server.Front.Cut()
	}
	began := time.Now()
	res, body, err := s.Send(relaytest.HTTPClient, "POST", a.EventsURL(s), relaytest.PostBody(relaytest.Event("a", 1, 100)))
	if err != nil || res.StatusCode != 503 || res.Header.Get("Retry-After") == "" {
		t.Fatalf("a post: %v %s, %v", res, body, err)
	}
	if took := time.Since(began); took > 15*time.Second {
		t.Errorf("it was refused after %v", took)
	}
	res, _, err = s.Send(relaytest.HTTPClient, "GET", b.EventsURL(s), nil)
	if err != nil || res.StatusCode != 200 || res.Header.Get("Relay-Stale") == "" {
		t.Fatalf("a pull: %v, %v", res, err)
	}
	eventually(t, "that it says so", 10*time.Second, func() bool {
		code, text := ready(t, a.AdminURL)
		return code == 200 && strings.Contains(text, "away: ") && strings.Contains(text, "the last error: ") &&
			a.Metric("cowrelay_fleet_away_seconds") > 0 && a.Metric("cowrelay_fleet_log_connected") == 0
	})
	a.AwaitLog("the shared log can't be reached: pulls and streams show what this relay has heard of, posts are refused")
	if out, errs, code := relaytest.Command(t, nil, "health", "--url="+a.URL); code != 0 {
		t.Errorf("health of a relay that serves pulls: exit %d, %s%s", code, out, errs)
	}
	doctor, _, code := relaytest.Command(t, nil, "doctor", "--url="+a.URL, "--admin="+a.AdminURL)
	if code != 1 {
		t.Errorf("doctor: exit %d", code)
	}
	relaytest.Contains(t, doctor, "the shared log could not be reached for")
	// It ends in time, also now.
	began = time.Now()
	a.Signal(syscall.SIGTERM)
	if code := a.Wait(15 * time.Second); code != 0 {
		t.Errorf("stopped while the log is away: exit %d\n%s", code, a.Log.String())
	}
	t.Logf("it ended after %v", time.Since(began))
	f.nats.Mend()
	b.AwaitLog("the shared log can be reached again")
	a = f.again(0)
	eventually(t, "the post after the log is back", 20*time.Second, func() bool {
		code := status(t, s, "POST", a.EventsURL(s), relaytest.PostBody(relaytest.Event("a", 1, 100)))
		return code == 201 || code == 200 // the refused one may have come
	})
	if ev, err := live.Next(); err != nil || ev.ID != "a-1" {
		t.Errorf("the stream that was open all the time: %q, %v", ev.ID, err)
	}
	events := b.Pull(s, "")
	if len(events) != 2 || !bytes.Equal(events[1], relaytest.Event("a", 1, 100)) {
		t.Errorf("%d events: %s", len(events), events)
	}
	if n := strings.Count(b.Log.String(), `"msg":"the shared log can't be reached`); n != 1 {
		t.Errorf("the log says %d times that the log went away", n)
	}
}

// One server of three that dies or hangs is not noticed by clients. Two are: posts wait.
func TestFleet_ServersDie(t *testing.T) {
	t.Parallel()
	f := newFleetAlone(t).start(2)
	s := f.relays[0].Allocate()
	n := 0
	post := func(r *relaytest.Relay) int {
		n++
		return status(t, s, "POST", r.EventsURL(s), relaytest.PostBody(relaytest.Event("e", n, 100)))
	}
	for i, harm := range []func(*natstest.Server) error{(*natstest.Server).Kill, (*natstest.Server).Pause} {
		if err := harm(f.nats.Servers[i]); err != nil {
			t.Fatal(err)
		}
		for _, r := range f.relays {
			if code := post(r); code != 201 {
				t.Errorf("server %d is gone: a post gets %d", i, code)
			}
		}
		if err := f.nats.Heal(context.Background()); err != nil {
			t.Fatal(err)
		}
	}
	f.nats.Servers[0].Kill()
	f.nats.Servers[1].Kill()
	if code := post(f.relays[0]); code != 503 {
		t.Errorf("two servers are gone: a post gets %d", code)
	}
	if err := f.nats.Heal(context.Background()); err != nil {
		t.Fatal(err)
	}
	eventually(t, "posts after the servers are back", 30*time.Second, func() bool { return post(f.relays[1]) == 201 })
}

// Servers that can't keep the promise are refused, with what to do.
func TestFleet_ServersThatDoNotSync(t *testing.T) {
	server := natstest.One(t, natstest.Config{Sync: `"2m"`})
	r := relaytest.New(t, t.TempDir(), "--journal=jetstream", "--nats-replicas=1", "--nats-url="+server.URL(), "--nats-monitor="+server.Monitor())
	relaytest.Contains(t, ended(t, r.Launch(), 1), "sync_interval")
	r = relaytest.New(t, t.TempDir(), "--journal=jetstream", "--nats-replicas=1", "--nats-url="+server.URL(), "--trust-nats-sync").Start()
	r.Post(r.Allocate(), relaytest.Event("a", 0, 100))
}
