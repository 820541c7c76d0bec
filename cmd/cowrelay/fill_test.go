package main

import (
	"fmt"
	"io"
	"log/slog"
	"os"
	"runtime"
	"strconv"
	"testing"

	"cowrelay/cow"
	"cowrelay/cow/event"
	"cowrelay/cow/pebblelog"
)

// filled is a store that was written through the journal, far faster than over
// HTTP. Every event follows from its slot and position.
type filled struct {
	dir    string
	slots  []slot
	events int // in each slot
	size   int // of each event
}

// event is what stands at a position of a slot. Half of it compresses.
func (f *filled) event(slot, pos int) []byte {
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

func (f *filled) id(slot, pos int) string { return fmt.Sprintf("%08x.%08x", slot, pos) }

// fill makes a store and closes it.
func fill(t *testing.T, slots, events, size int) *filled {
	t.Helper()
	f := &filled{dir: t.TempDir(), events: events, size: size}
	if ev, _, err := event.Accept(nil, postBody(f.event(1, 2))); err != nil || int(ev.IDOff) != filledID || string(ev.JSON) != string(f.event(1, 2)) {
		t.Fatalf("BUG: the event is not as the relay would store it: %v %+v", err, ev)
	}
	l, err := pebblelog.Open(f.dir, pebblelog.Options{Sync: pebblelog.Off, CacheBytes: 8 << 20, Logger: slog.New(slog.NewTextHandler(io.Discard, nil))})
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
		f.slots = append(f.slots, slot{ID: id.String(), Token: token})
		groups = append(groups, cow.Group{Op: cow.OpCreate, Slot: id, Token: cow.HashToken([]byte(token))})
		for first := 0; first < events; {
			n := min(events-first, most/size)
			g := cow.Group{Op: cow.OpAppend, Slot: id, Version: uint64(first), First: uint64(first), Count: uint64(first + n), Bytes: uint64((first + n) * size)}
			for pos := first; pos < first+n; pos++ {
				g.Events = append(g.Events, event.Event{JSON: f.event(i, pos), IDOff: uint32(filledID)})
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

// scale returns the test's size: real with COWRELAY_SOAK=1 (make soak), small
// by default, tiny with -short.
func scale(tiny, small, real int) int {
	switch {
	case os.Getenv("COWRELAY_SOAK") != "":
		return real
	case testing.Short():
		return tiny
	}
	return small
}
