package commands

import (
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"cowrelay/cmd/cowrelay/internal/relaytest"
	"cowrelay/cow"
	"cowrelay/cow/engine"
)

// An import goes on with slots from which events have left: positions stay, what left
// does not come back, and what the source has got since is taken. A slot that went on in
// another way stays as it is.
func TestImport_EventsHaveLeft(t *testing.T) {
	s := relaytest.NewState(t, 4, 5, 200)
	dir := filepath.Join(t.TempDir(), "data")
	importInto(t, s, dir)
	leave(t, dir, s.Slots[0], 2)
	leave(t, dir, s.Slots[1], 5) // all of them
	leave(t, dir, s.Slots[2], 1)
	leave(t, dir, s.Slots[3], 3)
	r := relaytest.Start(t, dir)
	r.Post(s.Slots[2], []byte(`{"event_id":"posted"}`))
	r.Stop()

	for _, more := range [][]string{{"--dry-run"}, nil, nil} {
		out, stderr := importInto(t, s, dir, more...)
		relaytest.Contains(t, out, "slots 0 4 0\n", "events 0 20 0\n")
		if strings.Contains(stderr, "another way") {
			t.Error(stderr)
		}
	}
	for _, slot := range s.Slots[:3] {
		path := "slots/" + slot.ID + ".jsonl"
		old, err := os.ReadFile(filepath.Join(s.Dir, path))
		if err != nil {
			t.Fatal(err)
		}
		s.Text(path, string(old)+`{"event_id":"since"}`+"\n")
	}
	// What stays of the last one is not what its file says.
	s.Text("slots/"+s.Slots[3].ID+".jsonl", strings.Repeat(`{"x":1}`+"\n", 9))

	out, stderr := importInto(t, s, dir)
	relaytest.Contains(t, out, "events 2 18 0\n") // 5 and 5, 5, and the 3 that are passed over
	for _, slot := range s.Slots[2:] {
		relaytest.Contains(t, stderr, slot.ID+".jsonl: the slot went on in another way")
	}
	again, _ := importInto(t, s, dir)
	relaytest.Contains(t, again, "events 0 20 0\n")
	sound(t, dir)

	r = relaytest.Start(t, dir)
	for n, want := range []struct {
		first, end string
		events     int
		last       string
	}{{"2", "6", 4, "since"}, {"5", "6", 1, "since"}, {"1", "6", 5, "posted"}, {"3", "5", 2, ""}} {
		slot := s.Slots[n]
		events := r.Pull(slot, "")
		if len(events) != want.events || want.last != "" && string(events[len(events)-1]) != `{"event_id":"`+want.last+`"}` {
			t.Errorf("slot %d has %d events: %s", n, len(events), events)
		}
		res, _, err := slot.Send(http.DefaultClient, "GET", r.EventsURL(slot)+"?from=0", nil)
		if err != nil || res.Header.Get("Relay-Trimmed") != want.first || res.Header.Get("Relay-End") != want.end {
			t.Errorf("slot %d: %v, %v", n, res, err)
		}
	}
}

// leave has the oldest events of a slot leave the store of a stopped relay.
func leave(t *testing.T, dir string, slot relaytest.Slot, events uint64) {
	t.Helper()
	l, err := engine.Open(dir, engine.Options{Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	}()
	id, _ := cow.ParseID(slot.ID)
	g := []cow.Group{{Op: cow.OpTrim, Slot: id, Oldest: events}}
	if err := l.Load(id, 0, func(a *cow.Append) error {
		for n, ev := range a.Events {
			if a.First+uint64(n) < events {
				g[0].Gone += uint64(len(ev.JSON))
			}
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	if l.Commit(g); g[0].Outcome != cow.Stored {
		t.Fatalf("outcome %d: %v", g[0].Outcome, g[0].Err)
	}
}
