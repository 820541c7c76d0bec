package commands

import (
	"encoding/json"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"cowrelay/cmd/cowrelay/internal/relaytest"
)

const testAdminToken = "0123456789abcdef0123456789abcdef"

// An operator finds the largest slot, blocks it over a restart, and lets it go.
func TestAdmin_BlocksASlotOverARestart(t *testing.T) {
	dir := t.TempDir()
	r := relaytest.Start(t, dir)
	loud, quiet := r.Allocate(), r.Allocate()
	quiet.MustSend(t, 201, "POST", r.EventsURL(quiet), relaytest.PostBody(relaytest.Event("q", 0, 100)))
	for i := range 3 {
		r.Post(loud, relaytest.Event("w", i, 500))
	}
	var first struct {
		ID     string `json:"slot_id"`
		Events int    `json:"events"`
	}
	lines := strings.Split(strings.TrimSpace(r.Admin(t, "slots", "--by", "events")), "\n")
	if err := json.Unmarshal([]byte(lines[0]), &first); err != nil || len(lines) != 2 || first.ID != loud.ID || first.Events != 3 {
		t.Fatalf("slots: %v\n%s", err, strings.Join(lines, "\n"))
	}
	live := relaytest.MustStream(r, loud, "")
	relaytest.Contains(t, r.Admin(t, "block", loud.ID, "--reason", "too loud"), `"blocked":true`)
	if _, err := live.Next(); err != io.EOF {
		t.Errorf("the stream of a blocked slot: %v", err)
	}
	r.Stop()
	r = relaytest.Start(t, dir)
	relaytest.Contains(t, string(loud.MustSend(t, 403, "POST", r.EventsURL(loud), relaytest.PostBody(relaytest.Event("w", 4, 100)))), `"blocked":true`)
	loud.MustSend(t, 403, "GET", r.EventsURL(loud)+"/stream", nil)
	relaytest.Contains(t, r.Admin(t, "slot", loud.ID), `"reason":"too loud"`, `"events":3`)
	for _, args := range [][]string{{"pull"}, {"post", "{}"}, {"tail", "-f"}} {
		_, errs, code := relaytest.Command(t, []string{"COWRELAY_RELAY=" + r.URL, "COWRELAY_SLOT=" + loud.ID, "COWRELAY_TOKEN=" + loud.Token}, args...)
		if code != 1 || strings.Contains(errs, "token") {
			t.Errorf("%v: exit %d, %s", args, code, errs)
		}
		relaytest.Contains(t, errs, "blocked by the relay's operator")
	}
	relaytest.Contains(t, r.Admin(t, "slots", "--blocked"), loud.ID)
	for args, want := range map[string]string{
		"unblock ":                         loud.ID + "\n:4\n",
		"slot " + quiet.ID[:8]:             quiet.ID + "\n:4\n",
		"slots tokens " + loud.ID + " ":    ":4\n", // it takes one
		"slot no":                          ":4\n",
		"slots --by ":                      "bytes\nevents\nposts\nstreams\npulled\n:4\n",
		"handles show ":                    ":4\n", // there are none
		"status ":                          ":4\n",
		"slot --admin=http://127.0.0.1:1 ": ":4\n", // nobody answers
	} {
		out, _, code := relaytest.Command(t, []string{"COWRELAY_ADMIN_URL=" + r.AdminURL}, append([]string{"__completeNoDesc", "admin"}, strings.Split(args, " ")...)...)
		if code != 0 || out != want {
			t.Errorf("completion of %q: %q, want %q", args, out, want)
		}
	}
	relaytest.Contains(t, r.Admin(t, "status"), `"slots_blocked":1`, `"ready":true`, `"handles":0,"invites":0,"pairs":0`)
	relaytest.Contains(t, r.Admin(t, "unblock", loud.ID), `"blocked":false`)
	if n := len(r.Pull(loud, "")); n != 3 {
		t.Errorf("%d events of 3", n)
	}
	relaytest.Contains(t, r.Admin(t, "rm", "--yes", loud.ID), `{"deleted":"`+loud.ID+`"}`)
	loud.MustSend(t, 404, "GET", r.EventsURL(loud), nil)
	quiet.MustSend(t, 200, "GET", r.EventsURL(quiet), nil)
	relaytest.Contains(t, r.Log.String(), `"act":"unblock slot","on":"`+loud.ID+`","result":"done"`, `"act":"delete slot"`)
	if strings.Contains(r.Log.String(), loud.Token) {
		t.Error("the log holds a token")
	}
}

