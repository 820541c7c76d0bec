package cow_test

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"cowrelay/cow"
	"cowrelay/cow/event"
	"cowrelay/cow/frame"
)

// One encoding an event serves 256 live readers; none encodes for itself.
func TestFrames_EncodedOnceFor256Readers(t *testing.T) {
	f := open(t, cow.Options{})
	slot := f.slot()
	f.must(slot, ev("before anybody streams"))
	streams := make([]*stream, 256)
	for i := range streams {
		streams[i] = f.subscribe(slot, false, "")
		defer streams[i].Close()
	}
	const events = 50
	var want string
	for i := range events {
		f.must(slot, ev(fmt.Sprint(i)))
		want += idFrame(fmt.Sprint(i))
		if i%10 == 9 { // some read at once, all in the end
			for _, st := range streams[:i*5] {
				for {
					data, err := st.Next(nil)
					if err != nil {
						t.Fatal(err)
					}
					if data == nil {
						break
					}
					st.Wrote(len(data))
				}
			}
		}
	}
	if n := f.Stats().FramesEncoded.Load(); n != events {
		t.Errorf("%d encodings of %d events", n, events)
	}
	// The bytes themselves are shared, not equal copies.
	streams[254].Close()
	streams[255].Close()
	late := []*stream{f.subscribe(slot, true, "0"), f.subscribe(slot, true, "0")}
	a, _ := late[0].piece()
	b, _ := late[1].piece()
	if &a[0] != &b[0] {
		t.Error("two readers at the same place got different bytes")
	}
	late[0].Close()
	late[1].Close()
	for _, st := range streams[:254] {
		for st.Behind() > 0 {
			data, _ := st.Next(nil)
			st.Wrote(len(data))
		}
	}
	if n := f.Stats().FramesReplayed.Load(); n != 0 {
		t.Errorf("%d frames were encoded for one reader", n)
	}
	if n := f.Stats().FramesEncoded.Load(); n != events {
		t.Errorf("reading encoded: %d encodings of %d events", n, events)
	}
}

// Writes that take n bytes of each piece, for every n, put the same stream
// together: from shared frames, from chunks, and when it changes between them.
func TestFrames_I6_PartialWritesOfEverySize(t *testing.T) {
	f := open(t, cow.Options{})
	slot := f.slot()
	keep := f.subscribe(slot, false, "")
	defer keep.Close()
	events := []string{
		ev("a"), `{"no":"id"}`, `{"event_id":"line\nbreak"}`, `{"event_id":"nul\u0000"}`, `{"event_id":""}`,
		`{"event_id":"\u00e9\"\\"}`, `{"event_id":7}`, ev("last"),
	}
	want := idFrame("a") + wrap("data: {\"no\":\"id\"}\n\n") +
		wrap("data: {\"event_id\":\"line\\nbreak\"}\n\n") + wrap("data: {\"event_id\":\"nul\\u0000\"}\n\n") +
		wrap("data: {\"event_id\":\"\"}\n\n") + wrap("id: é\"\\\ndata: {\"event_id\":\"\\u00e9\\\"\\\\\"}\n\n") +
		wrap("data: {\"event_id\":7}\n\n") + idFrame("last")
	for _, e := range events {
		f.must(slot, e)
	}
	for _, source := range []string{"frames", "chunks", "both"} {
		if source == "chunks" {
			f.DropFrames(slot)
		}
		for n := 1; n <= len(want)+1; n++ {
			if source == "both" {
				f.must(slot, `{"x":1}`) // begins new frames behind those dropped
			}
			st := f.subscribe(slot, true, "")
			var got strings.Builder
			for step := 0; got.Len() < len(want); step++ {
				if source == "both" && step%3 == 1 {
					f.DropFrames(slot)
				}
				data, err := st.piece()
				if err != nil || len(data) == 0 {
					t.Fatalf("%s, %d bytes a write: nothing after %d of %d (%v)", source, n, got.Len(), len(want), err)
				}
				data = data[:min(n, len(data))]
				got.Write(data)
				st.Wrote(len(data))
			}
			if !strings.HasPrefix(got.String(), want) {
				t.Fatalf("I6: %s, %d bytes a write:\n%q\nwant\n%q", source, n, got.String(), want)
			}
			st.Close()
			if source == "both" && n > 80 {
				break
			}
		}
	}
}

