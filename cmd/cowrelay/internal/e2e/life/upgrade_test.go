package life

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"cowrelay/cmd/cowrelay/internal/relaytest"
	"cowrelay/cow/card/cardtest"
)

// format1 are two data folders as the last program with format 1 left them:
// "stopped" by an orderly end, and "killed" behind more posts by kill -9. Their
// slots have a name each.
type format1 struct {
	dir    string // of both
	Slots  map[string]relaytest.Slot
	Invite string // path of an invite that may be used twice, and was used once
}

// unpackFormat1 unpacks both folders.
func unpackFormat1(t *testing.T) *format1 {
	t.Helper()
	f, err := os.Open("testdata/format1.tar.gz")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	old := &format1{dir: t.TempDir()}
	for r := tar.NewReader(z); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		b, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		name := filepath.Join(old.dir, h.Name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(name), 0o700), os.WriteFile(name, b, 0o600)); err != nil {
			t.Fatal(err)
		}
	}
	about, err := os.ReadFile(filepath.Join(old.dir, "about.json"))
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(about, old); err != nil || len(old.Slots) != 7 {
		t.Fatalf("%v: %s", err, about)
	}
	return old
}

// events are those that a slot of a folder holds.
func (f *format1) events(folder, slot string) (list [][]byte) {
	killed := folder == "killed"
	switch {
	case slot == "many":
		for i := range 120 {
			list = append(list, relaytest.Event("many", i, 150+i))
		}
		for i := 120; i < 140 && killed; i++ {
			list = append(list, relaytest.Event("many", i, 270))
		}
	case slot == "large":
		for i := range 3 {
			list = append(list, relaytest.Event("large", i, 20_000))
		}
	case slot == "late" && killed:
		for i := range 5 {
			list = append(list, relaytest.Event("late", i, 300))
		}
	case slot == "blocked":
		list = append(list, relaytest.Event("blocked", 0, 200))
	}
	return list
}

// export is what cowrelay export writes of a folder, line by line in any order.
func (f *format1) export(folder string) map[string]bool {
	lines := map[string]bool{}
	for name, s := range f.Slots {
		for pos, e := range f.events(folder, name) {
			lines[fmt.Sprintf(`{"slot_id":%q,"position":%d,"event":%s}`, s.ID, pos, e)] = true
		}
	}
	return lines
}

// checkOffline verifies and exports a stopped folder.
func (f *format1) checkOffline(t *testing.T, folder string) {
	t.Helper()
	dir := filepath.Join(f.dir, folder)
	want := f.export(folder)
	stdout, stderr, code := relaytest.Command(t, nil, "verify", "--data-dir="+dir)
	if code != 0 || !strings.Contains(stdout, "sound: looked at ") || !strings.Contains(stdout, fmt.Sprintf(" slots, %d events and ", len(want))) {
		t.Fatalf("verify: exit %d, %s%s", code, stdout, stderr)
	}
	stdout, stderr, code = relaytest.Command(t, nil, "export", "--all", "--data-dir="+dir)
	if code != 0 {
		t.Fatalf("export: exit %d, %s", code, stderr)
	}
	lines := strings.Split(strings.TrimSuffix(stdout, "\n"), "\n")
	for _, line := range lines {
		if !want[line] {
			t.Errorf("export writes %.200s", line)
		}
	}
	if len(lines) != len(want) {
		t.Errorf("export writes %d events of %d", len(lines), len(want))
	}
}

