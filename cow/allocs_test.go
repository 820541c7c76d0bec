//go:build !race && !invariants

package cow_test

import (
	"fmt"
	"io"
	"runtime"
	"strings"
	"testing"

	"cowrelay/cow"
	"cowrelay/cow/token"
)

// discard takes a page without keeping it.
type discard struct{ n int }

func (d *discard) Write(p []byte) (int, error) { d.n += len(p); return len(p), nil }

var _ io.Writer = (*discard)(nil)

func TestAllocs_Window(t *testing.T) {
	f := open(t, cow.Options{})
	slot := f.slot()
	pad := strings.Repeat("x", 260)
	for i := range 5000 {
		f.must(slot, fmt.Sprintf(`{"event_id":"id-%d","p":"%s"}`, i, pad))
	}
	var w cow.Window
	var d discard
	for name, start := range map[string]cow.Start{
		"since": cow.After([]byte("id-3500")), "unknown": cow.After([]byte("unknown")), "empty": cow.Oldest(), "up to date": cow.After([]byte("id-4999")),
		"from": cow.From(3000), "last": cow.Last(1000), "from the end": cow.From(5000),
	} {
		pull := func() {
			if err := f.Window(slot, start, 1000, &w); err != nil {
				t.Fatal(err)
			}
			w.WriteTo(&d)
		}
		pull()
		if name == "since" && w.Events() != 1000 {
			t.Fatalf("%d events", w.Events())
		}
		if n := testing.AllocsPerRun(200, pull); n != 0 {
			t.Errorf("%s: a window of %d events takes %v allocations", name, w.Events(), n)
		}
	}
}

func TestAllocs_DeliveredEvent(t *testing.T) {
	f := open(t, cow.Options{})
	slot := f.slot()
	keep := f.subscribe(slot, false, "")
	defer keep.Close()
	for i := range 300 {
		f.must(slot, ev(fmt.Sprint(i)))
	}
	for _, source := range []string{"frames", "chunks"} {
		st := f.subscribe(slot, true, "")
		if source == "chunks" {
			f.DropFrames(slot)
		}
		// A few bytes a write: more calls than any reader makes.
		n := testing.AllocsPerRun(1000, func() {
			data, err := st.Next(st.buf)
			if err != nil || data == nil {
				t.Fatal("nothing to deliver")
			}
			st.Wrote(min(7, len(data)))
		})
		if n != 0 {
			t.Errorf("a delivery from %s takes %v allocations", source, n)
		}
		st.Close()
	}
}

func TestAllocs_AuthCheck(t *testing.T) {
	f := open(t, cow.Options{})
	id, first, owner, err := f.Allocate()
	if err != nil {
		t.Fatal(err)
	}
	further := func(may token.Right) string {
		text, err := f.NewToken(f.Slot(id), &token.Record{May: may, Created: 1000, Expires: 2000}, false)
		if err != nil {
			t.Fatal(err)
		}
		return text
	}
	texts := []string{first, owner, further(token.Post), further(token.Read), strings.Repeat("0", len(first))}
	rights := []token.Right{token.OfSlot, token.OfOwner, token.Post, token.Read, 0}
	path := []byte(id.String())
	for i, text := range texts {
		header := []byte(text)
		n := testing.AllocsPerRun(1000, func() {
			id, ok := cow.ParseID(path)
			slot := f.Slot(id)
			if !ok || slot == nil {
				t.Fatal("the slot is not there")
			}
			g := slot.Authorize(cow.HashToken(header), 1500)
			for r := token.Post; r <= token.Owner; r <<= 1 {
				if g.May(r) != rights[i].Has(r) || g.OK() != (rights[i] != 0) || g.Live() != g.OK() {
					t.Fatalf("token %d: %+v", i, g)
				}
			}
		})
		if n != 0 {
			t.Errorf("a check of id and token %d takes %v allocations", i, n)
		}
	}
}

// A post may allocate for what it stores (a segment, tables, a snapshot) but
// not much beside: counted over many, journal included, which keeps nothing.
func TestAllocs_Post(t *testing.T) {
	s := openHollow(t, &hollow{})
	id, _, _, err := s.Allocate()
	if err != nil {
		t.Fatal(err)
	}
	slot := s.Slot(id)
	const posts = 20_000
	bodies := make([][]byte, posts)
	for i := range bodies {
		bodies[i] = fmt.Appendf(nil, `{"event": {"event_id": "id-%d", "p": "%s"}}`, i, strings.Repeat("x", 300))
	}
	post := func(body []byte) {
		p := s.NewPost()
		if err := p.Accept(body); err != nil {
			t.Fatal(err)
		}
		if _, err := p.Commit(slot); err != nil {
			t.Fatal(err)
		}
		p.Release()
	}
	for _, b := range bodies[:1000] {
		post(b)
	}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	for _, b := range bodies[1000:] {
		post(b)
	}
	runtime.ReadMemStats(&after)
	each := float64(after.Mallocs-before.Mallocs) / (posts - 1000)
	bytes := float64(after.TotalAlloc-before.TotalAlloc) / (posts - 1000)
	t.Logf("a post of 330 bytes takes %.2f allocations of %.0f bytes", each, bytes)
	if each > 3 {
		t.Errorf("a post takes %.2f allocations, at most 3 allowed", each)
	}
	runtime.ReadMemStats(&before)
	for _, b := range bodies[1000:] {
		post(b)
	}
	runtime.ReadMemStats(&after)
	each = float64(after.Mallocs-before.Mallocs) / (posts - 1000)
	t.Logf("a duplicate takes %.2f allocations", each)
	if each > 0.1 {
		t.Errorf("a duplicate takes %.2f allocations", each)
	}
}

// A post of many events allocates for the post and for what the slot keeps, and next
// to nothing for each event.
func TestAllocs_Lines(t *testing.T) {
	s := openHollow(t, &hollow{})
	id, _, _, err := s.Allocate()
	if err != nil {
		t.Fatal(err)
	}
	slot := s.Slot(id)
	const posts, each = 60, 1000
	bodies := make([][]byte, posts)
	for i := range bodies {
		for k := range each {
			bodies[i] = fmt.Appendf(bodies[i], "{\"event_id\": \"id-%d-%d\", \"p\": \"%s\"}\n", i, k, strings.Repeat("x", 300))
		}
	}
	post := func(body []byte) {
		p := s.NewPost()
		if err := p.AcceptLines(body); err != nil {
			t.Fatal(err)
		}
		if _, _, _, err := p.CommitLines(slot); err != nil {
			t.Fatal(err)
		}
		p.Release()
	}
	measure := func() float64 {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		for _, b := range bodies[10:] {
			post(b)
		}
		runtime.ReadMemStats(&after)
		return float64(after.Mallocs-before.Mallocs) / ((posts - 10) * each)
	}
	for _, b := range bodies[:10] {
		post(b)
	}
	if n := measure(); n > 0.1 {
		t.Errorf("an event of a post of 1,000 takes %.3f allocations", n)
	} else {
		t.Logf("an event of a post of 1,000 takes %.3f allocations", n)
	}
	if n := measure(); n > 0.02 {
		t.Errorf("a duplicate in a post of 1,000 takes %.3f allocations", n)
	}
}
