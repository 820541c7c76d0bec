package commands

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"cowrelay/cmd/cowrelay/internal/relaytest"
	"cowrelay/cow"
	"cowrelay/cow/engine"
	"cowrelay/cow/rendezvous"
)

// importInto runs an import that must succeed, and returns what it printed.
func importInto(t *testing.T, s *relaytest.State, dir string, more ...string) (stdout, stderr string) {
	t.Helper()
	args := append([]string{"import", "--from=" + s.Dir, "--data-dir=" + dir, "--left-out=" + filepath.Join(filepath.Dir(dir), "left-out.jsonl")}, more...)
	stdout, stderr, code := relaytest.Command(t, nil, args...)
	if code != 0 {
		t.Fatalf("import: exit %d, %s%s", code, stdout, stderr)
	}
	return regexp.MustCompile(`[ \t]+`).ReplaceAllString(stdout, " "), stderr
}

// getText asks a relay without a token.
func getText(t *testing.T, url string) (status int, body string) {
	t.Helper()
	resp, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(text)
}

func sound(t *testing.T, dir string) {
	t.Helper()
	if out, stderr, code := relaytest.Command(t, nil, "verify", "--data-dir="+dir); code != 0 {
		t.Errorf("verify: exit %d, %s%s", code, out, stderr)
	}
}

