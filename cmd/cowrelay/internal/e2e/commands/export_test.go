package commands

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"cowrelay/cmd/cowrelay/internal/config"
	"cowrelay/cmd/cowrelay/internal/relaytest"
)

// folderText is what lies in a folder: names, sizes, modes and times.
func folderText(t *testing.T, dir string) string {
	t.Helper()
	var b strings.Builder
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		fmt.Fprintln(&b, path, info.Size(), info.Mode(), info.ModTime().UnixNano())
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// exported reads an export: the events of each slot, byte for byte. It fails
// unless each slot's positions are gap-free from 0 and its lines stand together.
func exported(t *testing.T, text string) map[string][]string {
	t.Helper()
	slots := make(map[string][]string)
	last := ""
	for line := range strings.Lines(text) {
		rest, ok := strings.CutPrefix(line, `{"slot_id":"`)
		id, rest, ok2 := strings.Cut(rest, `","position":`)
		number, event, ok3 := strings.Cut(rest, `,"event":`)
		event, ok4 := strings.CutSuffix(event, "}\n")
		if !ok || !ok2 || !ok3 || !ok4 || !json.Valid([]byte(event)) || len(id) != 32 {
			t.Fatalf("no line of an export: %q", line)
		}
		if number != fmt.Sprint(len(slots[id])) || id != last && slots[id] != nil {
			t.Fatalf("slot %s: position %s where %d comes next", id, number, len(slots[id]))
		}
		slots[id], last = append(slots[id], event), id
	}
	return slots
}

// sameEvents fails unless both are the same, byte for byte.
func sameEvents(t *testing.T, got []string, want []json.RawMessage) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("%d events, want %d", len(got), len(want))
	}
	for i := range got {
		if got[i] != string(want[i]) {
			t.Fatalf("event %d is %s, want %s", i, got[i], want[i])
		}
	}
}

// TestExport_IsWhatPullGives compares pulls with exports of the running relay
// and of its store, behind events that a re-encoding would change.
func TestExport_IsWhatPullGives(t *testing.T) {
	f := relaytest.Fill(t, 2, 3000, 300) // several pieces of each
	r := relaytest.Start(t, f.Dir)
	odd := r.Allocate()
	for _, e := range []string{`{"event_id":"a","n":1.50e+1,"n2":12345678901234567890,"z":1,"a":"\u00e9é\/<&>","d":{"x":1,"x":2}}`, `{"event_id":"b","text":"\u2028 \ud83d\ude00"}`} {
		r.Post(odd, []byte(e))
	}
	r.Allocate() // and one that stays empty
	slots := append(f.Slots, odd)
	want := make(map[string][]json.RawMessage)
	for _, s := range slots {
		want[s.ID] = r.Pull(s, "")
	}
	check := func(from ...string) {
		t.Helper()
		stdout, stderr, code := relaytest.Command(t, nil, append([]string{"export", "--all"}, from...)...)
		if code != 0 || !strings.HasPrefix(stderr, "exported 6002 events of 4 slots, ") || strings.Contains(stderr, "\r") {
			t.Fatalf("exit %d, %s", code, stderr)
		}
		got := exported(t, stdout)
		if len(got) != len(want) {
			t.Errorf("%d slots, want %d", len(got), len(want))
		}
		for id, events := range want {
			sameEvents(t, got[id], events)
		}
		// One slot, and its events alone.
		stdout, stderr, code = relaytest.Command(t, nil, append([]string{"export", "--bare", "--slot=" + odd.ID}, from...)...)
		if code != 0 {
			t.Fatalf("exit %d, %s", code, stderr)
		}
		sameEvents(t, strings.Split(strings.TrimSuffix(stdout, "\n"), "\n"), want[odd.ID])
		// Two, of which one is named twice.
		stdout, _, code = relaytest.Command(t, nil, append([]string{"export", "--slot=" + slots[0].ID, "--slot=" + odd.ID, "--slot=" + odd.ID}, from...)...)
		if got := exported(t, stdout); code != 0 || len(got) != 2 || len(got[odd.ID]) != 2 || len(got[slots[0].ID]) != 3000 {
			t.Errorf("two slots: exit %d, %d slots", code, len(got))
		}
		_, stderr, code = relaytest.Command(t, nil, append([]string{"export", "--slot=" + strings.Repeat("0", 32)}, from...)...)
		if code != 1 || !strings.Contains(stderr, "there is no slot "+strings.Repeat("0", 32)) {
			t.Errorf("an unknown slot: exit %d, %s", code, stderr)
		}
	}
	check("--admin=" + r.AdminURL)
	check("--admin=" + strings.TrimPrefix(r.AdminURL, "http://"))
	_, stderr, code := relaytest.Command(t, nil, "export", "--all", "--data-dir="+f.Dir)
	if code != 1 || !strings.Contains(stderr, "is in use by another process: ask the running relay by --admin") {
		t.Errorf("the store of a running relay: exit %d, %s", code, stderr)
	}
	r.Stop()
	before := folderText(t, f.Dir)
	check("--data-dir=" + f.Dir)
	if after := folderText(t, f.Dir); after != before {
		t.Errorf("export wrote: the folder was\n%snow\n%s", before, after)
	}
	_, stderr, code = relaytest.Command(t, nil, "export", "--all", "--admin="+r.AdminURL)
	if code != 1 || !strings.Contains(stderr, "refused") {
		t.Errorf("a relay that is not there: exit %d, %s", code, stderr)
	}

	// To a file, over an old one.
	path := filepath.Join(t.TempDir(), "events.jsonl")
	if err := os.WriteFile(path, []byte("old"), 0o644); err != nil {
		t.Fatal(err)
	}
	stdout, stderr, code := relaytest.Command(t, nil, "export", "--all", "--data-dir="+f.Dir, "--out="+path)
	text, err := os.ReadFile(path)
	if code != 0 || stdout != "" || err != nil {
		t.Fatalf("exit %d, %s%s, %v", code, stdout, stderr, err)
	}
	for id, events := range want {
		sameEvents(t, exported(t, string(text))[id], events)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the file: %v, %v", info.Mode(), err)
	}
	if left, _ := filepath.Glob(path + ".*"); left != nil {
		t.Errorf("left: %v", left)
	}
	// No hash of a token is in it.
	for _, s := range slots {
		if bytes.Contains(text, []byte(s.Token)) {
			t.Error("a token is in the export")
		}
	}
}

