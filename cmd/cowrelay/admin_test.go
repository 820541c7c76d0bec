package main

import (
	"encoding/json"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

const testAdminToken = "0123456789abcdef0123456789abcdef"

// adminOf runs an admin command against a relay and fails unless it ends well.
func (r *relay) adminOf(t *testing.T, args ...string) string {
	t.Helper()
	out, errs, code := command(t, []string{"COWRELAY_ADMIN_URL=" + r.admin}, append([]string{"admin"}, args...)...)
	if code != 0 || errs != "" {
		t.Fatalf("admin %v: exit %d\n%s", args, code, errs)
	}
	return out
}

// An operator finds the largest slot, blocks it over a restart, and lets it go.
func TestAdmin_BlocksASlotOverARestart(t *testing.T) {
	dir := t.TempDir()
	r := startRelay(t, dir)
	loud, quiet := r.allocate(), r.allocate()
	quiet.mustSend(t, 201, "POST", r.eventsURL(quiet), postBody(testEvent("q", 0, 100)))
	for i := range 3 {
		r.post(loud, testEvent("w", i, 500))
	}
	var first struct {
		ID     string `json:"slot_id"`
		Events int    `json:"events"`
	}
	lines := strings.Split(strings.TrimSpace(r.adminOf(t, "slots", "--by", "events")), "\n")
	if err := json.Unmarshal([]byte(lines[0]), &first); err != nil || len(lines) != 2 || first.ID != loud.ID || first.Events != 3 {
		t.Fatalf("slots: %v\n%s", err, strings.Join(lines, "\n"))
	}
	live := mustStream(r, loud, "")
	contains(t, r.adminOf(t, "block", loud.ID, "--reason", "too loud"), `"blocked":true`)
	if _, err := live.next(); err != io.EOF {
		t.Errorf("the stream of a blocked slot: %v", err)
	}
	r.stop()
	r = startRelay(t, dir)
	contains(t, string(loud.mustSend(t, 403, "POST", r.eventsURL(loud), postBody(testEvent("w", 4, 100)))), `"blocked":true`)
	loud.mustSend(t, 403, "GET", r.eventsURL(loud)+"/stream", nil)
	contains(t, r.adminOf(t, "slot", loud.ID), `"reason":"too loud"`, `"events":3`)
	for _, args := range [][]string{{"pull"}, {"post", "{}"}, {"tail", "-f"}} {
		_, errs, code := command(t, []string{"COWRELAY_RELAY=" + r.url, "COWRELAY_SLOT=" + loud.ID, "COWRELAY_TOKEN=" + loud.Token}, args...)
		if code != 1 || strings.Contains(errs, "token") {
			t.Errorf("%v: exit %d, %s", args, code, errs)
		}
		contains(t, errs, "blocked by the relay's operator")
	}
	contains(t, r.adminOf(t, "slots", "--blocked"), loud.ID)
	contains(t, r.adminOf(t, "status"), `"slots_blocked":1`, `"ready":true`)
	contains(t, r.adminOf(t, "unblock", loud.ID), `"blocked":false`)
	if n := len(r.pull(loud, "")); n != 3 {
		t.Errorf("%d events of 3", n)
	}
	contains(t, r.adminOf(t, "rm", "--yes", loud.ID), `{"deleted":"`+loud.ID+`"}`)
	loud.mustSend(t, 404, "GET", r.eventsURL(loud), nil)
	quiet.mustSend(t, 200, "GET", r.eventsURL(quiet), nil)
	contains(t, r.log.String(), `"act":"unblock slot","on":"`+loud.ID+`","result":"done"`, `"act":"delete slot"`)
	if strings.Contains(r.log.String(), loud.Token) {
		t.Error("the log holds a token")
	}
}

// The log level changes at once, and a drain ends the process as SIGTERM does.
func TestAdmin_LogLevelAndDrain(t *testing.T) {
	r := startRelay(t, t.TempDir())
	contains(t, r.adminOf(t, "log-level"), `"info"`)
	contains(t, r.adminOf(t, "log-level", "error"), `"error"`)
	contains(t, r.adminOf(t, "log-level", "info"), `"info"`)
	m := r.allocate()
	live := mustStream(r, m, "")
	r.post(m, testEvent("a", 0, 100))
	contains(t, r.adminOf(t, "drain", "--yes"), `"draining":true`)
	if _, err := live.next(); err != nil {
		t.Errorf("what was posted before the drain: %v", err)
	}
	if _, err := live.next(); err != io.EOF {
		t.Errorf("the stream ends with %v", err)
	}
	if code := r.wait(20 * time.Second); code != 0 || r.logged("stopped") == nil || r.logged("second signal: ending at once") != nil {
		t.Errorf("exit %d\n%s", code, r.log.String())
	}
	_, errs, code := command(t, nil, "admin", "--admin", r.admin, "status")
	if code != 1 {
		t.Errorf("status of a relay that is gone: exit %d", code)
	}
	contains(t, errs, "no relay answers at "+r.admin, "connection refused")
}

// With a token only who has it may do more than read metrics.
func TestAdmin_Token(t *testing.T) {
	file := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(file, []byte(testAdminToken+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	r := startRelay(t, t.TempDir(), "--admin-token-file="+file)
	for path, want := range map[string]int{"/metrics": 200, "/readyz": 200, "/admin/v1/status": 401, "/debug/pprof/": 401} {
		slot{}.mustSend(t, want, "GET", r.admin+path, nil)
	}
	slot{Token: testAdminToken}.mustSend(t, 200, "GET", r.admin+"/debug/pprof/", nil)
	for _, c := range []struct {
		env, args []string
		code      int
		says      string
	}{
		{nil, nil, 1, "give --admin-token-file"},
		{[]string{"COWRELAY_ADMIN_TOKEN=a-token-of-another-relay"}, nil, 1, "the admin token is not the relay's"},
		{[]string{"COWRELAY_ADMIN_TOKEN=" + testAdminToken}, nil, 0, ""},
		{[]string{"COWRELAY_ADMIN_TOKEN_FILE=" + file, "COWRELAY_ADMIN_TOKEN=another-token-which-loses"}, nil, 0, ""},
		{nil, []string{"--admin-token-file", file}, 0, ""},
		{nil, []string{"--admin-token-file", file + "x"}, 2, "--admin-token-file"},
		{[]string{"COWRELAY_ADMIN_TOKEN=short"}, nil, 2, "COWRELAY_ADMIN_TOKEN: the admin token is shorter"},
	} {
		_, errs, code := command(t, c.env, append([]string{"admin", "status", "--admin=" + r.admin}, c.args...)...)
		if code != c.code {
			t.Errorf("%v %v: exit %d, want %d", c.env, c.args, code, c.code)
		}
		contains(t, errs, c.says)
	}
	if strings.Contains(r.log.String(), testAdminToken) {
		t.Error("the log holds the token")
	}
	for _, text := range []string{"", "short", "sixteen and more, but with blanks"} {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, errs, code := command(t, nil, "check-config", "--admin-token-file="+file); code != 2 || !strings.Contains(errs, "--admin-token-file") {
			t.Errorf("a file with %q: exit %d\n%s", text, code, errs)
		}
	}
}

func TestAdmin_AskedWrongly(t *testing.T) {
	id := strings.Repeat("0a", 16)
	for _, c := range []struct {
		args []string
		says string
	}{
		{[]string{}, "which command?"},
		{[]string{"blokc", id}, "unknown command"},
		{[]string{"slot"}, "which slot?"},
		{[]string{"block", "A" + id[1:]}, "is no slot id"},
		{[]string{"rm", id}, "give --yes"},
		{[]string{"drain"}, "give --yes"},
		{[]string{"log-level", "loud"}, "one of debug, info, warn, error"},
		{[]string{"slots", "--by", "name"}, "one of bytes"},
		{[]string{"slots", "--limit", "0"}, "--limit"},
		{[]string{"status", "--admin", "ftp://x"}, "is no URL"},
	} {
		out, errs, code := command(t, nil, append([]string{"admin"}, c.args...)...)
		if code != 2 || out != "" {
			t.Errorf("%v: exit %d, %q", c.args, code, out)
		}
		contains(t, errs, c.says)
	}
	// What answers and is no relay says nothing useful; we do.
	other := http.Server{Handler: http.NotFoundHandler()}
	defer other.Close()
	ln, err := listen("127.0.0.1:0", "--admin")
	if err != nil {
		t.Fatal(err)
	}
	go other.Serve(ln)
	_, errs, code := command(t, nil, "admin", "status", "--admin", ln.Addr().String())
	if code != 1 {
		t.Errorf("exit %d", code)
	}
	contains(t, errs, "this is not the admin listener of a relay")
}

// What can't be taken back asks first.
func TestAdmin_AsksFirst(t *testing.T) {
	r := startRelay(t, t.TempDir())
	m := r.allocate()
	for _, c := range []struct {
		answer, says string
		code         int
	}{
		{"\n", "nothing done", 1},
		{"n\n", "nothing done", 1},
		{"\x03", "nothing done", 1}, // Ctrl-C
		{"Y\n", "deleted " + m.ID, 0},
	} {
		out, code := answered(t, "[y/N] ", c.answer, "admin", "rm", "--admin="+r.admin, m.ID)
		if code != c.code {
			t.Errorf("%q: exit %d\n%s", c.answer, code, out)
		}
		contains(t, out, "Delete slot "+m.ID, c.says)
	}
	m.mustSend(t, 404, "GET", r.eventsURL(m), nil)
	if out, code := answered(t, "[y/N] ", "yes\n", "admin", "drain", "--admin="+r.admin); code != 0 {
		t.Errorf("drain: exit %d\n%s", code, out)
	}
	if code := r.wait(20 * time.Second); code != 0 {
		t.Errorf("the relay: exit %d", code)
	}
}

// answered runs the binary in a terminal and answers its question.
func answered(t *testing.T, question, answer string, args ...string) (out string, code int) {
	t.Helper()
	p := startPane(t, 24, 80, args...)
	for deadline := time.Now().Add(30 * time.Second); !strings.Contains(p.out.String(), question); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("no question: %q", p.out.String())
		}
	}
	p.tty.WriteString(answer)
	p.exits()
	return p.out.String(), p.cmd.ProcessState.ExitCode()
}
