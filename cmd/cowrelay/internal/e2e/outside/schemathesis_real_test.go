//go:build real

package outside

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"cowrelay/cmd/cowrelay/internal/relaytest"
)

// Requests made from /openapi.yaml, valid ones and others, get what it describes
// and never a server's fault. The seed is fixed: a failure comes again. Another
// seed is in COWRELAY_SEED.
func TestReal_Schemathesis(t *testing.T) {
	t.Parallel()
	st := foreignPath(t, "venv/bin/st")
	hooks, err := filepath.Abs("testdata/foreign")
	if err != nil {
		t.Fatal(err)
	}
	r := relaytest.Start(t, t.TempDir())
	run := func(s relaytest.Slot, token string, args ...string) {
		t.Helper()
		dir := t.TempDir()
		config := filepath.Join(dir, "schemathesis.toml")
		if err := os.WriteFile(config, fmt.Appendf(nil, "[parameters]\n\"path.slot\" = %q\n\"file\" = \"style.css\"\n", s.ID), 0o600); err != nil {
			t.Fatal(err)
		}
		seed := os.Getenv("COWRELAY_SEED")
		if seed == "" {
			seed = "1"
		}
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute) // it is done in 30 s
		defer cancel()
		// One worker: with two, Python 3.11 now and then can't parse its own source, since
		// it counts the depth of its recursion for all threads.
		cmd := exec.CommandContext(ctx, st, append([]string{
			"--config-file", config, "run", r.URL + "/openapi.yaml", "--header", "Authorization: Bearer " + token,
			"--checks", "not_a_server_error,status_code_conformance,content_type_conformance,response_headers_conformance,response_schema_conformance",
			"--phases", "examples,coverage,fuzzing", "--max-examples", "20", "--workers", "1", "--seed", seed,
			"--request-timeout", "60", "--suppress-health-check", "all",
		}, args...)...)
		cmd.Dir = dir // it keeps what it found there
		cmd.Env = append(os.Environ(), "SCHEMATHESIS_HOOKS=schemathesis_hooks", "PYTHONPATH="+hooks)
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("schemathesis %v: %v\n%s", args, err, out)
		}
	}

	// A slot that holds events, so that no long poll waits. Streams never end, and
	// a deleted slot has nothing more to say: these two come below.
	s := r.Allocate()
	r.Post(s, relaytest.Event("a", 0, 300))
	run(s, s.Owner, "--exclude-operation-id", "streamEvents", "--exclude-operation-id", "deleteSlot")
	// The token of another slot.
	run(s, r.Allocate().Token, "--include-tag", "events", "--include-tag", "slots", "--phases", "coverage")
	gone := r.Allocate()
	run(gone, gone.Owner, "--include-operation-id", "deleteSlot")
	if t.Failed() {
		return
	}

	// It got behind the door, on every route.
	resp, err := http.Get(r.AdminURL + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"events 200", "events 201", "events 400", "events 401", "events 403", "events 422", "state 200", "responder_health 200",
		"allocate 201", "stream 403", "slot 204", "stats 200", "stats_history 200", "stats_series 200", "openapi 200",
	} {
		route, status, _ := strings.Cut(want, " ")
		if !regexp.MustCompile(`cowrelay_http_requests_total\{route="` + route + `",method="[A-Z]+",status="` + status + `"\} [1-9]`).Match(text) {
			t.Errorf("no request got %s", want)
		}
	}
	if strings.Contains(r.Log.String(), `"level":"ERROR"`) {
		t.Errorf("the relay logged an error:\n%.4000s", r.Log.String())
	}
}
