//go:build real

package outside

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"cowrelay/cmd/cowrelay/internal/relaytest"
)

// These tests need programs that are not Go's: make test-real installs them.

func TestReal_PromtoolAcceptsOurMetrics(t *testing.T) {
	r := relaytest.Start(t, t.TempDir())
	s := r.Allocate()
	for n := range 20 {
		r.Post(s, relaytest.Event("m", n, 300))
	}
	r.Pull(s, "")
	st := relaytest.MustStream(r, s, "")
	defer st.Conn.Close()
	ours := ourMetrics(t, r)
	cmd := exec.Command("promtool", "check", "metrics")
	cmd.Stdin = bytes.NewReader(ours)
	out, err := cmd.CombinedOutput()
	if err != nil || len(bytes.TrimSpace(out)) > 0 {
		t.Fatalf("promtool: %v\n%s", err, out)
	}
	// It must be able to say no.
	cmd = exec.Command("promtool", "check", "metrics")
	cmd.Stdin = strings.NewReader("cowrelay_bad 1\n")
	if out, err := cmd.CombinedOutput(); err == nil {
		t.Fatalf("promtool accepts a metric without help: %s", out)
	}
}

// ourMetrics returns the cowrelay_ families as they are scraped.
func ourMetrics(t *testing.T, r *relaytest.Relay) []byte {
	t.Helper()
	resp, err := http.Get(r.AdminURL + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	all, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	var ours bytes.Buffer
	for line := range bytes.Lines(all) {
		name := bytes.TrimPrefix(bytes.TrimPrefix(line, []byte("# HELP ")), []byte("# TYPE "))
		if bytes.HasPrefix(name, []byte("cowrelay_")) {
			ours.Write(line)
		}
	}
	if ours.Len() == 0 {
		t.Fatal("no cowrelay_ family in /metrics")
	}
	return ours.Bytes()
}

// Whatever the relay accepts of the hostile corpus comes back in pages that
// other parsers read whole, to the same values (I8).
func TestReal_OtherParsersReadTheHostileCorpus(t *testing.T) {
	files, err := filepath.Glob("../../../../../cow/event/testdata/hostile/accept/*.json")
	if err != nil || len(files) == 0 {
		t.Fatalf("no corpus: %v", err)
	}
	r := relaytest.Start(t, t.TempDir())
	s := r.Allocate()
	for _, name := range files {
		body, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		resp, reply, err := s.Send(http.DefaultClient, "POST", r.EventsURL(s), body)
		if err != nil || resp.StatusCode != 201 && resp.StatusCode != 200 {
			t.Fatalf("%s: %v %v %s", name, resp, err, reply)
		}
	}
	page := s.MustSend(t, 200, "GET", r.EventsURL(s)+"?limit=1000", nil)
	var events []json.RawMessage
	if err := json.Unmarshal(page, &events); err != nil || len(events) < len(files)/2 {
		t.Fatalf("%d events of %d files: %v", len(events), len(files), err)
	}
	for _, parser := range []struct{ name, script, flag string }{
		{"node", `const a=JSON.parse(require("fs").readFileSync(0,"utf8")); console.log(a.length)`, "-e"},
		{"python3", `import json,sys; print(len(json.loads(sys.stdin.buffer.read().decode("utf-8"))))`, "-c"},
	} {
		cmd := exec.Command(parser.name, parser.flag, parser.script)
		cmd.Stdin = bytes.NewReader(page)
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Errorf("%s can't read the page: %v\n%s", parser.name, err, out)
			continue
		}
		var n int
		if err := json.Unmarshal(bytes.TrimSpace(out), &n); err != nil || n != len(events) {
			t.Errorf("%s read %s events of %d", parser.name, bytes.TrimSpace(out), len(events))
		}
	}
}
