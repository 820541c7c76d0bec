package commands

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"cowrelay/cmd/cowrelay/internal/relaytest"

	"github.com/cockroachdb/pebble/v2"
)

// damageSlot takes an event out of a stopped store.
func damageSlot(t *testing.T, f *relaytest.Filled, slot, pos int) {
	t.Helper()
	damage(t, f.Dir, func(b *pebble.Batch) { rewrite(b, f, slot, without(pos)) })
}

// fakeAdmin is an admin listener with one slot of 10 events, which answers
// requests for its events by serve.
func fakeAdmin(t *testing.T, serve func(w http.ResponseWriter, from int, ask int)) (url, id string) {
	id = strings.Repeat("a", 32)
	var asked atomic.Int32
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		if req.URL.Path == "/admin/v1/counts" {
			fmt.Fprintf(w, `{"slot_id":"%s","events":10}`+"\n", id)
			return
		}
		if req.URL.Path == "/admin/v1/events" { // ahead of time: it need not be there
			http.NotFound(w, req)
			return
		}
		var from int
		fmt.Sscan(req.URL.Query().Get("from"), &from)
		if want := "/admin/v1/slots/" + id + "/events"; req.URL.Path != want || req.URL.Query().Get("to") != "10" {
			t.Errorf("asked for %s, want %s", req.URL, want)
		}
		serve(w, from, int(asked.Add(1)))
	}))
	t.Cleanup(server.Close)
	return server.URL, id
}

// give writes events [from, to) and flushes them.
func give(w http.ResponseWriter, from, to int) {
	for ; from < to; from++ {
		fmt.Fprintf(w, `{"n":%d}`+"\n", from)
	}
	w.(http.Flusher).Flush()
}

// TestExport_RelayBreaksOff: a relay that cuts connections, is busy, or starts
// again while it is asked.
func TestExport_RelayBreaksOff(t *testing.T) {
	tests := []struct {
		name   string
		serve  func(w http.ResponseWriter, from, ask int)
		events int
		code   int
		want   string
	}{
		{"cut between lines", func(w http.ResponseWriter, from, ask int) {
			give(w, from, min(from+4, 10))
			if from+4 < 10 {
				panic(http.ErrAbortHandler)
			}
		}, 10, 0, "exported 10 events of 1 slots"},
		{"cut within a line", func(w http.ResponseWriter, from, ask int) {
			give(w, from, 10-ask%2*5)
			if ask == 1 {
				fmt.Fprint(w, `{"n":`)
				w.(http.Flusher).Flush()
				panic(http.ErrAbortHandler)
			}
		}, 10, 0, "exported 10 events"},
		{"busy at first", func(w http.ResponseWriter, from, ask int) {
			if ask <= 2 {
				http.Error(w, `{"error":"starting"}`, http.StatusServiceUnavailable)
				return
			}
			give(w, from, 10)
		}, 10, 0, "exported 10 events"},
		{"removed at once", func(w http.ResponseWriter, from, ask int) {
			http.Error(w, `{"error":"unknown slot"}`, http.StatusNotFound)
		}, 0, 0, "removed meanwhile, with 0 of its 10 events exported\nexported 0 events of 0 slots"},
		{"removed on the way", func(w http.ResponseWriter, from, ask int) {
			if ask == 2 {
				http.Error(w, `{"error":"unknown slot"}`, http.StatusNotFound)
				return
			}
			give(w, from, 3)
			panic(http.ErrAbortHandler)
		}, 3, 0, "removed meanwhile, with 3 of its 10 events exported\nexported 3 events of 0 slots"},
		{"can't be read", func(w http.ResponseWriter, from, ask int) {
			if ask > 1 {
				http.Error(w, `{"error":"the relay can't serve this slot now"}`, http.StatusServiceUnavailable)
				return
			}
			give(w, from, 3)
			panic(http.ErrAbortHandler)
		}, 3, 1, "3 of its 10 events exported: the slot can't be read"},
		{"all have left", func(w http.ResponseWriter, from, ask int) {
			w.Header().Set("Relay-First", "12")
		}, 0, 0, "10 of its 10 events left meanwhile"},
		{"refuses", func(w http.ResponseWriter, from, ask int) {
			http.Error(w, `{"error":"no"}`, http.StatusForbidden)
		}, 0, 1, "no (403 Forbidden)"},
		{"gives too much", func(w http.ResponseWriter, from, ask int) {
			give(w, from, 11)
		}, 10, 1, "more events than there were"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			url, id := fakeAdmin(t, test.serve)
			stdout, stderr, code := relaytest.Command(t, nil, "export", "--all", "--admin="+url)
			if code != test.code || !strings.Contains(stderr, test.want) {
				t.Errorf("exit %d, %s, want %q", code, stderr, test.want)
			}
			got := exported(t, stdout)[id]
			if len(got) != test.events {
				t.Errorf("%d events, want %d", len(got), test.events)
			}
			for n, event := range got {
				if event != fmt.Sprintf(`{"n":%d}`, n) {
					t.Errorf("event %d: %s", n, event)
				}
			}
		})
	}
}

