//go:build realclient

package outside

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
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

// otherRelay is the relay that the client's own program has in it. Imports take over
// what it wrote.
type otherRelay struct {
	t    *testing.T
	home string
	url  string
	cmd  *exec.Cmd // nil while it is stopped
	log  relaytest.Buffer
}

// newOther starts such a relay on an address that is free.
func newOther(t *testing.T) *otherRelay {
	t.Helper()
	if os.Getenv("WIRE") == "" {
		t.Fatal("WIRE must name the client: run make test-client")
	}
	free, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	o := &otherRelay{t: t, home: t.TempDir(), url: "http://" + free.Addr().String()}
	free.Close()
	t.Cleanup(o.stop)
	o.start()
	return o
}

func (o *otherRelay) start() {
	o.t.Helper()
	o.cmd = (&agent{t: o.t, home: o.home}).command("relay-server", "--bind", strings.TrimPrefix(o.url, "http://"))
	o.cmd.Stderr = &o.log
	if err := o.cmd.Start(); err != nil {
		o.t.Fatal(err)
	}
	within(o.t, 10*time.Second, "the other relay serves", func() bool {
		resp, err := http.Get(o.url + "/healthz")
		if err != nil {
			return false
		}
		resp.Body.Close()
		return resp.StatusCode == 200
	})
}

func (o *otherRelay) stop() {
	if o.cmd != nil {
		o.cmd.Process.Signal(syscall.SIGTERM)
		o.cmd.Wait()
		o.cmd = nil
	}
}

// state is the folder that the relay writes.
func (o *otherRelay) state() string { return filepath.Join(o.home, "state/wire-relay") }

// slots returns the relay's mailboxes.
func (o *otherRelay) slots() (slots []relaytest.Slot) {
	o.t.Helper()
	text, err := os.ReadFile(filepath.Join(o.state(), "tokens.json"))
	if err != nil {
		o.t.Fatal(err)
	}
	var tokens map[string]string
	if err := json.Unmarshal(text, &tokens); err != nil {
		o.t.Fatal(err)
	}
	for id, token := range tokens {
		slots = append(slots, relaytest.Slot{ID: id, Token: token})
	}
	return slots
}

// answers returns what the relay at the URL says of the mailboxes and nicks on the
// routes that agents read. Numbers keep their spelling.
func answers(t *testing.T, url string, slots []relaytest.Slot, nicks ...string) map[string]string {
	t.Helper()
	all := make(map[string]string)
	ask := func(slot relaytest.Slot, path string, but ...string) {
		t.Helper()
		dec := json.NewDecoder(bytes.NewReader(slot.MustSend(t, 200, "GET", url+path, nil)))
		dec.UseNumber()
		var v any
		if err := dec.Decode(&v); err != nil {
			t.Fatal(err)
		}
		remove(v, but)
		text, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		all[path] = string(text)
	}
	for _, slot := range slots {
		ask(slot, "/v1/events/"+slot.ID+"?limit=1000")
		ask(slot, "/v1/slot/"+slot.ID+"/state", "last_pull_at_unix") // the other relay forgets it
	}
	for _, nick := range nicks {
		ask(relaytest.Slot{}, "/.well-known/wire/agent?handle="+nick)
		ask(relaytest.Slot{}, "/.well-known/agent-card.json?handle="+nick, "description", "url") // for people
	}
	ask(relaytest.Slot{}, "/v1/handles")
	return all
}

// remove takes the members with the names out of each object.
func remove(v any, names []string) {
	switch v := v.(type) {
	case map[string]any:
		for name, member := range v {
			if slices.Contains(names, name) {
				delete(v, name)
			} else {
				remove(member, names)
			}
		}
	case []any:
		for _, member := range v {
			remove(member, names)
		}
	}
}

func same(t *testing.T, before, after map[string]string) {
	t.Helper()
	if len(before) == 0 || len(before) != len(after) {
		t.Fatalf("%d answers, then %d", len(before), len(after))
	}
	for path, text := range before {
		if after[path] != text {
			t.Errorf("%s: it was\n%s\nand is\n%s", path, text, after[path])
		}
	}
}

// takesOver stops the other relay, imports its state, and starts the relay in its
// place.
func takesOver(t *testing.T, o *otherRelay, dir string) *relaytest.Relay {
	t.Helper()
	left := filepath.Join(t.TempDir(), "left-out.jsonl")
	args := []string{"import", "--from=" + o.state(), "--data-dir=" + dir, "--left-out=" + left}
	// A relay that still runs is refused, though none of its files is open.
	if _, err := os.Stat("/proc/self/environ"); err == nil {
		_, stderr, code := relaytest.Command(t, nil, args...)
		if code != 1 || !strings.Contains(stderr, fmt.Sprintf("in use by process %d: stop", o.cmd.Process.Pid)) {
			t.Errorf("import while the other relay runs: exit %d, %s", code, stderr)
		}
	}
	o.stop()
	out, stderr, code := relaytest.Command(t, nil, args...)
	if text, err := os.ReadFile(left); code != 0 || err == nil || stderr != "" {
		t.Fatalf("import: exit %d: %s%s%s", code, out, stderr, text)
	}
	return relaytest.Start(t, dir, "--access-log", "--bind", strings.TrimPrefix(o.url, "http://"))
}