// TestExport_UnderPosts: what an export of a running relay has of a slot is the
// beginning of what is there, however much is posted meanwhile.
func TestExport_UnderPosts(t *testing.T) {
	r := relaytest.Start(t, t.TempDir())
	slots := []relaytest.Slot{r.Allocate(), r.Allocate()}
	var stop atomic.Bool
	var posted [2]atomic.Int64
	var wg sync.WaitGroup
	for i, s := range slots {
		wg.Go(func() {
			for n := 0; !stop.Load(); n++ {
				if res, _, err := s.Send(relaytest.HTTPClient, "POST", r.EventsURL(s), relaytest.PostBody(relaytest.Event("w", n, 200))); err != nil || res.StatusCode != 201 {
					t.Errorf("post: %v %v", res, err)
					return
				}
				posted[i].Add(1)
			}
		})
	}
	defer wg.Wait()
	defer stop.Store(true)
	for len(exportedAll(t, r)[slots[1].ID]) < 50 {
		before := posted[0].Load()
		got := exportedAll(t, r)[slots[0].ID]
		if int64(len(got)) < before {
			t.Fatalf("%d events, %d were acknowledged before", len(got), before)
		}
		for n, event := range got {
			if event != string(relaytest.Event("w", n, 200)) {
				t.Fatalf("position %d holds %s", n, event)
			}
		}
	}
}

func exportedAll(t *testing.T, r *relaytest.Relay) map[string][]string {
	t.Helper()
	stdout, stderr, code := relaytest.Command(t, nil, "export", "--all", "--admin="+r.AdminURL)
	if code != 0 {
		t.Fatalf("exit %d, %s", code, stderr)
	}
	return exported(t, stdout)
}

// TestExport_CannotWrite: a reader that left, and a folder that is not there.
func TestExport_CannotWrite(t *testing.T) {
	f := relaytest.Fill(t, 2, 3000, 300)
	cmd := exec.Command(relaytest.Binary, "export", "--all", "--data-dir="+f.Dir)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	out.Read(make([]byte, 10))
	out.Close()
	cmd.Wait()
	if s := cmd.ProcessState.Sys().(syscall.WaitStatus); !s.Signaled() || s.Signal() != syscall.SIGPIPE || stderr.Len() > 0 {
		t.Errorf("a reader that left: %v, %s; want the quiet end of a filter", cmd.ProcessState, &stderr)
	}

	_, text, code := relaytest.Command(t, nil, "export", "--all", "--data-dir="+f.Dir, "--out="+filepath.Join(f.Dir, "none", "x"))
	if code != 1 || !strings.Contains(text, "--out: ") {
		t.Errorf("a folder that is not there: exit %d, %s", code, text)
	}
}

