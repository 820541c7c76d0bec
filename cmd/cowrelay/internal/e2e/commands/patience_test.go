package commands

import (
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"cowrelay/cmd/cowrelay/internal/relaytest"
)

// One rule holds for all commands: if no relay answers, they fail at once; if they are
// given --retry-for, they wait for it.
func TestUse_NobodyAnswers(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ln.Close()
	r := relaytest.New(t, t.TempDir(), "--bind", ln.Addr().String())
	r.URL = "http://" + ln.Addr().String()
	u := newUser(t, r, "COWRELAY_SLOT="+strings.Repeat("0", 32), "COWRELAY_TOKEN="+strings.Repeat("1", 64))
	for _, args := range [][]string{
		{"slot", "new"}, {"slot", "new", "--save", "x"}, {"slot", "state"}, {"slot", "share"}, {"slot", "rm", "--yes"}, {"pull"}, {"pull", "--wait=1m"}, {"tail"}, {"tail", "-f"},
		{"post", "{}"}, {"post", "-"}, {"post", "--parallel=2", "-"}, {"token", "new", "--may=post"}, {"token", "list"}, {"token", "revoke", "x"}, {"token", "rotate"},
	} {
		began := time.Now()
		_, errs := u.run(1, "{}\n", args...)
		// A minute is what it would be otherwise.
		if took := time.Since(began); took > 30*time.Second {
			t.Errorf("%v took %v", args, took)
		}
		relaytest.Contains(t, errs, "cannot reach the relay at "+r.URL)
		if strings.Contains(errs, "trying again") {
			t.Errorf("%v: %s", args, errs)
		}
	}
	late := u.command("slot", "new", "--retry-for=2m")
	var errs relaytest.Buffer
	late.Stderr = &errs
	done := make(chan error, 1)
	if err := late.Start(); err != nil {
		t.Fatal(err)
	}
	go func() { done <- late.Wait() }()
	for end := time.Now().Add(time.Minute); !strings.Contains(errs.String(), "trying again"); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("it does not wait: %s", errs.String())
		}
	}
	r.Start()
	if err := <-done; err != nil {
		t.Errorf("%v: %s", err, errs.String())
	}
	relaytest.Contains(t, errs.String(), "the relay answers again")
}

// slot list shows what is saved, and what is wrong with it, and no token.
func TestUse_SlotList(t *testing.T) {
	r := relaytest.Start(t, t.TempDir())
	u := newUser(t, r)
	out, _ := u.run(0, "", "slot", "list")
	u.equal(out, "")
	u.run(0, "", "slot", "new", "--save", "default")
	u.run(0, "", "slot", "new", "--save", "work")
	var dir string
	for _, v := range u.env {
		if d, ok := strings.CutPrefix(v, "COWRELAY_PROFILE_DIR="); ok {
			dir = d
		}
	}
	broken := filepath.Join(dir, "broken.json")
	if err := os.WriteFile(broken, []byte("{\n  \"relay\": \"x\",\n  \"slot_id\": 5\n}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	out, _ = u.run(0, "", "slot", "list")
	lines := strings.Split(strings.TrimSpace(out), "\n")
	if len(lines) != 5 {
		t.Fatalf("slot list: %s", out)
	}
	for i, begin := range []string{`{"profile":"broken","fault":"`, `{"profile":"default","relay":"` + r.URL + `","slot_id":"`, `{"profile":"default.owner",`, `{"profile":"work",`, `{"profile":"work.owner",`} {
		if !strings.HasPrefix(lines[i], begin) {
			t.Errorf("line %d: %s", i, lines[i])
		}
	}
	relaytest.Contains(t, lines[0], broken+":3: ")
	relaytest.Contains(t, lines[1], `"holds":"slot_token"`)
	relaytest.Contains(t, lines[2], `"holds":"owner_token"`)
	saved, err := os.ReadFile(filepath.Join(dir, "default.json"))
	if err != nil {
		t.Fatal(err)
	}
	for _, secret := range strings.FieldsFunc(string(saved), func(c rune) bool { return !strings.ContainsRune("0123456789abcdef", c) }) {
		if len(secret) == 64 && strings.Contains(out, secret) {
			t.Error("slot list shows a token")
		}
	}
	_, errs := u.run(1, "", "pull", "--profile", "broken")
	relaytest.Contains(t, errs, `profile "broken" is broken: `+broken+":3: it is a JSON object of texts")

	// The shell completes profiles and their slots.
	out, _ = u.run(0, "", "__completeNoDesc", "pull", "--profile", "w")
	u.equal(out, "work\nwork.owner\n:4\n")
	out, _ = u.run(0, "", "__complete", "pull", "--slot", "")
	relaytest.Contains(t, out, "\tdefault\n", "\twork\n", ":4\n")
	if strings.Count(out, "\n") != 3 {
		t.Errorf("slots: %s", out)
	}
}

// post prints the same, wherever its events come from.
func TestUse_PostPrintsAlike(t *testing.T) {
	u := newUser(t, relaytest.Start(t, t.TempDir()))
	u.run(0, "", "slot", "new", "--save", "default")
	n := 0
	for _, c := range []struct {
		events []string
		says   string
		code   int
	}{
		{[]string{`{"event_id":"a#"}`}, `{"event_id":"a#","status":"stored","stored":1,"duplicate":0,"failed":0}`, 0},
		{[]string{`{"n":1}`}, `{"event_id":null,"status":"stored","stored":1,"duplicate":0,"failed":0}`, 0},
		{[]string{`{"event_id":"b#"}`, `{"event_id":"b#"}`}, `{"stored":1,"duplicate":1,"failed":0}`, 0},
		{[]string{`{"event_id":"c#"}`, `[]`, `{"n":1}`}, `{"stored":2,"duplicate":0,"failed":1}`, 1},
		{[]string{`[]`}, `{"stored":0,"duplicate":0,"failed":1}`, 1},
	} {
		for _, way := range []string{"arguments", "input", "parallel"} {
			n++
			fresh := func(s string) string { return strings.ReplaceAll(s, "#", strings.Repeat("x", n)) }
			args, in := []string{"post"}, ""
			for _, e := range c.events {
				in += fresh(e) + "\n"
				if way == "arguments" {
					args = append(args, fresh(e))
				}
			}
			switch way {
			case "input":
				args = append(args, "-")
			case "parallel":
				args = append(args, "--parallel=2", "-")
			}
			out, _ := u.run(c.code, in, args...)
			u.equal(out, fresh(c.says)+"\n")
		}
	}
	u.run(0, "", "post", `{"event_id":"again"}`)
	for _, args := range [][]string{{"post", `{"event_id":"again"}`}, {"post", "-"}} {
		out, _ := u.run(0, `{"event_id":"again"}`+"\n", args...)
		u.equal(out, `{"event_id":"again","status":"duplicate","stored":0,"duplicate":1,"failed":0}`+"\n")
	}
}