// An imported slot has no owner. The operator gives it one, who can then do all; and
// lists tokens and takes them back.
func TestAdmin_OwnersAndTokens(t *testing.T) {
	state := relaytest.NewState(t, 1, 2, 100)
	dir := filepath.Join(t.TempDir(), "data")
	importInto(t, state, dir)
	r := relaytest.Start(t, dir)
	s := state.Slots[0]
	slot := r.URL + "/v1/slot/" + s.ID
	relaytest.Contains(t, string(s.MustSend(t, 403, "DELETE", slot, nil)), `"needs":"owner"`)
	for range 2 { // the second one replaces the first
		before := s.AsOwner()
		if err := json.Unmarshal([]byte(r.Admin(t, "slots", "owner", s.ID)), &s); err != nil || len(s.Owner) != 64 {
			t.Fatalf("%+v, %v", s, err)
		}
		if before.Token != "" {
			before.MustSend(t, 403, "GET", slot+"/tokens", nil)
		}
	}
	var made struct {
		Token string `json:"token"`
		ID    string `json:"token_id"`
	}
	if err := json.Unmarshal(s.AsOwner().MustSend(t, 201, "POST", slot+"/tokens", []byte(`{"may":["read"],"note":"eyes"}`)), &made); err != nil {
		t.Fatal(err)
	}
	r.Stop()
	r = relaytest.Start(t, dir)
	slot = r.URL + "/v1/slot/" + s.ID
	list := r.Admin(t, "slots", "tokens", s.ID)
	relaytest.Contains(t, list, `"token_id":"`+made.ID+`"`, `"note":"eyes"`, `"may":["read"]`)
	reader := relaytest.Slot{ID: s.ID, Token: made.Token}
	reader.MustSend(t, 200, "GET", r.EventsURL(s), nil)
	relaytest.Contains(t, r.Admin(t, "slots", "revoke", s.ID, made.ID), `{"revoked":"`+made.ID+`"}`)
	reader.MustSend(t, 403, "GET", r.EventsURL(s), nil)
	for _, args := range [][]string{{"slots", "revoke", s.ID, made.ID}, {"slots", "revoke", s.ID}, {"slots", "revoke", s.ID, "x"}, {"slots", "owner"}, {"slots", "owner", "x"}, {"slots", "tokens", strings.Repeat("0", 32)}} {
		if out, errs, code := relaytest.Command(t, []string{"COWRELAY_ADMIN_URL=" + r.AdminURL}, append([]string{"admin"}, args...)...); code == 0 || errs == "" {
			t.Errorf("%v: exit %d, %s%s", args, code, out, errs)
		}
	}
	s.AsOwner().MustSend(t, 204, "DELETE", slot, nil)
	log := r.Log.String()
	relaytest.Contains(t, log, `"act":"revoke token","on":"`+s.ID+`"`)
	for _, text := range []string{list, log} {
		for _, secret := range []string{made.Token, s.Token, s.Owner} {
			if strings.Contains(text, secret[40:]) {
				t.Error("a token is shown")
			}
		}
	}
	r.Stop()
	sound(t, dir)
}

// The log level changes at once, and a drain ends the process as SIGTERM does.
func TestAdmin_LogLevelAndDrain(t *testing.T) {
	r := relaytest.Start(t, t.TempDir())
	relaytest.Contains(t, r.Admin(t, "log-level"), `"info"`)
	relaytest.Contains(t, r.Admin(t, "log-level", "error"), `"error"`)
	relaytest.Contains(t, r.Admin(t, "log-level", "info"), `"info"`)
	m := r.Allocate()
	live := relaytest.MustStream(r, m, "")
	r.Post(m, relaytest.Event("a", 0, 100))
	relaytest.Contains(t, r.Admin(t, "drain", "--yes"), `"draining":true`)
	if _, err := live.Next(); err != nil {
		t.Errorf("what was posted before the drain: %v", err)
	}
	if _, err := live.Next(); err != io.EOF {
		t.Errorf("the stream ends with %v", err)
	}
	if code := r.Wait(20 * time.Second); code != 0 || r.Logged("stopped") == nil || r.Logged("second signal: ending at once") != nil {
		t.Errorf("exit %d\n%s", code, r.Log.String())
	}
	_, errs, code := relaytest.Command(t, nil, "admin", "--admin", r.AdminURL, "status")
	if code != 1 {
		t.Errorf("status of a relay that is gone: exit %d", code)
	}
	relaytest.Contains(t, errs, "no relay answers at "+r.AdminURL, "connection refused")
}