// checkServed compares what a relay serves with what the old one had, apart from
// later posts to the slot "many".
func (f *format1) checkServed(t *testing.T, folder string, r *relaytest.Relay, later ...[]byte) {
	t.Helper()
	for name, s := range f.Slots {
		switch gone := strings.HasPrefix(name, "removed") || name == "late" && folder == "stopped"; {
		case gone:
			s.MustSend(t, http.StatusNotFound, "GET", r.EventsURL(s), nil)
			continue
		case name == "blocked":
			s.MustSend(t, http.StatusForbidden, "GET", r.EventsURL(s), nil)
			continue
		}
		want := f.events(folder, name)
		if name == "many" {
			want = append(want, later...)
		}
		got := r.Pull(s, "")
		if len(got) != len(want) {
			t.Errorf("%s: %d events, want %d", name, len(got), len(want))
		}
		for pos := range min(len(got), len(want)) {
			if !bytes.Equal(got[pos], want[pos]) {
				t.Errorf("%s: position %d: %.100s", name, pos, got[pos])
			}
		}
		if len(want) > 0 { // the index of ids
			s.MustSend(t, http.StatusOK, "POST", r.EventsURL(s), relaytest.PostBody(want[0]))
		}
	}
	var stats struct {
		Slots   int `json:"slots_active"`
		Made    int `json:"slot_allocations_total"`
		Posted  int `json:"events_posted_total"`
		Claims  int `json:"handle_claims_total"`
		Claimed int `json:"handle_first_claims_total"`
		Handles int `json:"handles_active"`
	}
	if err := json.Unmarshal(relaytest.Slot{}.MustSend(t, http.StatusOK, "GET", r.URL+"/stats.json", nil), &stats); err != nil {
		t.Fatal(err)
	}
	want := stats
	want.Slots, want.Made, want.Posted, want.Claims, want.Claimed, want.Handles = 4, 5, 125+len(later), 1, 1, 1
	if folder == "killed" {
		want.Slots, want.Made, want.Posted, want.Claims, want.Claimed, want.Handles = 5, 7, 151+len(later), 2, 2, 2
	}
	if stats != want {
		t.Errorf("totals are %+v, want %+v", stats, want)
	}
	nicks := []string{"early"}
	if folder == "killed" {
		nicks = append(nicks, "later")
	}
	for _, nick := range nicks {
		relaytest.Contains(t, string(relaytest.Slot{}.MustSend(t, http.StatusOK, "GET", r.URL+"/.well-known/wire/agent?handle="+nick, nil)), cardtest.New(nick, 1).DID)
	}
	many := f.Slots["many"]
	relaytest.Contains(t, string(many.MustSend(t, http.StatusOK, "GET", r.URL+"/v1/slot/"+many.ID+"/state", nil)), `"set_at":"then"`)
}

// A data folder of format 1 is brought up at its first start: nothing is lost, and
// all goes on from there. verify and export read it before that and after it.
func TestUpgrade_Format1(t *testing.T) {
	t.Parallel()
	for _, folder := range []string{"stopped", "killed"} {
		t.Run(folder, func(t *testing.T) {
			old := unpackFormat1(t)
			dir := filepath.Join(old.dir, folder)
			old.checkOffline(t, folder)
			r := relaytest.Start(t, dir)
			if r.Logged("the store gets a new format: older programs can't open it then") == nil {
				t.Errorf("the log does not tell:\n%s", r.Log.String())
			}
			old.checkServed(t, folder, r)
			relaytest.Slot{}.MustSend(t, http.StatusOK, "GET", r.URL+old.Invite, nil) // the second use
			relaytest.Slot{}.MustSend(t, http.StatusGone, "GET", r.URL+old.Invite, nil)
			r.Stop()
			old.checkOffline(t, folder)

			r = relaytest.Start(t, dir)
			if r.Logged("the store gets a new format: older programs can't open it then") != nil {
				t.Error("it is brought up twice")
			}
			later := [][]byte{relaytest.Event("new", 0, 300), relaytest.Event("new", 1, 50_000), relaytest.Event("new", 2, 300)}
			for _, e := range later {
				r.Post(old.Slots["many"], e)
			}
			old.checkServed(t, folder, r, later...)
			r.Kill()
			r = relaytest.Start(t, dir)
			old.checkServed(t, folder, r, later...)
			relaytest.Slot{}.MustSend(t, http.StatusGone, "GET", r.URL+old.Invite, nil)
			r.Admin(t, "unblock", old.Slots["blocked"].ID)
			if got := r.Pull(old.Slots["blocked"], ""); len(got) != 1 || !bytes.Equal(got[0], old.events(folder, "blocked")[0]) {
				t.Errorf("the blocked slot holds %s", got)
			}
			r.Stop()
		})
	}
}

// A start that brings a folder up may be killed at any moment: the next one goes on.
func TestUpgrade_KilledMeanwhile(t *testing.T) {
	t.Parallel()
	for n := range relaytest.Scale(3, 10, 100) {
		old := unpackFormat1(t)
		dir := filepath.Join(old.dir, "killed")
		for range 3 {
			r := relaytest.New(t, dir).Launch()
			time.Sleep(time.Duration(rand.IntN(40_000)) * time.Microsecond)
			r.Kill()
		}
		if n%2 == 0 {
			old.checkOffline(t, "killed")
		}
		r := relaytest.Start(t, dir)
		old.checkServed(t, "killed", r)
		r.Stop()
	}
}
