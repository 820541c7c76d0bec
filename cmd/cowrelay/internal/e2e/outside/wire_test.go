//go:build realclient

package outside

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"cowrelay/cmd/cowrelay/internal/relaytest"
)

// The released client of wire agents, unmodified, against this relay: make
// test-client builds it from its registry and names it in WIRE.

// agent is one installation of the client.
type agent struct {
	t      *testing.T
	home   string
	handle string
}

func (a *agent) command(args ...string) *exec.Cmd {
	cmd := exec.Command(os.Getenv("WIRE"), args...)
	cmd.Env = append(os.Environ(), "WIRE_HOME="+a.home, "WIRE_HOME_FORCE=1", "WIRE_QUIET_AUTOSESSION=1", "WIRE_NO_INTERACTIVE=1")
	return cmd
}

// run returns what the client printed, each JSON value of it. The client also
// reports by its exit status what the values say, so that is not looked at.
func (a *agent) run(args ...string) (values []map[string]any) {
	a.t.Helper()
	cmd := a.command(args...)
	var errs bytes.Buffer
	cmd.Stderr = &errs
	out, err := cmd.Output()
	for dec := json.NewDecoder(bytes.NewReader(out)); ; {
		var v map[string]any
		if dec.Decode(&v) != nil {
			break
		}
		values = append(values, v)
	}
	if len(values) == 0 {
		a.t.Fatalf("wire %s: %v\n%s%s", strings.Join(args, " "), err, out, errs.String())
	}
	return values
}

// inbox says whether the agent has the text in its mail from the other.
func (a *agent) inbox(from *agent, text string) bool {
	data, _ := os.ReadFile(filepath.Join(a.home, "state/wire/inbox", from.handle+".jsonl"))
	return bytes.Contains(data, []byte(text))
}

func (a *agent) connected() bool {
	data, _ := os.ReadFile(filepath.Join(a.home, "state/wire/stream_state.json"))
	var s struct{ State string }
	return json.Unmarshal(data, &s) == nil && s.State == "connected"
}

// reads pulls, and finds the message verified in what is there from the other.
func (a *agent) reads(from *agent, text string) {
	a.t.Helper()
	pulled := a.run("pull", "--json")[0]
	if rejected, _ := pulled["rejected"].([]any); len(rejected) > 0 {
		a.t.Errorf("pull rejected %v", rejected)
	}
	for _, m := range a.run("tail", from.handle, "--json") {
		if m["body"] == text && m["verified"] == true {
			return
		}
	}
	a.t.Errorf("%q is not there, or not verified", text)
}

func within(t *testing.T, limit time.Duration, what string, done func() bool) {
	t.Helper()
	for start := time.Now(); !done(); time.Sleep(20 * time.Millisecond) {
		if time.Since(start) > limit {
			t.Fatalf("not within %v: %s", limit, what)
		}
	}
}

func TestWire_SendsPullsAndStreams(t *testing.T) {
	if os.Getenv("WIRE") == "" {
		t.Fatal("WIRE must name the client: run make test-client")
	}
	dir := t.TempDir()
	r := relaytest.Start(t, dir, "--access-log")
	a, b := &agent{t: t, home: t.TempDir()}, &agent{t: t, home: t.TempDir()}
	for _, x := range []*agent{a, b} {
		x.run("init", "--relay", r.URL, "--json")
		x.handle = x.run("whoami", "--json")[0]["handle"].(string)
	}
	// An invite that is handed over by hand needs slots alone.
	invite := a.run("invite", "--relay", r.URL, "--json")[0]["invite_url"].(string)
	b.run("accept-invite", invite, "--json")
	a.run("pull", "--json")

	if s := a.run("send", b.handle, "decision", "one", "--json")[0]["status"]; s != "delivered" {
		t.Fatalf("send: %v", s)
	}
	b.reads(a, "one")
	b.run("send", "--queue", a.handle, "decision", "two", "--json")
	if pushed, _ := b.run("push", "--json")[0]["pushed"].([]any); len(pushed) != 1 {
		t.Errorf("push: %v", pushed)
	}
	a.reads(b, "two")
	b.run("responder", "set", "online", "--json")
	health, _ := a.run("responder", "get", b.handle, "--json")[0]["responder_health"].(map[string]any)
	if health["status"] != "online" {
		t.Errorf("responder health: %v", health)
	}

	daemon := b.command("daemon", "--interval", "60")
	if err := daemon.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		daemon.Process.Signal(syscall.SIGTERM)
		daemon.Wait()
	}()
	within(t, 10*time.Second, "the stream connects", b.connected)
	time.Sleep(time.Second) // what the daemon polls at its start is done
	woken := a.run("send", b.handle, "decision", "wake", "--json")[0]["event_id"].(string)
	within(t, 3*time.Second, "the stream brings what was sent", func() bool { return b.inbox(a, woken) })

	r.Kill()
	<-r.Exited
	if s := a.run("send", b.handle, "decision", "no", "--json")[0]["status"]; s == "delivered" {
		t.Error("delivered to a relay that is down")
	}
	queued := a.run("send", "--queue", b.handle, "decision", "later", "--json")[0]["event_id"].(string)
	again := relaytest.Start(t, dir, "--access-log", "--bind", strings.TrimPrefix(r.URL, "http://"))
	within(t, 30*time.Second, "the stream comes back", b.connected)
	a.run("push", "--json")
	within(t, 30*time.Second, "the queued message arrives", func() bool { return b.inbox(a, queued) })

	for _, x := range []*relaytest.Relay{r, again} {
		for line := range strings.Lines(x.Log.String()) {
			var entry struct {
				Msg, Route string
				Status     int
			}
			if json.Unmarshal([]byte(line), &entry) == nil && entry.Msg == "request" && entry.Status >= 400 {
				t.Errorf("the relay answered %d on %s", entry.Status, entry.Route)
			}
		}
	}
}