func TestImport(t *testing.T) {
	s := relaytest.NewState(t, 3, 5, 200)
	now := time.Now().Truncate(time.Second)
	paul, ida := s.Handle("paul", s.Slots[0].ID, now.Add(-time.Hour), nil), s.Handle("ida", s.Slots[1].ID, now, map[string]any{"relay_url": "http://127.0.0.1:8/", "discoverable": false})
	s.Text("invites.jsonl", fmt.Sprintf(`{"token":"abcdef","invite_url":"wire://pair?a=1","expires_unix":%d,"uses_remaining":5,"created_unix":1}
{"token":"0123456789abcdef","invite_url":"wire://pair?a=2","expires_unix":%[1]d,"uses_remaining":null,"created_unix":1}
{"token":"abcdef","invite_url":"wire://pair?a=1","expires_unix":%[1]d,"uses_remaining":1,"created_unix":1}
{"token":"111111","invite_url":"wire://pair?a=3","expires_unix":%[1]d,"uses_remaining":0,"created_unix":1}
{"token":"222222","invite_url":"wire://pair?a=4","expires_unix":5,"uses_remaining":1,"created_unix":1}
`, now.Add(time.Hour).Unix()))
	s.JSON("responder-health/"+s.Slots[2].ID+".json", map[string]any{"status": "ok", "set_at": "now", "more": 1})

	s.Text("stats-history.jsonl", fmt.Sprintf(`{"ts":%d,"slots_active":3,"streams_active":7}
{"ts":%d,"slots_active":2}
{"ts":5,"slots_active":1}
{"ts":`, now.Unix()-60, now.Unix()-30))
	s.JSON("counters.json", map[string]any{
		"slot_allocations_total": 9, "events_posted_total": 1000, "handle_claims_total": 7, "handle_first_claims_total": 4, "pair_opens_total": 2, "more": 1,
	})

	dir := filepath.Join(t.TempDir(), "data")
	if out, _ := importInto(t, s, dir, "--dry-run"); !strings.Contains(out, "would import") || !strings.Contains(out, "events 15 0 0\n") {
		t.Error(out)
	}
	if _, err := os.Stat(dir); err == nil {
		t.Error("a dry run made the data folder")
	}
	out, stderr := importInto(t, s, dir)
	relaytest.Contains(t, out, "slots 3 0 0\n", "events 15 0 0\n", "handles 2 0 0\n", "invites 3 0 1\n", "health records 1 0 0\n", "totals 5 0 0\n", "rows of history 2 0 2\n")
	relaytest.Contains(t, stderr, "invites.jsonl: the invite is expired")
	sound(t, dir)
	checkRecords(t, dir, now.Add(time.Hour))
	for range 2 { // a second import changes nothing
		out, _ = importInto(t, s, dir)
		relaytest.Contains(t, out, "slots 0 3 0\n", "events 0 15 0\n", "handles 0 2 0\n", "invites 0 3 1\n", "health records 0 1 0\n", "totals 0 5 0\n", "rows of history 0 2 2\n")
	}
	checkRecords(t, dir, now.Add(time.Hour))
	out, _ = importInto(t, s, dir, "--dry-run")
	relaytest.Contains(t, out, "slots 0 3 0\n", "events 0 15 0\n")

	r := relaytest.Start(t, dir)
	for n, slot := range s.Slots {
		events := r.Pull(slot, "")
		file, err := os.ReadFile(filepath.Join(s.Dir, "slots", slot.ID+".jsonl"))
		if err != nil {
			t.Fatal(err)
		}
		var lines []string
		for _, e := range events {
			lines = append(lines, string(e))
		}
		if got := strings.Join(lines, "\n") + "\n"; got != string(file) {
			t.Errorf("slot %d: got\n%s\nwant\n%s", n, got, file)
		}
	}
	if body := s.Slots[2].MustSend(t, 200, "GET", r.URL+"/v1/slot/"+s.Slots[2].ID+"/state", nil); !strings.Contains(string(body), `"responder_health":{"status":"ok","set_at":"now"}`) {
		t.Errorf("state: %s", body)
	}
	for nick, did := range map[string]string{"paul": paul, "ida": ida} {
		status, body := getText(t, r.URL+"/.well-known/wire/agent?handle="+nick)
		var w struct {
			DID  string
			Card struct{ DID string }
		}
		if err := json.Unmarshal([]byte(body), &w); status != 200 || err != nil || w.DID != did || w.Card.DID != did {
			t.Errorf("whois %s: %d %s", nick, status, body)
		}
	}
	if _, body := getText(t, r.URL+"/v1/handles"); !strings.Contains(body, "paul") || strings.Contains(body, "ida") {
		t.Errorf("directory: %s", body)
	}
	if _, body := getText(t, r.URL+"/stats.history"); !strings.Contains(body, `"slots_active":3,"pair_slots_open":0,"streams_active":7,`) {
		t.Errorf("history: %s", body)
	}
	for _, ask := range []struct {
		path   string
		status int
		says   string
	}{
		{"/i/abcdef?format=url", 200, "wire://pair?a=1"}, {"/i/abcdef", 200, "accept-invite 'wire://pair?a=1'"}, {"/i/abcdef", 410, ""},
		{"/i/0123456789abcdef", 200, "accept-invite 'wire://pair?a=2'"}, {"/i/0123456789abcdef", 200, ""},
		{"/i/111111", 410, ""}, {"/i/222222", 404, ""},
		{"/stats.json", 200, `"handles_active":2,"slots_active":3,"pair_slots_open":0,"streams_active":0,"handle_claims_total":7,"handle_first_claims_total":4,"slot_allocations_total":9,"pair_opens_total":2,"events_posted_total":1000`},
	} {
		if status, body := getText(t, r.URL+ask.path); status != ask.status || !strings.Contains(body, ask.says) {
			t.Errorf("%s: %d %s", ask.path, status, body)
		}
	}
	// What was posted since stays behind a further import.
	r.Post(s.Slots[0], []byte(`{"event_id":"new"}`))
	if _, stderr, code := relaytest.Command(t, nil, "import", "--from="+s.Dir, "--data-dir="+dir); code != 1 || !strings.Contains(stderr, "is in use by another process") {
		t.Errorf("in use: exit %d, %s", code, stderr)
	}
	r.Stop()
	out, _ = importInto(t, s, dir)
	relaytest.Contains(t, out, "events 0 15 0\n")
	r = relaytest.Start(t, dir)
	if status, _ := getText(t, r.URL+"/i/abcdef"); status != 410 {
		t.Errorf("an invite that was used up since: %d behind a further import", status)
	}
	if events := r.Pull(s.Slots[0], ""); len(events) != 6 {
		t.Errorf("%d events", len(events))
	}
}

