//go:build realclient

package outside

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
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

// newAgents returns agents with a mailbox on the relay.
func newAgents(t *testing.T, r *relaytest.Relay) (a, b *agent) {
	t.Helper()
	if os.Getenv("WIRE") == "" {
		t.Fatal("WIRE must name the client: run make test-client")
	}
	a, b = &agent{t: t, home: t.TempDir()}, &agent{t: t, home: t.TempDir()}
	for _, x := range []*agent{a, b} {
		x.run("init", "--relay", r.URL, "--json")
		x.handle = x.run("whoami", "--json")[0]["handle"].(string)
	}
	return a, b
}

// at is the agent's handle with the relay's host behind it. Its port is named by
// --relay: 0.16 takes none there.
func (a *agent) at() string { return a.handle + "@127.0.0.1" }

// older says whether the client is of 0.16. That one has neither ping nor unclaim, and
// dials a relay by its domain alone, at the port of HTTPS.
func (a *agent) older() bool {
	a.t.Helper()
	out, err := a.command("--version").Output()
	if err != nil {
		a.t.Fatal(err)
	}
	return bytes.Contains(out, []byte(" 0.16."))
}

// fails returns what the client says when it must fail.
func (a *agent) fails(args ...string) string {
	a.t.Helper()
	out, err := a.command(args...).CombinedOutput()
	if err == nil {
		a.t.Errorf("wire %s: it succeeds: %s", strings.Join(args, " "), out)
	}
	return string(out)
}

func (a *agent) delivers(to *agent, text string) {
	a.t.Helper()
	if s := a.run("send", to.handle, "decision", text, "--json")[0]; s["status"] != "delivered" {
		a.t.Errorf("send %s: %v", text, s)
	}
}

// meet pairs two agents by an invite that is handed over by hand.
func meet(r *relaytest.Relay, a, b *agent) {
	a.t.Helper()
	b.run("accept-invite", a.run("invite", "--relay", r.URL, "--json")[0]["invite_url"].(string), "--json")
	a.run("pull", "--json")
}

// served fails for each request that the relay answered with an error, but for the
// routes that are named.
func served(t *testing.T, r *relaytest.Relay, but ...string) {
	t.Helper()
	for line := range strings.Lines(r.Log.String()) {
		var entry struct {
			Msg, Route, Path string
			Status           int
		}
		if json.Unmarshal([]byte(line), &entry) == nil && entry.Msg == "request" && entry.Status >= 400 && !slices.Contains(but, entry.Route) {
			t.Errorf("the relay answered %d on %s (%s)", entry.Status, entry.Route, entry.Path)
		}
	}
}

// Claim, whois, claim again after a restart, unclaim.
func TestWire_Handles(t *testing.T) {
	dir := t.TempDir()
	r := relaytest.Start(t, dir, "--access-log")
	a, b := newAgents(t, r)
	claim := func(status string) {
		t.Helper()
		answer, _ := a.run("claim", a.handle, "--relay", r.URL, "--json")[0]["response"].(map[string]any)
		if answer["status"] != status || answer["nick"] != a.handle {
			t.Errorf("claim: %v, want %s", answer, status)
		}
	}
	whois := func() {
		t.Helper()
		card := b.run("whois", a.at(), "--relay", r.URL, "--json")[0]
		if card["nick"] != a.handle || card["did"] != a.run("whoami", "--json")[0]["did"] || card["slot_id"] == nil {
			t.Errorf("whois: %v", card)
		}
	}
	claim("claimed")
	whois()
	a.run("profile", "set", "motto", "as changed", "--json")
	claim("re-claimed")
	served(t, r)
	r.Kill()
	again := relaytest.Start(t, dir, "--access-log", "--bind", strings.TrimPrefix(r.URL, "http://"))
	whois()
	served(t, again)
	if a.older() {
		return
	}
	if answer, _ := a.run("unclaim", "--relay", r.URL, "--json")[0]["response"].(map[string]any); answer["status"] != "unclaimed" {
		t.Errorf("unclaim: %v", answer)
	}
	if says := b.fails("whois", a.at(), "--relay", r.URL, "--json"); !strings.Contains(says, "404") {
		t.Errorf("whois of nobody: %s", says)
	}
	claim("claimed")
	served(t, again, "whois", "agent_card")
}