// If the relay has a token, only an operator with it may do more than read metrics.
func TestAdmin_Token(t *testing.T) {
	file := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(file, []byte(testAdminToken+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	r := relaytest.Start(t, t.TempDir(), "--admin-token-file="+file)
	for path, want := range map[string]int{"/metrics": 200, "/readyz": 200, "/admin/v1/status": 401, "/debug/pprof/": 401} {
		relaytest.Slot{}.MustSend(t, want, "GET", r.AdminURL+path, nil)
	}
	relaytest.Slot{Token: testAdminToken}.MustSend(t, 200, "GET", r.AdminURL+"/debug/pprof/", nil)
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
		_, errs, code := relaytest.Command(t, c.env, append([]string{"admin", "status", "--admin=" + r.AdminURL}, c.args...)...)
		if code != c.code {
			t.Errorf("%v %v: exit %d, want %d", c.env, c.args, code, c.code)
		}
		relaytest.Contains(t, errs, c.says)
	}
	if strings.Contains(r.Log.String(), testAdminToken) {
		t.Error("the log holds the token")
	}
	for _, text := range []string{"", "short", "sixteen and more, but with blanks"} {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, errs, code := relaytest.Command(t, nil, "check-config", "--admin-token-file="+file); code != 2 || !strings.Contains(errs, "--admin-token-file") {
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
		out, errs, code := relaytest.Command(t, nil, append([]string{"admin"}, c.args...)...)
		if code != 2 || out != "" {
			t.Errorf("%v: exit %d, %q", c.args, code, out)
		}
		relaytest.Contains(t, errs, c.says)
	}
	// What answers and is no relay says nothing useful; we do.
	other := http.Server{Handler: http.NotFoundHandler()}
	defer other.Close()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	go other.Serve(ln)
	_, errs, code := relaytest.Command(t, nil, "admin", "status", "--admin", ln.Addr().String())
	if code != 1 {
		t.Errorf("exit %d", code)
	}
	relaytest.Contains(t, errs, "this is not the admin listener of a relay")
}

// What can't be taken back asks first.
func TestAdmin_AsksFirst(t *testing.T) {
	r := relaytest.Start(t, t.TempDir())
	m := r.Allocate()
	for _, c := range []struct {
		answer, says string
		code         int
	}{
		{"\n", "nothing done", 1},
		{"n\n", "nothing done", 1},
		{"\x03", "nothing done", 1}, // Ctrl-C
		{"Y\n", "deleted " + m.ID, 0},
	} {
		out, code := answered(t, "[y/N] ", c.answer, "admin", "rm", "--admin="+r.AdminURL, m.ID)
		if code != c.code {
			t.Errorf("%q: exit %d\n%s", c.answer, code, out)
		}
		relaytest.Contains(t, out, "Delete slot "+m.ID, c.says)
	}
	m.MustSend(t, 404, "GET", r.EventsURL(m), nil)
	if out, code := answered(t, "[y/N] ", "yes\n", "admin", "drain", "--admin="+r.AdminURL); code != 0 {
		t.Errorf("drain: exit %d\n%s", code, out)
	}
	if code := r.Wait(20 * time.Second); code != 0 {
		t.Errorf("the relay: exit %d", code)
	}
}

// answered runs the binary in a terminal and answers its question.
func answered(t *testing.T, question, answer string, args ...string) (out string, code int) {
	t.Helper()
	p := startPane(t, 24, 80, args...)
	for deadline := time.Now().Add(2 * time.Minute); !strings.Contains(p.out.String(), question); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("no question: %q", p.out.String())
		}
	}
	p.tty.WriteString(answer)
	p.exits()
	return p.out.String(), p.cmd.ProcessState.ExitCode()
}