// Agents of another relay go on as they are when its state is imported and its
// address is taken over: no command of theirs notices.
func TestWire_Imported(t *testing.T) {
	old := newOther(t)
	a, b := newAgents(t, old.url)
	c, d := newAgents(t, old.url)
	e, f := newAgents(t, old.url)
	for _, x := range []*agent{a, b, c} {
		x.claims(old.url, "claimed")
	}
	a.run("profile", "set", "motto", `“so” <is> & it, \ 🦊`, "--json")
	a.claims(old.url, "re-claimed")
	d.run("claim", d.handle, "--hidden", "--public-url", old.url, "--json")
	meet(old.url, a, b)
	meet(old.url, a, d)
	a.gathers(b)
	both(a, b, "before")
	a.tells(b, "to the team before")
	a.broadcasts("to everybody before", b, d)
	a.delivers(b, "waits")
	c.asks("add", old.url, b) // this waits as well
	b.run("responder", "set", "online", "--json")
	invite := a.shares(old.url)
	d.daemon("60")
	within(t, 10*time.Second, "the stream connects", d.connected)

	nicks := []string{a.handle, b.handle, c.handle, d.handle}
	slots := old.slots()
	before := answers(t, old.url, slots, nicks...)
	r := takesOver(t, old, filepath.Join(t.TempDir(), "data"))
	same(t, before, answers(t, r.URL, slots, nicks...))

	b.accepts(c)
	b.reads(a, "waits")
	both(b, c, "by a name before")
	health, _ := a.run("responder", "get", b.handle, "--json")[0]["responder_health"].(map[string]any)
	if health["status"] != "online" {
		t.Errorf("responder health: %v", health)
	}
	both(a, b, "goes on")
	a.tells(b, "to the team")
	a.broadcasts("to everybody", b, d)
	within(t, 30*time.Second, "the stream comes back", d.connected)
	woken := a.run("send", d.handle, "decision", "wake", "--json")[0]["event_id"].(string)
	within(t, 30*time.Second, "the daemon goes on", func() bool { return d.inbox(a, woken) })
	for _, x := range []*agent{a, b, c, d} {
		e.finds(r.URL, x)
		x.claims(r.URL, "re-claimed")
	}

	// Two that have a mailbox alone meet those of old: by the invite, and by name.
	e.follows(invite)
	a.run("pull", "--json")
	both(a, e, "by an invite before")
	f.claims(r.URL, "claimed")
	if f.older() {
		f.asks("add", r.URL, b)
	} else {
		f.asks("dial", r.URL, b)
	}
	b.accepts(f)
	both(b, f, "by a name")
	// And one that is new.
	g, h := newAgents(t, r.URL)
	g.follows(b.shares(r.URL))
	b.run("pull", "--json")
	both(b, g, "by an invite")
	h.claims(r.URL, "claimed")
	h.asks("add", r.URL, c)
	c.accepts(h)
	both(c, h, "by a name")

	if !a.older() {
		a.pings(b)
	}
	b.moves(r.URL, a)
	served(t, r, "invite") // 410, as asked above
	if !a.older() {
		c.unclaims(r.URL, a)
		c.claims(r.URL, "claimed")
	}
	served(t, r, "invite", "whois", "agent_card")
}

// The way back of the manual's page on moving in, word by word: agents go on with the
// relay that they had, and have what came since.
func TestWire_MovesBack(t *testing.T) {
	dir := t.TempDir()
	page, err := os.ReadFile("../../../docs/moving-in.md")
	if err != nil {
		t.Fatal(err)
	}
	blocks := regexp.MustCompile("(?ms)^```sh\n(.*?)^```$").FindAllSubmatch(page, -1)
	if len(blocks) != 3 {
		t.Fatalf("the page has %d blocks", len(blocks))
	}
	old := newOther(t)
	if err := os.Symlink(old.state(), filepath.Join(dir, "state")); err != nil {
		t.Fatal(err)
	}
	follow := func(block int) (out string) {
		t.Helper()
		sh := exec.Command("sh", "-euc", strings.ReplaceAll(string(blocks[block][1]), "http://127.0.0.1:8770", old.url))
		sh.Dir = dir
		sh.Env = append(relaytest.CleanEnv(), "PATH="+filepath.Dir(relaytest.Binary)+string(os.PathListSeparator)+os.Getenv("PATH"))
		out, stderr, code := relaytest.Finish(t, sh)
		if code != 0 {
			t.Fatalf("block %d: exit %d: %s%s", block, code, out, stderr)
		}
		return out
	}
	a, b := newAgents(t, old.url)
	c, d := newAgents(t, old.url)
	for _, x := range []*agent{a, b} {
		x.claims(old.url, "claimed")
	}
	meet(old.url, a, b)
	both(a, b, "before")
	if out := follow(0); !strings.Contains(out, "would import") {
		t.Errorf("it printed %s", out)
	}
	r := takesOver(t, old, filepath.Join(dir, "cowrelay-data"))
	both(a, b, "since")
	a.delivers(b, "since, and not read")
	a.broadcasts("to everybody since", b)
	c.claims(r.URL, "claimed")
	if out := d.run("rotate-slot", "--json")[0]; out["rotated"] != true {
		t.Errorf("rotate-slot: %v", out)
	}
	served(t, r)
	r.Stop()

	follow(1)
	old.start()
	follow(2)
	b.reads(a, "since, and not read")
	both(a, b, "back")
	a.finds(old.url, b)
	c.claims(old.url, "claimed")
	d.run("rotate-slot", "--json")
	d.claims(old.url, "claimed")
	for _, x := range []*agent{c, d} {
		a.asks("add", old.url, x)
		x.accepts(a)
		both(a, x, "met")
	}
}
