package docs_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"cowrelay/cmd/cowrelay/internal/relaytest"
)

// TestMovingIn goes the way of moving-in.md, and back.
func TestMovingIn(t *testing.T) {
	dir := t.TempDir()
	s := relaytest.NewState(t, 2, 3, 100)
	s.Handle("paul", s.Slots[0].ID, time.Now(), nil)
	if err := os.CopyFS(filepath.Join(dir, "state"), os.DirFS(s.Dir)); err != nil {
		t.Fatal(err)
	}
	command := []string{"import", "--from", "state", "--data-dir", "cowrelay-data"}
	relaytest.Contains(t, must(t, dir, nil, append(command, "--dry-run")...), "would import")
	relaytest.Contains(t, must(t, dir, nil, command...), "imported from state")
	relaytest.Contains(t, must(t, dir, nil, "verify", "--data-dir", "cowrelay-data"), "sound: ")
	r := start(t, dir)
	if events := r.Pull(s.Slots[1], ""); len(events) != 3 {
		t.Errorf("%d events", len(events))
	}
	r.Post(s.Slots[1], []byte(`{"event_id":"since"}`))
	r.Stop()
	must(t, dir, nil, "export", "--all", "--data-dir", "cowrelay-data", "--out", "events.jsonl")
	text, err := os.ReadFile(filepath.Join(dir, "events.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	if since := `{"slot_id":"` + s.Slots[1].ID + `","position":3,"event":{"event_id":"since"}}`; strings.Count(string(text), "\n") != 7 || !strings.Contains(string(text), since) {
		t.Errorf("the export:\n%s", text)
	}
}