// checkRecords looks at the totals and the invites of TestImport.
func checkRecords(t *testing.T, dir string, expires time.Time) {
	t.Helper()
	l, err := engine.Open(dir, engine.Options{Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	want := cow.Totals{SlotAllocations: 9, EventsPosted: 1000, HandleClaims: 7, HandleFirstClaims: 4, PairOpens: 2}
	if got := l.Totals(); got != want {
		t.Errorf("totals: %+v, want %+v", got, want)
	}
	for token, want := range map[string]string{"abcdef": "wire://pair?a=1 1", "0123456789abcdef": "wire://pair?a=2 -1", "111111": " 0"} {
		value, _, err := l.Value(rendezvous.InviteKey(token))
		if err != nil {
			t.Fatal(err)
		}
		v, err := rendezvous.DecodeInvite(token, value)
		uses := int64(-1)
		if v.Uses != nil {
			uses = *v.Uses
		}
		if got := fmt.Sprint(v.URL, " ", uses); err != nil || got != want || !v.Expires.Equal(expires) {
			t.Errorf("invite %s: %s, expires %v, %v; want %s", token, got, v.Expires, err, want)
		}
	}
	if _, _, err := l.Value(rendezvous.InviteKey("222222")); err != cow.ErrNoRecord {
		t.Errorf("an expired invite: %v", err)
	}
}

// What is damaged is reported, and costs nothing else.
func TestImport_Damaged(t *testing.T) {
	s := relaytest.NewState(t, 4, 3, 100)
	lines := func(n int, text string) {
		path := filepath.Join(s.Dir, "slots", s.Slots[n].ID+".jsonl")
		old, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		s.Text("slots/"+s.Slots[n].ID+".jsonl", string(old)+text)
	}
	lines(0, "{\"event_id\":\"bad\",\"x\":\"\xff\"}\n"+`{"event_id":"after"}`+"\n"+`{"event_id":"torn","x":"ab{"event_id":"glued"}`+"\n"+
		`{"event_id":"after"}`+"\n"+`{"x":1e999}`+"\n"+`{"event_id":"dup","a":1,"a":2}`+"\n\n"+`{"event_id":"cut","x":{"y":1}`+"\n"+"\x00\x00\x00\n")
	lines(1, `{"event_id":"half","x":"`+"\xe2\x82") // half a character at the end
	lines(2, `{"event_id":"whole"}`)                // no line end, but whole
	lines(3, strings.Repeat("x", 5<<20)+"\n"+`{"event_id":"behind"}`+"\n")
	other := strings.Repeat("ab", 16)
	s.Text("slots/"+other+".jsonl", `{"event_id":"nobody"}`+"\n")
	s.Text("slots/what.jsonl", "{}\n")
	s.Text("slots/"+other+".jsonl.tmp", "{}\n")
	s.Handle("good", s.Slots[0].ID, time.Now(), nil)
	s.Handle("moved", other, time.Now(), map[string]any{"relay_url": "ftp://x", "claimed_at": "yesterday"})
	s.Handle("forged", s.Slots[0].ID, time.Now(), map[string]any{"did": "did:wire:forged-00000000"})
	s.Handle("renamed", s.Slots[0].ID, time.Now(), map[string]any{"nick": "another"})
	s.Text("handles/cut.json", `{"nick":"cut","did":"did`)
	s.Text("handles/empty.json", "")
	s.Text("responder-health/"+s.Slots[0].ID+".json", `{"status":7}`)
	s.Text("responder-health/"+other+".json", `{}`)
	s.Text("invites.jsonl", "{\"token\":\"abc\"\n"+`{"token":"xyz","invite_url":"wire://pair?secret","expires_unix":9999999999,"created_unix":1}`+"\n"+
		`{"token":"aaaaaa","invite_url":"http://secret","expires_unix":9999999999,"created_unix":1}`+"\n"+
		`{"token":"bbbbbb","invite_url":"wire://pair?b","expires_unix":9999999999,"created_unix":1,"uses_remaining":null}`+"\n"+`{"token":"cccccc","inv`)
	// The tokens of one more slot without a file, one that is none, and a cut.
	bare := strings.Repeat("cd", 16)
	tokens := "{\n"
	for _, slot := range s.Slots {
		tokens += `"` + slot.ID + `" : "` + slot.Token + "\",\n"
	}
	s.Text("tokens.json", tokens+`"`+bare+`":"secret-of-bare", "x":"secret-1", "`+other+`":7, "`+strings.Repeat("ef", 16)+`":"secret-cu`)

	root := t.TempDir()
	dir := filepath.Join(root, "data")
	out, stderr := importInto(t, s, dir)
	relaytest.Contains(t, out, "slots 5 0 5\n", "events 17 0 8\n", "handles 2 0 4\n", "invites 1 0 4\n", "health records 0 0 2\n")
	relaytest.Contains(t, stderr, other+".jsonl.tmp: it is no file of a state folder")
	left, err := os.ReadFile(filepath.Join(root, "left-out.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{out, stderr, string(left)} {
		if strings.Contains(text, "secret") || strings.Contains(text, s.Slots[0].Token) {
			t.Errorf("a secret is told:\n%s", text)
		}
	}
	relaytest.Contains(t, string(left), `"base64":"`, `"reason":"the file ends within it`, `"text":"{\"x\":1e999}"`, `"bytes":5242881`, other)
	for n := bufio.NewScanner(strings.NewReader(string(left))); n.Scan(); {
		if !json.Valid(n.Bytes()) {
			t.Errorf("not JSON: %s", n.Bytes())
		}
	}
	sound(t, dir)
	again, _ := importInto(t, s, dir)
	relaytest.Contains(t, again, "slots 0 5 5\n", "events 0 17 8\n", "handles 0 2 4\n", "invites 0 1 4\n")

	r := relaytest.Start(t, dir)
	for n, want := range []string{"after glued dup", "", "whole", "behind"} {
		var got []string
		for _, e := range r.Pull(s.Slots[n], "")[3:] {
			var v struct {
				ID string `json:"event_id"`
			}
			if err := json.Unmarshal(e, &v); err != nil {
				t.Fatal(err)
			}
			got = append(got, v.ID)
		}
		if strings.Join(got, " ") != want {
			t.Errorf("slot %d: %v, want %s", n, got, want)
		}
	}
	if events := r.Pull(relaytest.Slot{ID: bare, Token: "secret-of-bare"}, ""); len(events) != 0 {
		t.Errorf("the slot without a file: %s", events)
	}
	r.Stop()
}

// Without the file of tokens nobody could read a slot, so none is taken. The rest is.
func TestImport_NoTokens(t *testing.T) {
	s := relaytest.NewState(t, 2, 3, 200)
	s.Handle("paul", s.Slots[0].ID, time.Now(), nil)
	if err := os.Remove(filepath.Join(s.Dir, "tokens.json")); err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(t.TempDir(), "data")
	out, stderr := importInto(t, s, dir)
	relaytest.Contains(t, out, "slots 0 0 3\n", "handles 1 0 0\n")
	relaytest.Contains(t, stderr, "tokens.json: the file is missing", s.Slots[0].ID+".jsonl: there is no token for the slot", "there is no slot for it")
	sound(t, dir)
}

func TestImport_Refuses(t *testing.T) {
	s := relaytest.NewState(t, 1, 1, 100)
	for _, c := range []struct {
		code int
		want string
		args []string
	}{
		{2, "which folder?", nil},
		{1, "no such file", []string{"--from=" + s.Dir + "/none"}},
		{1, "is no state folder", []string{"--from=" + t.TempDir()}},
		{1, "lie in one another", []string{"--from=" + s.Dir, "--data-dir=" + s.Dir + "/data"}},
		{1, "lie in one another", []string{"--from=" + s.Dir, "--data-dir=" + s.Dir}},
	} {
		_, stderr, code := relaytest.Command(t, nil, append([]string{"import", "--left-out=" + t.TempDir() + "/x"}, c.args...)...)
		if code != c.code || !strings.Contains(stderr, c.want) {
			t.Errorf("%v: exit %d, %s", c.args, code, stderr)
		}
	}
	f, err := os.Open(filepath.Join(s.Dir, "tokens.json"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := os.Stat("/proc/self/fd"); err != nil {
		return // only Linux tells
	}
	refused := func(pid int) {
		t.Helper()
		_, stderr, code := relaytest.Command(t, nil, "import", "--from="+s.Dir, "--data-dir="+t.TempDir())
		if code != 1 || !strings.Contains(stderr, fmt.Sprintf("in use by process %d", pid)) {
			t.Errorf("a source that is in use: exit %d, %s", code, stderr)
		}
	}
	refused(os.Getpid())
	f.Close()
	// A relay of the other kind has no file open while nothing comes.
	home := t.TempDir()
	state := filepath.Join(home, "state", "wire-relay")
	if err := os.MkdirAll(state, 0o700); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		dir, env, link string
		args           []string
	}{
		{"", "WIRE_HOME=" + home, "local", []string{"--local-only"}},
		{"", "WIRE_HOME=" + home, "uds", []string{"--local-only", "--uds", "s"}},
		{"", "WIRE_HOME=" + home, "uds", []string{"--uds=s"}},
		{"", "WIRE_HOME=" + home, "", nil},
		{home, "WIRE_HOME=", "", nil},
		{"", "XDG_STATE_HOME=" + filepath.Dir(state), "", nil},
	} {
		link := filepath.Join(state, c.link)
		if err := errors.Join(os.RemoveAll(link), os.Symlink(s.Dir, link)); err != nil {
			t.Fatal(err)
		}
		relay := exec.Command("sh", append([]string{"-c", "read wait", "relay-server"}, c.args...)...)
		relay.Dir, relay.Env = c.dir, []string{"HOME=/nowhere", c.env}
		in, err := relay.StdinPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := relay.Start(); err != nil {
			t.Fatal(err)
		}
		refused(relay.Process.Pid)
		in.Close()
		relay.Wait()
	}
	if _, stderr, code := relaytest.Command(t, nil, "import", "--from="+s.Dir, "--data-dir="+t.TempDir()); code != 0 {
		t.Errorf("a source that is not in use any more: exit %d, %s", code, stderr)
	}
}

// BenchmarkImport takes over a folder of 1 GB: 2,000 slots, events of 500 bytes.
func BenchmarkImport(b *testing.B) {
	const slots, events, size = 2000, 1000, 500
	s := relaytest.NewState(b, slots, events, size)
	b.SetBytes(slots * events * (size + 1))
	for b.Loop() {
		dir := filepath.Join(b.TempDir(), "data")
		cmd := exec.Command(relaytest.Binary, "import", "--from="+s.Dir, "--data-dir="+dir)
		if out, err := cmd.CombinedOutput(); err != nil {
			b.Fatalf("%v: %s", err, out)
		}
		b.ReportMetric(float64(cmd.ProcessState.SysUsage().(*syscall.Rusage).Maxrss)/1024, "MB-resident")
	}
}

// An import that is killed goes on when it is started again.
func TestImport_GoesOnAfterKill(t *testing.T) {
	const slots, events = 100, 500
	s := relaytest.NewState(t, slots, events, 400)
	dir := filepath.Join(t.TempDir(), "data")
	for _, after := range []time.Duration{50, 100, 150, 200} {
		cmd := exec.Command(relaytest.Binary, "import", "--from="+s.Dir, "--data-dir="+dir)
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		time.Sleep(after * time.Millisecond)
		cmd.Process.Kill()
		cmd.Wait()
	}
	importInto(t, s, dir)
	out, _ := importInto(t, s, dir)
	relaytest.Contains(t, out, fmt.Sprintf("slots 0 %d 0\n", slots), fmt.Sprintf("events 0 %d 0\n", slots*events))
	sound(t, dir)
}
