package crash

import (
	"encoding/json"
	"net/http"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"

	"cowrelay/cmd/cowrelay/internal/relaytest"

	"golang.org/x/sys/unix"
)

// A failed sync can't be tried again. The process says so and ends, and answers no
// post with "stored".
func TestFault_SyncFails(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	r, trap := relaytest.StartTrapped(t, dir)
	faultEndsRelay(t, r, dir, func() { trap.FailSyncs(unix.EIO) }, "writing to the log failed", "input/output error")
	if trap.Count() == 0 {
		t.Error("no sync failed")
	}
}

// The same for a write: no file may be written behind its first byte any more
// (RLIMIT_FSIZE, set on the running process).
func TestFault_WriteFails(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	r := relaytest.Start(t, dir)
	faultEndsRelay(t, r, dir, func() {
		limit := unix.Rlimit{Cur: 1, Max: 1}
		if err := unix.Prlimit(r.Cmd.Process.Pid, unix.RLIMIT_FSIZE, &limit, nil); err != nil {
			t.Fatal(err)
		}
	}, "file too large")
}

// faultEndsRelay posts, breaks the disk and posts from many sides.
func faultEndsRelay(t *testing.T, r *relaytest.Relay, dir string, breakDisk func(), says ...string) {
	t.Helper()
	const before, posters = 20, 16
	s := r.Allocate()
	for i := range before {
		r.Post(s, relaytest.Event("before", i, 300))
	}
	breakDisk()
	var wg sync.WaitGroup
	for i := range posters {
		wg.Go(func() {
			c, done := relaytest.NewClient()
			defer done()
			res, body, err := s.Send(c, "POST", r.EventsURL(s), relaytest.PostBody(relaytest.Event("after", i, 20_000)))
			if err == nil && res.StatusCode != http.StatusServiceUnavailable {
				t.Errorf("the disk failed, a post got %s %s", res.Status, body)
			}
		})
	}
	wg.Wait()
	if code := r.Wait(time.Minute); code != 1 {
		t.Errorf("exit %d", code)
	}
	last := r.Logged("the store failed, the process ends")
	if last == nil {
		t.Fatalf("the log does not say why:\n%s", r.Log.String())
	}
	relaytest.Contains(t, last["error"].(string), append(says, filepath.Base(dir))...)
	relaytest.Contains(t, last["do"].(string), "start again")

	r = relaytest.Start(t, dir)
	had := checkPrefix(t, r.Pull(s, ""), before)
	for i := range posters { // all send again, as clients do
		e := relaytest.Event("after", i, 20_000)
		want := http.StatusCreated
		if had[relaytest.EventID(e)] {
			want = http.StatusOK
		}
		s.MustSend(t, want, "POST", r.EventsURL(s), relaytest.PostBody(e))
	}
	events := r.Pull(s, "")
	if had := checkPrefix(t, events, before); len(events) != before+posters || len(had) != posters {
		t.Errorf("%d events, %d of them new", len(events), len(had))
	}
	r.Stop()
}

// checkPrefix returns which events stand behind those of before.
func checkPrefix(t *testing.T, events []json.RawMessage, before int) map[string]bool {
	t.Helper()
	if len(events) < before {
		t.Fatalf("%d acknowledged events, %d are left", before, len(events))
	}
	rest := map[string]bool{}
	for i, e := range events {
		if i < before {
			if string(e) != string(relaytest.Event("before", i, 300)) {
				t.Errorf("position %d: %.80s", i, e)
			}
			continue
		}
		rest[relaytest.EventID(e)] = true
	}
	return rest
}

// While a sync hangs nothing of its batch can be seen or is acknowledged (I4),
// readers go on (I7), and new posts are asked to come again.
func TestFault_SyncHangs(t *testing.T) {
	t.Parallel()
	r, trap := relaytest.StartTrapped(t, t.TempDir())
	s, other := r.Allocate(), r.Allocate()
	r.Post(s, relaytest.Event("a", 0, 300))
	r.Post(other, relaytest.Event("o", 0, 300))
	st := relaytest.MustStream(r, s, "a-0")
	release := trap.HoldSyncs()
	defer release()

	answered := make(chan int, 1)
	go func() {
		res, _, err := s.Send(relaytest.HTTPClient, "POST", r.EventsURL(s), relaytest.PostBody(relaytest.Event("a", 1, 300)))
		if err != nil {
			t.Error(err)
			answered <- 0
			return
		}
		answered <- res.StatusCode
	}()
	trap.Await(t)
	// From a second on, other posts are turned away at once.
	c := &http.Client{Timeout: 20 * time.Second}
	time.Sleep(1100 * time.Millisecond)
	res, body, err := other.Send(c, "POST", r.EventsURL(other), relaytest.PostBody(relaytest.Event("o", 1, 300)))
	if err != nil || res.StatusCode != http.StatusServiceUnavailable {
		t.Fatalf("%v %s", err, body)
	}
	checkRefusal(t, res, body)
	// Readers see the old state, at once.
	for _, x := range []relaytest.Slot{s, other} {
		if n := len(r.Pull(x, "")); n != 1 {
			t.Errorf("a pull shows %d events while the second is not durable", n)
		}
	}
	shown := make(chan relaytest.StreamedEvent, 1)
	go func() {
		ev, err := st.Next()
		if err != nil {
			t.Error(err)
		}
		shown <- ev
	}()
	select {
	case ev := <-shown:
		t.Fatalf("a stream shows %s before it is durable", ev.ID)
	case <-time.After(300 * time.Millisecond):
	}
	select {
	case status := <-answered:
		t.Errorf("answered %d before the sync", status)
	default:
	}
	release()
	if status := <-answered; status != http.StatusCreated {
		t.Errorf("status %d", status)
	}
	if ev := <-shown; ev.ID != "a-1" {
		t.Errorf("the stream got %v", ev)
	}
	if n := len(r.Pull(other, "")); n != 1 {
		t.Errorf("the refused post was stored: %d events", n)
	}
	r.Post(other, relaytest.Event("o", 1, 300))
	r.Stop()
}

// A process that is killed while a sync hangs has acknowledged nothing of it.
func TestFault_KilledWhileSyncHangs(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	r, trap := relaytest.StartTrapped(t, dir)
	s := r.Allocate()
	r.Post(s, relaytest.Event("a", 0, 300))
	trap.HoldSyncs()
	failed := make(chan struct{})
	go func() {
		res, _, err := s.Send(relaytest.HTTPClient, "POST", r.EventsURL(s), relaytest.PostBody(relaytest.Event("a", 1, 300)))
		if err == nil {
			t.Errorf("answered %s", res.Status)
		}
		close(failed)
	}()
	trap.Await(t)
	r.Signal(syscall.SIGKILL)
	<-failed
	r.Kill()
	r = relaytest.Start(t, dir)
	if events := r.Pull(s, ""); len(events) < 1 || len(events) > 2 || relaytest.EventID(events[0]) != "a-0" {
		t.Errorf("%s", events)
	}
	r.Stop()
}
