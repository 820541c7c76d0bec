package commands

import (
	"encoding/json"
	"os"
	"os/exec"
	"strings"
	"testing"

	"cowrelay/cmd/cowrelay/internal/relaytest"
)

// In a pipe whose reader has what it wants, a command ends without a word.
func TestOutput_ClosedPipe(t *testing.T) {
	for _, args := range [][]string{{"default-config"}, {"--help"}, {"completion", "bash"}} {
		r, w, err := os.Pipe()
		if err != nil {
			t.Fatal(err)
		}
		r.Close()
		cmd := exec.Command(relaytest.Binary, args...)
		cmd.Stdout = w
		stderr := new(relaytest.Buffer)
		cmd.Stderr = stderr
		err = cmd.Run()
		w.Close()
		if err == nil || stderr.String() != "" {
			t.Errorf("%v: %v %q", args, err, stderr.String())
		}
	}
}

// hostile is what a terminal takes for orders: C1 controls, delete, and what
// turns the direction of writing.
const (
	hostile     = "\x1b\u007f\u0080\u0085\u009b\u009f\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"
	hostileText = "a\u009b31m\u007f\u0080\u0085\u009f\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069é漢\U0001f600z"
)

// A terminal gets no character that steers it, but JSON that means the same; a
// pipe gets the bytes as they are.
func TestOutput_Terminal(t *testing.T) {
	r := relaytest.Start(t, t.TempDir())
	u := newUser(t, r)
	u.run(0, "", "slot", "new", "--save=default")
	event := `{"event_id":"a","text":"` + hostileText + `"}`
	u.run(0, event, "post", "-")
	flags := []string{"--relay=" + r.URL, "--profile-dir=" + strings.TrimPrefix(u.env[2], "COWRELAY_PROFILE_DIR=")}
	for _, args := range [][]string{{"pull"}, {"tail"}} {
		out, _ := u.run(0, "", args...)
		u.equal(out, event+"\n")
		p := startPane(t, 24, 200, append(args, flags...)...)
		p.exits()
		got := strings.TrimSpace(p.out.String())
		if strings.ContainsAny(got, hostile) {
			t.Errorf("%v: %q", args, got)
		}
		var v struct{ Text string }
		if err := json.Unmarshal([]byte(got), &v); err != nil || v.Text != hostileText {
			t.Errorf("%v: %v %q", args, err, got)
		}
	}
	// What the relay says in an error, here a made-up one.
	_, errs := u.run(1, "", "slot", "state", "--relay="+liar(t, hostileText+"\x1b[2J"), "--slot=0123456789abcdef0123456789abcdef", "--token-file="+relaytest.WriteTemp(t, "token"), "--retry-for=0")
	if strings.ContainsAny(errs, hostile) || !strings.Contains(errs, `\u009b31m`) {
		t.Errorf("%q", errs)
	}
}