// An agent finds another by its name alone, by each of the commands that do, and
// both send.
func TestWire_FindsByName(t *testing.T) {
	for _, command := range []string{"add", "dial"} {
		t.Run(command, func(t *testing.T) {
			r := relaytest.Start(t, t.TempDir(), "--access-log")
			a, b := newAgents(t, r)
			if command == "dial" && a.older() {
				return // it can't name this relay
			}
			for _, x := range []*agent{a, b} {
				x.run("claim", x.handle, "--relay", r.URL, "--json")
			}
			if command == "add" {
				a.run("add", b.at(), "--relay", r.URL, "--json")
			} else {
				a.run("dial", b.handle+"@"+strings.TrimPrefix(r.URL, "http://"), "--json")
			}
			b.run("pull", "--json")
			b.run("accept", a.handle, "--json")
			a.run("pull", "--json")
			a.delivers(b, "there")
			b.reads(a, "there")
			b.delivers(a, "and back")
			a.reads(b, "and back")
			served(t, r)
		})
	}
}

// An invite that is shared as a short address is good for one.
func TestWire_SharedInvite(t *testing.T) {
	r := relaytest.Start(t, t.TempDir(), "--access-log")
	a, b := newAgents(t, r)
	out, err := a.command("invite", "--share", "--relay", r.URL).Output()
	short := regexp.MustCompile(regexp.QuoteMeta(r.URL) + "/i/[0-9a-f]+").FindString(string(out))
	if err != nil || short == "" {
		t.Fatalf("%v: %s", err, out)
	}
	url := string(relaytest.Slot{}.MustSend(t, 200, "GET", short+"?format=url", nil))
	script := string(relaytest.Slot{}.MustSend(t, 200, "GET", short, nil))
	if url = strings.TrimSpace(url); !strings.HasPrefix(url, "wire://pair?") || !strings.Contains(script, "wire accept-invite '"+url+"'") {
		t.Fatalf("%s\n%s", url, script)
	}
	sh := exec.Command("sh", "-c", script)
	sh.Env = append(b.command().Env, "PATH="+filepath.Dir(os.Getenv("WIRE"))+string(os.PathListSeparator)+os.Getenv("PATH"))
	if out, err := sh.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	a.run("pull", "--json")
	a.delivers(b, "by a script")
	b.reads(a, "by a script")
	served(t, r)
	relaytest.Slot{}.MustSend(t, 410, "GET", short, nil)
}

// Groups, broadcasts, pings and a new mailbox, between agents that have met.
func TestWire_Together(t *testing.T) {
	r := relaytest.Start(t, t.TempDir(), "--access-log")
	a, b := newAgents(t, r)
	meet(r, a, b)
	if out := a.run("mesh", "broadcast", "to everybody", "--scope", "both", "--json")[0]; out["delivered"] != float64(1) {
		t.Errorf("broadcast: %v", out)
	}
	b.run("pull", "--json")

	a.run("group", "create", "team", "--json")
	a.run("group", "add", "team", b.handle, "--json")
	a.run("push", "--json")
	b.run("pull", "--json")
	a.run("group", "send", "team", "to the team", "--json")
	if out, err := b.command("group", "tail", "team", "--json").Output(); !bytes.Contains(out, []byte("to the team")) {
		t.Errorf("group: %v %s", err, out)
	}

	if !a.older() {
		daemon := b.command("daemon", "--interval", "1")
		if err := daemon.Start(); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { daemon.Process.Kill() }) // also when the ping fails
		within(t, 30*time.Second, "the peer answers a ping", func() bool { return a.run("ping", b.handle, "--json")[0]["alive"] == true })
		daemon.Process.Signal(syscall.SIGTERM)
		daemon.Wait()
	}

	if out := b.run("rotate-slot", "--json")[0]; out["rotated"] != true || out["new_slot_id"] == out["old_slot_id"] {
		t.Errorf("rotate-slot: %v", out)
	}
	a.run("pull", "--json")
	meet(r, a, b)
	a.delivers(b, "to the new mailbox")
	b.reads(a, "to the new mailbox")
	served(t, r)
}

func TestWire_SendsPullsAndStreams(t *testing.T) {
	dir := t.TempDir()
	r := relaytest.Start(t, dir, "--access-log")
	a, b := newAgents(t, r)
	// An invite that is handed over by hand needs slots alone.
	meet(r, a, b)
	a.delivers(b, "one")
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

	served(t, r)
	served(t, again)
}
