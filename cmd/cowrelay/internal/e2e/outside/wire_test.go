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
	"sync"
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

// newAgents returns agents with a mailbox on the relay at the URL.
func newAgents(t *testing.T, relay string) (a, b *agent) {
	t.Helper()
	if os.Getenv("WIRE") == "" {
		t.Fatal("WIRE must name the client: run make test-client")
	}
	a, b = &agent{t: t, home: t.TempDir()}, &agent{t: t, home: t.TempDir()}
	for _, x := range []*agent{a, b} {
		x.run("init", "--relay", relay, "--json")
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
func meet(relay string, a, b *agent) {
	a.t.Helper()
	b.run("accept-invite", a.run("invite", "--relay", relay, "--json")[0]["invite_url"].(string), "--json")
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

// claims claims the agent's nick, which the relay must answer with the status.
func (a *agent) claims(relay, status string) {
	a.t.Helper()
	answer, _ := a.run("claim", a.handle, "--relay", relay, "--json")[0]["response"].(map[string]any)
	if answer["status"] != status || answer["nick"] != a.handle {
		a.t.Errorf("claim: %v, want %s", answer, status)
	}
}

// finds looks the other up by its name.
func (a *agent) finds(relay string, other *agent) {
	a.t.Helper()
	card := a.run("whois", other.at(), "--relay", relay, "--json")[0]
	if card["nick"] != other.handle || card["did"] != other.run("whoami", "--json")[0]["did"] || card["slot_id"] == nil {
		a.t.Errorf("whois: %v", card)
	}
}

// unclaims gives the agent's nick up, after which the other finds nobody.
func (a *agent) unclaims(relay string, other *agent) {
	a.t.Helper()
	if answer, _ := a.run("unclaim", "--relay", relay, "--json")[0]["response"].(map[string]any); answer["status"] != "unclaimed" {
		a.t.Errorf("unclaim: %v", answer)
	}
	if says := other.fails("whois", a.at(), "--relay", relay, "--json"); !strings.Contains(says, "404") {
		a.t.Errorf("whois of nobody: %s", says)
	}
}

// Claim, whois, claim again after a restart, unclaim.
func TestWire_Handles(t *testing.T) {
	dir := t.TempDir()
	r := relaytest.Start(t, dir, "--access-log")
	a, b := newAgents(t, r.URL)
	a.claims(r.URL, "claimed")
	b.finds(r.URL, a)
	a.run("profile", "set", "motto", "as changed", "--json")
	a.claims(r.URL, "re-claimed")
	served(t, r)
	r.Kill()
	again := relaytest.Start(t, dir, "--access-log", "--bind", strings.TrimPrefix(r.URL, "http://"))
	b.finds(again.URL, a)
	served(t, again)
	if a.older() {
		return
	}
	a.unclaims(again.URL, b)
	a.claims(again.URL, "claimed")
	served(t, again, "whois", "agent_card")
}

// both has each of the agents send to the other, and read.
func both(a, b *agent, text string) {
	a.t.Helper()
	a.delivers(b, text)
	b.reads(a, text)
	b.delivers(a, text+", and back")
	a.reads(b, text+", and back")
}

// asks introduces the agent to another by its name alone. The other still has to
// accept.
func (a *agent) asks(command, relay string, other *agent) {
	a.t.Helper()
	if command == "add" {
		a.run("add", other.at(), "--relay", relay, "--json")
	} else {
		a.run("dial", other.handle+"@"+strings.TrimPrefix(relay, "http://"), "--json")
	}
}

func (a *agent) accepts(other *agent) {
	a.t.Helper()
	a.run("pull", "--json")
	a.run("accept", other.handle, "--json")
	other.run("pull", "--json")
}

// An agent finds another by its name alone, by each of the commands that do, and
// both send.
func TestWire_FindsByName(t *testing.T) {
	for _, command := range []string{"add", "dial"} {
		t.Run(command, func(t *testing.T) {
			r := relaytest.Start(t, t.TempDir(), "--access-log")
			a, b := newAgents(t, r.URL)
			if command == "dial" && a.older() {
				return // it can't name this relay
			}
			for _, x := range []*agent{a, b} {
				x.claims(r.URL, "claimed")
			}
			a.asks(command, r.URL, b)
			b.accepts(a)
			both(a, b, "there")
			served(t, r)
		})
	}
}

// shares returns the short address of an invite to the agent.
func (a *agent) shares(relay string) (short string) {
	a.t.Helper()
	out, err := a.command("invite", "--share", "--relay", relay).Output()
	short = regexp.MustCompile(regexp.QuoteMeta(relay) + "/i/[0-9a-f]+").FindString(string(out))
	if err != nil || short == "" {
		a.t.Fatalf("%v: %s", err, out)
	}
	return short
}

// follows runs the script behind a short address, which accepts the invite. It is
// good for one.
func (a *agent) follows(short string) {
	a.t.Helper()
	url := string(relaytest.Slot{}.MustSend(a.t, 200, "GET", short+"?format=url", nil))
	script := string(relaytest.Slot{}.MustSend(a.t, 200, "GET", short, nil))
	if url = strings.TrimSpace(url); !strings.HasPrefix(url, "wire://pair?") || !strings.Contains(script, "wire accept-invite '"+url+"'") {
		a.t.Fatalf("%s\n%s", url, script)
	}
	sh := exec.Command("sh", "-c", script)
	sh.Env = append(a.command().Env, "PATH="+filepath.Dir(os.Getenv("WIRE"))+string(os.PathListSeparator)+os.Getenv("PATH"))
	if out, err := sh.CombinedOutput(); err != nil {
		a.t.Fatalf("%v: %s", err, out)
	}
	relaytest.Slot{}.MustSend(a.t, 410, "GET", short, nil)
}

// An invite that is shared as a short address is good for one.
func TestWire_SharedInvite(t *testing.T) {
	r := relaytest.Start(t, t.TempDir(), "--access-log")
	a, b := newAgents(t, r.URL)
	b.follows(a.shares(r.URL))
	a.run("pull", "--json")
	both(a, b, "by a script")
	served(t, r, "invite") // 410, as asked above
}

// broadcasts sends to all that the agent has met.
func (a *agent) broadcasts(text string, to ...*agent) {
	a.t.Helper()
	if out := a.run("mesh", "broadcast", text, "--scope", "both", "--json")[0]; out["delivered"] != float64(len(to)) {
		a.t.Errorf("broadcast: %v", out)
	}
	for _, other := range to {
		other.run("pull", "--json")
		if out, err := other.command("tail", a.handle, "--json").Output(); !bytes.Contains(out, []byte(text)) {
			a.t.Errorf("broadcast: %v %s", err, out)
		}
	}
}

// gathers makes a group with the other in it.
func (a *agent) gathers(other *agent) {
	a.t.Helper()
	a.run("group", "create", "team", "--json")
	a.run("group", "add", "team", other.handle, "--json")
	a.run("push", "--json")
	other.run("pull", "--json")
}

// tells sends to the group that gathers made.
func (a *agent) tells(other *agent, text string) {
	a.t.Helper()
	a.run("group", "send", "team", text, "--json")
	if out, err := other.command("group", "tail", "team", "--json").Output(); !bytes.Contains(out, []byte(text)) {
		a.t.Errorf("group: %v %s", err, out)
	}
}

// pings has the other's daemon answer.
func (a *agent) pings(other *agent) {
	a.t.Helper()
	stop := other.daemon("1")
	defer stop()
	within(a.t, 30*time.Second, "the peer answers a ping", func() bool { return a.run("ping", other.handle, "--json")[0]["alive"] == true })
}

// daemon runs the agent's daemon until the end of the test, or until stop.
func (a *agent) daemon(interval string) (stop func()) {
	a.t.Helper()
	daemon := a.command("daemon", "--interval", interval)
	if err := daemon.Start(); err != nil {
		a.t.Fatal(err)
	}
	stop = sync.OnceFunc(func() {
		daemon.Process.Signal(syscall.SIGTERM)
		daemon.Wait()
	})
	a.t.Cleanup(stop)
	return stop
}

// moves gives the agent a new mailbox, in which it meets the other again.
func (a *agent) moves(relay string, other *agent) {
	a.t.Helper()
	if out := a.run("rotate-slot", "--json")[0]; out["rotated"] != true || out["new_slot_id"] == out["old_slot_id"] {
		a.t.Errorf("rotate-slot: %v", out)
	}
	other.run("pull", "--json")
	meet(relay, other, a)
	both(other, a, "to the new mailbox")
}

// Groups, broadcasts, pings and a new mailbox, between agents that have met.
func TestWire_Together(t *testing.T) {
	r := relaytest.Start(t, t.TempDir(), "--access-log")
	a, b := newAgents(t, r.URL)
	meet(r.URL, a, b)
	a.broadcasts("to everybody", b)
	a.gathers(b)
	a.tells(b, "to the team")
	if !a.older() {
		a.pings(b)
	}
	b.moves(r.URL, a)
	served(t, r)
}

func TestWire_SendsPullsAndStreams(t *testing.T) {
	dir := t.TempDir()
	r := relaytest.Start(t, dir, "--access-log")
	a, b := newAgents(t, r.URL)
	// An invite that is handed over by hand needs slots alone.
	meet(r.URL, a, b)
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

	b.daemon("60")
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