// Events that leave meanwhile are passed over, and told. Those behind them keep their
// positions.
func TestExport_EventsLeave(t *testing.T) {
	url, id := fakeAdmin(t, func(w http.ResponseWriter, from, ask int) {
		if ask == 1 {
			give(w, from, 3)
			panic(http.ErrAbortHandler)
		}
		w.Header().Set("Relay-First", "6")
		give(w, 6, 10)
	})
	stdout, stderr, code := relaytest.Command(t, nil, "export", "--all", "--admin="+url)
	if want := "3 of its 10 events left meanwhile\nexported 7 events of 1 slots"; code != 0 || !strings.Contains(stderr, want) {
		t.Errorf("exit %d, %s, want %q", code, stderr, want)
	}
	want := ""
	for _, n := range []int{0, 1, 2, 6, 7, 8, 9} {
		want += fmt.Sprintf(`{"slot_id":"%s","position":%d,"event":{"n":%d}}`+"\n", id, n, n)
	}
	if stdout != want {
		t.Errorf("it gave\n%swant\n%s", stdout, want)
	}
}

func TestExport_NoAdminListener(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "<html>") }))
	defer server.Close()
	if _, stderr, code := relaytest.Command(t, nil, "export", "--all", "--admin="+server.URL); code != 1 || !strings.Contains(stderr, "is not that of a relay's admin listener") {
		t.Errorf("exit %d, %s", code, stderr)
	}
}

func TestExport_Interrupted(t *testing.T) {
	waits := make(chan struct{})
	end := make(chan struct{})
	url, _ := fakeAdmin(t, func(w http.ResponseWriter, from, ask int) {
		give(w, from, 4)
		close(waits)
		<-end
	})
	defer close(end)
	interrupt(t, waits, filepath.Join(t.TempDir(), "x"), "--all", "--admin="+url)
}

// TestExport_RelayRestarts kills the relay while it is exported, and starts it
// again on its ports.
func TestExport_RelayRestarts(t *testing.T) {
	f := relaytest.Fill(t, 1, 4000, 4000)
	r := relaytest.Start(t, f.Dir)
	path := filepath.Join(t.TempDir(), "x")
	cmd := exec.Command(relaytest.Binary, "export", "--all", "--admin="+r.AdminURL, "--out="+path)
	var stderr relaytest.Buffer
	cmd.Env, cmd.Stderr = relaytest.CleanEnv(), &stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer time.AfterFunc(time.Minute, func() { cmd.Process.Kill() }).Stop()
	for deadline := time.Now().Add(2 * time.Minute); ; time.Sleep(time.Millisecond) {
		if names, _ := filepath.Glob(path + ".*.partial"); len(names) > 0 {
			if info, err := os.Stat(names[0]); err == nil && info.Size() > 0 {
				break
			}
		}
		if _, err := os.Stat(path); err == nil || time.Now().After(deadline) {
			break // it was faster than we
		}
	}
	r.Kill()
	relaytest.Start(t, f.Dir, "--admin="+strings.TrimPrefix(r.AdminURL, "http://"))
	cmd.Wait()
	text, err := os.ReadFile(path)
	if !cmd.ProcessState.Success() || err != nil {
		t.Fatalf("%v, %v, %s", cmd.ProcessState, err, stderr.String())
	}
	got := exported(t, string(text))[f.Slots[0].ID]
	if len(got) != 4000 {
		t.Fatalf("%d events", len(got))
	}
	for pos, event := range got {
		if event != string(f.Event(0, pos)) {
			t.Fatalf("position %d holds %s", pos, event)
		}
	}
}

// TestExport_ManySmallSlots: the relay is asked for many slots at once, and the
// reply is as that for each.
func TestExport_ManySmallSlots(t *testing.T) {
	const aheadEvents = 100 // a slot of more is asked for by itself
	f := relaytest.Fill(t, 600, 3, 100)
	r := relaytest.Start(t, f.Dir)
	large := r.Allocate()
	for n := range aheadEvents + 1 {
		r.Post(large, relaytest.Event("w", n, 50))
	}
	got := exportedAll(t, r)
	if len(got) != 601 || len(got[large.ID]) != aheadEvents+1 {
		t.Fatalf("%d slots, %d events of the large one", len(got), len(got[large.ID]))
	}
	for i, s := range f.Slots {
		for pos := range f.Events {
			if event := got[s.ID][pos]; event != string(f.Event(i, pos)) {
				t.Fatalf("slot %d position %d holds %s", i, pos, event)
			}
		}
	}
}
