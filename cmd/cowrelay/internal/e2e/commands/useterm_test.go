package commands

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"cowrelay/cmd/cowrelay/internal/relaytest"
)

// sees waits until the terminal shows a text.
func (p *pane) sees(text string) {
	p.Helper()
	for end := time.Now().Add(2 * time.Minute); !strings.Contains(p.out.String(), text); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			p.Fatalf("no %q in:\n%s", text, p.out.String())
		}
	}
}

// In a terminal people get lines in place of JSON, a bar where it takes long,
// and a question before a slot is gone.
func TestUse_InATerminal(t *testing.T) {
	r := relaytest.Start(t, t.TempDir())
	u := newUser(t, r)
	flags := []string{"--relay=" + r.URL, "--profile-dir=" + strings.TrimPrefix(u.env[2], "COWRELAY_PROFILE_DIR=")}
	terminal := func(args ...string) *pane {
		t.Helper()
		return startPane(t, 24, 100, append(args, flags...)...)
	}
	p := terminal("slot", "new", "--save=default")
	p.exits()
	relaytest.Contains(t, p.out.String(), "relay    "+r.URL, "slot_id  ", "profile  default")
	p = terminal("slot", "new")
	p.exits()
	relaytest.Contains(t, p.out.String(), "slot_token  ", "Keep the token")
	p = terminal("post", `{"event_id":"a\u001b[31m"}`)
	p.exits()
	relaytest.Contains(t, p.out.String(), "stored a\uFFFD[31m")
	p = terminal("slot", "state")
	p.exits()
	relaytest.Contains(t, p.out.String(), "events     1", "last pull  never")
	p = terminal("slot", "state", "--json")
	p.exits()
	relaytest.Contains(t, p.out.String(), `"event_count":1`)

	// A bar for many lines, and none when it is done.
	file := filepath.Join(t.TempDir(), "events")
	var events strings.Builder
	for n := range 600_000 {
		fmt.Fprintf(&events, "{\"event_id\":\"%d\"}\n", n)
	}
	if err := os.WriteFile(file, []byte(events.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	p = terminal("post", "--file", file)
	p.sees("posting")
	p.tty.Write([]byte{3}) // Ctrl-C
	p.exits()
	relaytest.Contains(t, p.out.String(), "/600000", "stored, 0 duplicate, 0 failed", "stopped at line ", "interrupted")

	for answer, says := range map[string]string{"n": "not removed", "": "not removed"} {
		p = terminal("slot", "rm")
		p.sees("events? [y/N] ")
		fmt.Fprintln(p.tty, answer)
		p.exits()
		relaytest.Contains(t, p.out.String(), says)
	}
	p = terminal("slot", "rm")
	p.sees("events? [y/N] ")
	fmt.Fprintln(p.tty, "y")
	p.exits()
	relaytest.Contains(t, p.out.String(), "removed slot ")
	u.run(2, "", "slot", "state")
}