// A reader that takes no chunks beside 256 that do costs an encoding of its own.
func TestFrames_PlainReaderBesideOthers(t *testing.T) {
	f := open(t, cow.Options{})
	slot := f.slot()
	live := f.subscribe(slot, false, "")
	defer live.Close()
	bare := f.subscribe(slot, false, "")
	bare.Plain()
	defer bare.Close()
	want := ""
	for i := range 100 {
		f.must(slot, ev(fmt.Sprint(i)))
		want += idFrame(fmt.Sprint(i))
		if i%3 == 0 {
			bare.take(t, 1)
		}
	}
	if got := live.take(t, len(want)); got != want {
		t.Error("I6: the stream differs")
	}
	again := f.subscribe(slot, true, "")
	again.Plain()
	defer again.Close()
	if text := unwrap(t, want); again.take(t, len(text)) != text {
		t.Error("I6: the plain stream differs")
	}
	if n := f.Stats().FramesEncoded.Load(); n != 100 {
		t.Errorf("%d encodings of 100 events", n)
	}
}

// What a client can't send back in a header as it is has no id line.
func TestFrames_IDsThatResume(t *testing.T) {
	f := open(t, cow.Options{})
	for _, row := range []struct {
		id   string // as JSON spells it
		line string // "" for none
	}{
		{``, ""}, {` `, ""}, {`\t`, ""}, {` a`, ""}, {`a `, ""}, {`\u0020a`, ""}, {`a\u0020`, ""}, {`\ta`, ""}, {`a\t`, ""},
		{`a\tb`, ""}, {`a\u0000b`, ""}, {`\u0001`, ""}, {`a\u001fb`, ""}, {`a\u007f`, ""}, {"a\x7fb", ""}, {`a\nb`, ""}, {`a\rb`, ""},
		{`a b`, "a b"}, {`:a`, ":a"}, {`\u0080`, "\u0080"}, {`\u00a0`, "\u00a0"}, {`é`, "é"}, {`~`, "~"}, {`!`, "!"}, {`\"\\`, `"\`},
	} {
		event := `{"event_id":"` + row.id + `"}`
		want := "data: " + event + "\n\n"
		if row.line != "" {
			want = "id: " + row.line + "\n" + want
		}
		slot := f.slot()
		live := f.subscribe(slot, false, "")
		f.must(slot, event)
		if got := live.take(t, 1); got != wrap(want) {
			t.Errorf("shared: %q, want %q", got, wrap(want))
		}
		f.DropFrames(slot)
		for _, plain := range []bool{false, true} {
			st := f.subscribe(slot, true, "")
			want := wrap(want)
			if plain {
				st.Plain()
				want = unwrap(t, want)
			}
			if got := st.take(t, 1); got != want {
				t.Errorf("encoded: %q, want %q", got, want)
			}
			st.Close()
		}
		live.Close()
	}
}

// Events of 256 KiB and frames longer than a piece, in writes of odd sizes.
func TestFrames_I6_LargeFrames(t *testing.T) {
	f := open(t, cow.Options{MemoryBudget: 512 << 20})
	slot := f.slot()
	keep := f.subscribe(slot, false, "")
	defer keep.Close()
	sizes := []int{event.MaxBytes, 30, 65_536, 65_500, 65_520, 10, event.MaxBytes, event.MaxBytes - 1, 200_000, 12}
	var want strings.Builder
	for i, n := range sizes {
		head := fmt.Sprintf(`{"event_id":"%d","p":"`, i)
		e := head + strings.Repeat(string(rune('a'+i)), max(0, n-len(head)-2)) + `"}`
		f.must(slot, e)
		want.WriteString(wrap(fmt.Sprintf("id: %d\ndata: %s\n\n", i, e)))
	}
	r := rand.New(rand.NewPCG(1, 1))
	half := 20
	if testing.Short() {
		half = 3 // the plain run takes more
	}
	for round := range 2 * half {
		if round == half {
			f.DropFrames(slot) // from here on from the chunks
		}
		st := f.subscribe(slot, true, "")
		got := make([]byte, 0, want.Len())
		for len(got) < want.Len() {
			data, err := st.piece()
			if err != nil || len(data) == 0 || len(data) > frame.MaxPiece {
				t.Fatalf("a piece of %d bytes after %d of %d (%v)", len(data), len(got), want.Len(), err)
			}
			n := len(data)
			if round%half > 0 && r.IntN(2) == 0 { // the first writes all of them whole
				n = 1 + r.IntN(n)
			}
			got = append(got, data[:n]...)
			st.Wrote(n)
			if n < len(data) {
				continue
			}
			unwrap(t, string(got)) // a piece ends with a chunk, though a part of it was written before
			if end := string(got[len(got)-4:]); st.Between() != (end == "\n\n\r\n") {
				t.Fatalf("between frames %v after ...%q", st.Between(), end)
			}
		}
		if string(got) != want.String() {
			t.Fatalf("I6: round %d: the stream differs", round)
		}
		st.Close()
	}
	// Without chunks, from the events alone: the same frames.
	for _, whole := range []bool{true, false} {
		st := f.subscribe(slot, true, "")
		st.Plain()
		var got []byte
		for st.Behind() > 0 {
			data, err := st.piece()
			if err != nil || len(data) == 0 || len(data) > frame.MaxPiece {
				t.Fatalf("a plain piece of %d bytes after %d (%v)", len(data), len(got), err)
			}
			n := len(data)
			if !whole {
				n = 1 + r.IntN(n)
			}
			got = append(got, data[:n]...)
			st.Wrote(n)
		}
		if string(got) != unwrap(t, want.String()) {
			t.Fatal("I6: the plain stream differs")
		}
		st.Close()
	}
}

// The shared frames are the newest 1 MiB. A reader behind them is served from
// the chunks, also evicted ones, and comes back to the shared ones.
func TestFrames_ReaderBehindTheLog(t *testing.T) {
	f := open(t, cow.Options{MemoryBudget: 512 << 20})
	slot := f.slot()
	st := f.subscribe(slot, true, "")
	defer st.Close()
	var want strings.Builder
	pad := strings.Repeat("p", 1000)
	for i := range 4000 {
		e := fmt.Sprintf(`{"event_id":"%d","p":"%s"}`, i, pad)
		f.must(slot, e)
		want.WriteString(wrap(fmt.Sprintf("id: %d\ndata: %s\n\n", i, e)))
		if m := f.Memory(); m.Frames > 1<<20+70<<10 {
			t.Fatalf("%d bytes of frames", m.Frames)
		}
	}
	f.EvictChunks(slot)
	if got := st.take(t, want.Len()); got != want.String() {
		t.Fatal("I6: the stream differs")
	}
	replayed := f.Stats().FramesReplayed.Load()
	if replayed < 2000 || replayed > 3250 {
		t.Errorf("%d frames of 4000 were encoded for the reader behind; the newest 1 MiB is shared", replayed)
	}
	if n := f.Stats().ChunkLoads.Load(); n == 0 {
		t.Error("no evicted chunk was read again")
	}
	f.must(slot, ev("last"))
	if got := st.take(t, 1); got != idFrame("last") {
		t.Errorf("got %q", got)
	}
	if n := f.Stats().FramesReplayed.Load(); n != replayed {
		t.Error("a reader that caught up is not served from the shared frames")
	}
	st.Close()
	if m := f.Memory(); m.Frames != 0 {
		t.Errorf("%d bytes of frames are counted with nobody there", m.Frames)
	}
}

// A piece of the shared frames may span chunks. A reader that has written a part
// of it, into the second chunk, goes on when the frames and all chunks leave
// memory.
func TestFrames_I6_PartialPieceOverEvictedChunks(t *testing.T) {
	f := open(t, cow.Options{})
	slot := f.slot()
	st := f.subscribe(slot, false, "")
	defer st.Close()
	var want strings.Builder
	begins := map[int]bool{} // positions at which a chunk begins
	for i, chunks := 0, 0; chunks < 8; i++ {
		f.must(slot, ev(fmt.Sprint(i)))
		want.WriteString(idFrame(fmt.Sprint(i)))
		if n := slot.Chunks(); n > chunks {
			chunks, begins[i] = n, true
		}
	}
	// The first pieces are short, as the frames came one by one.
	got, spans := "", false
	for !spans {
		data, err := st.piece()
		if err != nil || len(data) == 0 {
			t.Fatalf("no piece spans two chunks: %d bytes, %v", len(data), err)
		}
		pos, _ := st.Cursor()
		for i := 1; i < bytes.Count(data, []byte("id: ")); i++ {
			spans = spans || begins[int(pos)+i]
		}
		n := len(data)
		if spans {
			n--
		}
		got += string(data[:n])
		st.Wrote(n)
	}
	f.DropFrames(slot)
	for loads := 0; len(got) < want.Len(); {
		f.EvictChunks(slot)
		data, err := st.Next(st.buf)
		switch {
		case errors.Is(err, cow.ErrNotResident):
			if loads++; loads > 5*slot.Chunks() {
				pos, off := st.Cursor()
				t.Fatalf("%d loads and no progress; the cursor is at %d, byte %d", loads, pos, off)
			}
			if err := st.Load(); err != nil {
				t.Fatal(err)
			}
		case err != nil || data == nil:
			t.Fatalf("after %d of %d bytes: %v", len(got), want.Len(), err)
		default:
			got += string(data)
			st.Wrote(len(data))
		}
	}
	if got != want.String() {
		t.Error("other bytes than were posted")
	}
}
