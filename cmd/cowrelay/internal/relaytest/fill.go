package relaytest

import (
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"os"
	"runtime"
	"strconv"
	"testing"

	"cowrelay/cow"
	"cowrelay/cow/engine"
	"cowrelay/cow/event"
	"cowrelay/cow/filelog"
)

// Filled is a store that was written through the journal, which is far faster than
// over HTTP. Every event follows from its slot and position, so a reader can check
// all bytes.
type Filled struct {
	Dir    string
	Slots  []Slot
	Events int // in each slot
	size   int // of each event
}

// Event is what stands at a position of a slot. Half of it compresses.
func (f *Filled) Event(slot, pos int) []byte {
	b := fmt.Appendf(make([]byte, 0, f.size+40), `{"event_id":"%08x.%08x","body":"`, slot, pos)
	x := uint64(slot)<<32 | uint64(pos)
	for len(b) < f.size-2 {
		x = x*6364136223846793005 + 1442695040888963407
		b = strconv.AppendUint(b, x|1<<63, 16) // 16 digits
		b = append(b, " the quick brown fox "...)
	}
	return append(b[:f.size-2], `"}`...)
}

const filledID = len(`{"event_id":`) // where the id stands

// ID is the id of the event at a position.
func (f *Filled) ID(slot, pos int) string { return fmt.Sprintf("%08x.%08x", slot, pos) }

// Fill makes a store and closes it.
func Fill(t *testing.T, slots, events, size int) *Filled {
	t.Helper()
	f := &Filled{Dir: t.TempDir(), Events: events, size: size}
	if ev, _, err := event.Accept(nil, PostBody(f.Event(1, 2))); err != nil || int(ev.IDOff) != filledID || string(ev.JSON) != string(f.Event(1, 2)) {
		t.Fatalf("BUG: the event is not as the relay would store it: %v %+v", err, ev)
	}
	l, err := engine.Open(f.Dir, engine.Options{Sync: filelog.Off, CacheBytes: 8 << 20, Logger: slog.New(slog.NewTextHandler(io.Discard, nil))})
	if err != nil {
		t.Fatal(err)
	}
	var groups []cow.Group
	pending := 0
	flush := func() {
		l.Commit(groups)
		for i := range groups {
			if groups[i].Outcome != cow.Stored {
				t.Fatalf("outcome %d: %v", groups[i].Outcome, groups[i].Err)
			}
		}
		groups, pending = groups[:0], 0
	}
	const most = 1 << 20 // bytes of a commit
	for i := range slots {
		id, token := cow.NewID(), cow.NewToken()
		f.Slots = append(f.Slots, Slot{ID: id.String(), Token: token})
		groups = append(groups, cow.Group{Op: cow.OpCreate, Slot: id, Token: cow.HashToken([]byte(token))})
		for first := 0; first < events; {
			n := min(events-first, most/size)
			g := cow.Group{Op: cow.OpAppend, Slot: id, Version: uint64(first), First: uint64(first), Count: uint64(first + n), Bytes: uint64((first + n) * size)}
			for pos := first; pos < first+n; pos++ {
				g.Events = append(g.Events, event.Event{JSON: f.Event(i, pos), IDOff: uint32(filledID)})
			}
			groups = append(groups, g)
			if pending += n * size; pending >= most {
				flush()
			}
			first += n
		}
	}
	flush()
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	runtime.GC()
	return f
}

// Scale returns the test's size: real with COWRELAY_SOAK=1 (make crash-big), small
// by default, tiny with -short.
func Scale(tiny, small, real int) int {
	switch {
	case os.Getenv("COWRELAY_SOAK") != "":
		return real
	case testing.Short():
		return tiny
	}
	return small
}

// Window pulls a window of a random slot, and checks every byte.
func (f *Filled) Window(t *testing.T, r *Relay, rng *rand.Rand) bool {
	i, pos, limit := rng.IntN(len(f.Slots)), rng.IntN(f.Events+1), 1+rng.IntN(1000)
	since := ""
	if pos > 0 {
		since = f.ID(i, pos-1)
	}
	s := f.Slots[i]
	res, body, err := s.Send(HTTPClient, "GET", fmt.Sprintf("%s?since=%s&limit=%d", r.EventsURL(s), since, limit), nil)
	if err != nil || res.StatusCode != http.StatusOK {
		t.Errorf("slot %d from %d: %v %v\n%s", i, pos, err, res, r.Log.String())
		return false
	}
	want := []byte{'['}
	for k := range min(limit, f.Events-pos) {
		if k > 0 {
			want = append(want, ',')
		}
		want = append(want, f.Event(i, pos+k)...)
	}
	if want = append(want, ']'); string(body) != string(want) {
		t.Errorf("slot %d, %d events from %d: wrong window of %d bytes, want %d", i, limit, pos, len(body), len(want))
		return false
	}
	return true
}

// Stored makes a folder with a slot of 400 events, and stops the relay again.
func Stored(t *testing.T) (dir string, s Slot) {
	t.Helper()
	dir = t.TempDir()
	r, s := StartStored(t, dir)
	r.Stop()
	return dir, s
}

// StartStored starts a relay on the folder and posts 400 events to a slot.
func StartStored(t *testing.T, dir string) (r *Relay, s Slot) {
	t.Helper()
	r = Start(t, dir)
	s = r.Allocate()
	for i := range 400 { // more than one block of the log
		r.Post(s, Event("a", i, 300))
	}
	return r, s
}