func TestExport_DamagedStore(t *testing.T) {
	f := relaytest.Fill(t, 3, 50, 200)
	damageSlot(t, f, 1, 20)
	path := filepath.Join(t.TempDir(), "x")
	_, stderr, code := relaytest.Command(t, nil, "export", "--all", "--data-dir="+f.Dir, "--out="+path)
	text, err := os.ReadFile(partialOf(t, path))
	if code != 1 || err != nil {
		t.Fatalf("exit %d, %v, %s", code, err, stderr)
	}
	relaytest.Contains(t, stderr, "slot "+f.Slots[1].ID+": ", " of its 50 events exported: ", "no event at position 20", "1 slots could not be read to their end", partialOf(t, path))
	if got := exported(t, string(text)); len(got[f.Slots[0].ID]) != 50 || len(got[f.Slots[2].ID]) != 50 {
		t.Errorf("the sound slots: %d and %d events", len(got[f.Slots[0].ID]), len(got[f.Slots[2].ID]))
	}
	if _, err := os.Stat(path); err == nil {
		t.Error("the file looks whole")
	}
}

func TestExport_AskedWrongly(t *testing.T) {
	id := strings.Repeat("0", 32)
	for want, args := range map[string][]string{
		"which slots?":                   {},
		"--all and --slot exclude":       {"--all", "--slot=" + id},
		"is no slot id":                  {"--slot=" + strings.Repeat("A", 32)},
		"--bare is for one --slot":       {"--bare", "--all"},
		"--admin and --data-dir exclude": {"--all", "--admin=http://127.0.0.1:1", "--data-dir=x"},
		"is no URL such as":              {"--all", "--admin=ftp://x"},
		`unknown flag "--everything"`:    {"--everything"},
		`unexpected argument "x"`:        {"--all", "x"},
	} {
		stdout, stderr, code := relaytest.Command(t, nil, append([]string{"export"}, args...)...)
		if code != 2 || stdout != "" || !strings.Contains(stderr, want) {
			t.Errorf("%v: exit %d, %s%s, want %q", args, code, stdout, stderr, want)
		}
	}
}

// TestExport_Token: a relay with an admin token gives events to a client that has it.
func TestExport_Token(t *testing.T) {
	const token = "a token of operators"
	r := relaytest.New(t, t.TempDir())
	secret := strings.ReplaceAll(token, " ", "-")
	r.Cmd.Env = append(r.Cmd.Env, config.AdminTokenVariable+"="+secret)
	r.Start()
	s := r.Allocate()
	r.Post(s, relaytest.Event("a", 1, 100))
	file := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(file, []byte(secret+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	args := []string{"export", "--all", "--admin=" + r.AdminURL}
	if _, stderr, code := relaytest.Command(t, nil, args...); code != 1 || !strings.Contains(stderr, "401") {
		t.Errorf("without a token: exit %d, %s", code, stderr)
	}
	if stdout, stderr, code := relaytest.Command(t, []string{config.AdminTokenVariable + "=" + secret + "x"}, args...); code != 1 || stdout != "" || !strings.Contains(stderr, "401") {
		t.Errorf("with another: exit %d, %s", code, stderr)
	}
	if stdout, stderr, code := relaytest.Command(t, nil, append(args, "--admin-token-file="+file)...); code != 0 || len(exported(t, stdout)) != 1 {
		t.Errorf("with the token in a file: exit %d, %s", code, stderr)
	}
	if stdout, stderr, code := relaytest.Command(t, []string{config.AdminTokenVariable + "=" + secret}, args...); code != 0 || len(exported(t, stdout)) != 1 {
		t.Errorf("with the token in the environment: exit %d, %s", code, stderr)
	}
}

// partialOf returns the name of what an export has left of path.
func partialOf(t *testing.T, path string) string {
	t.Helper()
	names, err := filepath.Glob(path + ".*.partial")
	if err != nil || len(names) != 1 {
		t.Fatalf("%q %v", names, err)
	}
	return names[0]
}

// interrupt starts an export that waits, sends it the signal, and wants it to
// end as unfinished.
func interrupt(t *testing.T, waits <-chan struct{}, path string, args ...string) {
	t.Helper()
	cmd := exec.Command(relaytest.Binary, append([]string{"export", "--out=" + path}, args...)...)
	cmd.Env = relaytest.CleanEnv()
	var stderr relaytest.Buffer
	cmd.Stderr = &stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	kill := time.AfterFunc(2*time.Minute, func() { cmd.Process.Kill() })
	defer kill.Stop()
	<-waits
	cmd.Process.Signal(os.Interrupt)
	cmd.Wait()
	if code := cmd.ProcessState.ExitCode(); code != 1 {
		t.Errorf("interrupted: exit %d, %s", code, stderr.String())
	}
	relaytest.Contains(t, stderr.String(), "interrupted", partialOf(t, path))
	if _, err := os.Stat(path); err == nil {
		t.Error("the file looks whole")
	}
}
