package replay_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"cowrelay/cow"
	"cowrelay/cow/replay"
	"cowrelay/cow/replay/replaytest"
)

// TestShared_Format: an op that came with a newer format is written only when the fleet
// allows it, so it never stops an older relay unawares. When it is allowed, the older
// one ends, says what to do, and goes on where it was as a newer one.
func TestShared_Format(t *testing.T) {
	server, store := replaytest.NewServer(1), replaytest.NewStore()
	ended := make(chan error, 1)
	older := options(t)
	older.Newest, older.Fatal = 1, func(err error) { ended <- err }
	a := fed(openShared(t, server, replaytest.NewStore(), options(t)))
	t.Cleanup(func() { a.Close() })
	b := fed(openShared(t, server, store, older))

	format := func() (f byte) { // of the newest entry
		server.Change(server.Len(), func(entry []byte) []byte { f = entry[0]; return entry })
		return f
	}
	id := cow.NewID()
	commitAll(t, a, cow.Group{Op: cow.OpCreate, Slot: id})
	bytes := uint64(0)
	more := func(count uint64, n int) cow.Group {
		g := appendOf(id, count, bytes, n, 100)
		bytes = g.Bytes
		return g
	}
	commitAll(t, a, more(0, 3))
	gone := bytes / 3 // the events have one length
	trim := func() cow.Group { return cow.Group{Op: cow.OpTrim, Slot: id, Oldest: 1, Gone: gone} }
	groups := []cow.Group{trim(), more(3, 1)}
	a.Commit(groups)
	if g := groups[0]; a.Allowed(cow.OpTrim) || g.Outcome != cow.Refused || !errors.Is(g.Err, replay.ErrFormat) || !strings.Contains(g.Err.Error(), "admin fleet upgrade") {
		t.Errorf("not allowed yet: outcome %v, %v", g.Outcome, g.Err)
	}
	if !a.Allowed(cow.OpAppend) || groups[1].Outcome != cow.Stored {
		t.Errorf("beside it: outcome %v, %v", groups[1].Outcome, groups[1].Err)
	}
	if err := b.Barrier(t.Context()); err != nil {
		t.Fatal(err)
	}
	commitAll(t, b, more(4, 1)) // the older one lives
	if f := b.Format(); f != 1 {
		t.Errorf("format %d", f)
	}
	if err := a.Raise(3); err == nil || !strings.Contains(err.Error(), "newer") {
		t.Errorf("a format that nobody knows: %v", err)
	}

	for range 2 { // once more does nothing
		if err := a.Raise(2); err != nil || a.Format() != 2 || !a.Allowed(cow.OpTrim) {
			t.Fatalf("%v, format %d", err, a.Format())
		}
	}
	select {
	case err := <-ended:
		if !strings.Contains(err.Error(), "start a newer cowrelay") {
			t.Errorf("the older one ended: %v", err)
		}
	case <-time.After(time.Minute):
		t.Fatal("the older one goes on")
	}
	commitAll(t, a, trim())
	bytes -= gone
	if f := format(); f != 2 {
		t.Errorf("the op stands in an entry of format %d", f)
	}
	commitAll(t, a, more(5, 1))
	if f := format(); f != 1 {
		t.Errorf("others stand in an entry of format %d", f)
	}

	// The older one can't come back, on its folder or on an empty one. A newer one can.
	older.Fatal = func(error) {}
	for _, s := range []replay.MemberStore{store.Crash(0), replaytest.NewStore()} {
		if _, err := replay.OpenShared(t.Context(), server.Client(), s, older); err == nil || !strings.Contains(err.Error(), "start a newer cowrelay") {
			t.Errorf("the older one opened: %v", err)
		}
	}
	c := fed(openShared(t, server, store.Crash(0), options(t)))
	t.Cleanup(func() { c.Close() })
	if n, err := loadCount(c, id, 1); n != 5 || err != nil || c.Format() != 2 {
		t.Errorf("%d events, %v, format %d", n, err, c.Format())
	}
}
