package frame

import (
	"bytes"
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"cowrelay/cow/event"
)

// chunkedByHand puts a frame into transfer chunks in the simplest way.
func chunkedByHand(text []byte) (out []byte) {
	for len(text) > 0 {
		n := min(len(text), fullChunk)
		out = fmt.Appendf(out, "%x\r\n%s\r\n", n, text[:n])
		text = text[n:]
	}
	return out
}

func testEvent(n, size int) event.Event {
	return event.Event{JSON: fmt.Appendf(nil, `{"event_id":"e%d","p":"%0*d"}`, n, size, n), IDOff: 12}
}

// Size and Append agree with each other and with the simplest way, in both forms
// and from every offset.
func TestFrame_FormsAgree(t *testing.T) {
	for _, size := range []int{0, 1, 15, 4000, fullChunk - 40, fullChunk, fullChunk + 1, 3*fullChunk + 17} {
		ev := testEvent(1, size)
		fr := Of(ev, 7, EventIDs, nil)
		plain := fmt.Appendf(nil, "id: e1\ndata: %s\n\n", ev.JSON)
		for form, want := range map[Form][]byte{Plain: plain, Chunked: chunkedByHand(plain)} {
			if got := fr.Size(form); got != len(want) {
				t.Errorf("%d bytes, form %v: Size is %d, want %d", size, form, got, len(want))
			}
			for off := 0; off < len(want); off += 1 + len(want)/50 {
				if got := fr.Append(make([]byte, 0, len(want)), off, form); !bytes.Equal(got, want[off:]) {
					t.Errorf("%d bytes, form %v, from %d on: %d bytes that differ", size, form, off, len(got))
				}
			}
		}
	}
}

// The id line of a position is there whatever the event's own id is.
func TestFrame_Positions(t *testing.T) {
	var room [event.MaxIDBytes]byte
	for _, json := range []string{`{"a":1}`, `{"event_id":"x"}`, `{"event_id":"\u0000"}`} {
		for pos, line := range map[uint64]string{0: "0", 9: "9", 10: "10", math.MaxUint64: "18446744073709551615"} {
			fr := Of(event.Event{JSON: []byte(json)}, pos, Positions, room[:0])
			want := "id: " + line + "\ndata: " + json + "\n\n"
			if got := fr.Append(make([]byte, 0, 200), 0, Plain); string(got) != want || fr.Size(Plain) != len(want) {
				t.Errorf("%q of %d bytes, want %q", got, fr.Size(Plain), want)
			}
		}
	}
}

// A log gives back what went in, whatever the pieces; what an older view shows stays
// as it is, and the log keeps to its size.
func TestLog_EqualsModel(t *testing.T) {
	t.Run("event ids", func(t *testing.T) { logEqualsModel(t, EventIDs) })
	t.Run("positions", func(t *testing.T) { logEqualsModel(t, Positions) })
}

func logEqualsModel(t *testing.T, ids IDs) {
	rng := rand.New(rand.NewPCG(1, 2))
	var log *Log
	var model [][]byte
	for len(model) < 3000 {
		events := make([]event.Event, 1+rng.IntN(5))
		for i := range events {
			size := rng.IntN(600)
			if rng.IntN(50) == 0 {
				size = rng.IntN(150_000)
			}
			events[i] = testEvent(len(model)+i, size)
		}
		older, end := log, uint64(len(model))
		log = log.Append(ids, end, events)
		for _, ev := range events {
			fr := Of(ev, uint64(len(model)), ids, nil)
			model = append(model, fr.Append(make([]byte, 0, fr.Size(Chunked)), 0, Chunked))
		}
		if older.Has(end) || !log.Has(end) || log.Has(uint64(len(model))) {
			t.Fatalf("at %d: the logs don't know what they hold", end)
		}
		if log.Bytes() > logBytes+400_000 {
			t.Fatalf("at %d: the log takes %d bytes", end, log.Bytes())
		}
	}
	first := uint64(len(model) - 1)
	for log.Has(first - 1) {
		first--
	}
	for range 200 {
		pos, off := first+rng.Uint64N(uint64(len(model))-first), 0
		want := bytes.Join(model[pos:], nil)
		for sent := 0; log.Has(pos); {
			data, next, nextOff := log.Piece(pos, off, uint64(len(model)))
			if len(data) == 0 || len(data) > MaxPiece || !bytes.Equal(data, want[sent:sent+len(data)]) {
				t.Fatalf("a piece of %d bytes at %d+%d differs", len(data), pos, off)
			}
			if rng.IntN(3) == 0 { // a part of it was written
				n := rng.IntN(len(data)) + 1
				sent += n
				pos, off = log.Skip(pos, off+n)
				continue
			}
			sent += len(data)
			pos, off = log.Skip(next, nextOff)
			if !log.Has(pos) && sent != len(want) {
				t.Fatalf("%d bytes of %d", sent, len(want))
			}
		}
	}
}

// A long frame in the middle of short ones stands alone in its segment, whatever
// the allocator gave: a piece never goes on behind its last chunk.
func TestLog_LongFrameStandsAlone(t *testing.T) {
	for size := MaxPiece - 200; size < MaxPiece+9000; size += 97 {
		log := (*Log)(nil).Append(EventIDs, 0, []event.Event{testEvent(0, size), testEvent(1, 10)})
		log = log.Append(EventIDs, 2, []event.Event{testEvent(2, size)}).Append(EventIDs, 3, []event.Event{testEvent(3, 40)})
		var got, want []byte
		for n, size := range []int{size, 10, size, 40} {
			fr := Of(testEvent(n, size), 0, EventIDs, nil)
			want = append(want, fr.Append(make([]byte, 0, fr.Size(Chunked)), 0, Chunked)...)
		}
		for pos, off := uint64(0), 0; log.Has(pos); pos, off = log.Skip(pos, off) {
			var data []byte
			data, pos, off = log.Piece(pos, off, 4)
			if len(data) == 0 || len(data) > MaxPiece {
				t.Fatalf("%d bytes: a piece of %d", size, len(data))
			}
			got = append(got, data...)
		}
		if !bytes.Equal(got, want) {
			t.Fatalf("%d bytes: the pieces are not the frames", size)
		}
	}
}
