package docs_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"cowrelay/cmd/cowrelay/internal/relaytest"
)

const movingIn = "cmd/cowrelay/docs/moving-in.md"

// TestMovingIn goes the way of the page, and back. The old relay, on the way back, is
// one that took over the same state.
func TestMovingIn(t *testing.T) {
	dir := t.TempDir()
	s := relaytest.NewState(t, 3, 3, 100)
	s.Handle("paul", s.Slots[0].ID, time.Now(), nil)
	// What is not taken must not have later events lost on the way back.
	s.Text("slots/"+s.Slots[1].ID+".jsonl", "[1]\n"+`{"event_id":"first"}`+"\nnull\n")
	if err := os.CopyFS(filepath.Join(dir, "state"), os.DirFS(s.Dir)); err != nil {
		t.Fatal(err)
	}
	var blocks []string
	for _, f := range readPage(t, movingIn).fence {
		if f.language == "sh" {
			blocks = append(blocks, f.text)
		}
	}
	if len(blocks) != 3 {
		t.Fatalf("%d blocks", len(blocks))
	}
	sh := &shell{dir, environment(dir)}
	relaytest.Contains(t, sh.run(t, blocks[0]), "would import")
	relaytest.Contains(t, must(t, dir, nil, "import", "--from", "state", "--data-dir", "cowrelay-data"), "imported from state")
	relaytest.Contains(t, must(t, dir, nil, "verify", "--data-dir", "cowrelay-data"), "sound: ")
	r := start(t, dir)
	tricky := `{"event":{"event":"\"event\":"},"event_id":"since","slot_id":"x","position":0}`
	r.Post(s.Slots[1], []byte(tricky))
	r.Post(s.Slots[1], []byte(`{"without":"an id"}`))
	made := r.Allocate()
	r.Post(made, []byte(`{"event_id":"lost"}`))
	r.Stop()

	sh.run(t, blocks[1])
	old := relaytest.Start(t, filepath.Join(dir, "before"))
	relaytest.Contains(t, sh.run(t, strings.ReplaceAll(blocks[2], pageRelay, old.URL)), made.ID+" was made since")
	for n, slot := range s.Slots {
		var events []json.RawMessage
		if err := json.Unmarshal(slot.MustSend(t, 200, "GET", old.EventsURL(slot), nil), &events); err != nil {
			t.Fatal(err)
		}
		if n != 1 && len(events) != 3 {
			t.Errorf("%d events of slot %d", len(events), n)
		}
		if n == 1 && (len(events) != 3 || string(events[1]) != tricky || string(events[2]) != `{"without":"an id"}`) {
			t.Errorf("on the way back: %s", events)
		}
	}
}
