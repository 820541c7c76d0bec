package pebblestore

import (
	"bytes"
	"encoding/binary"
	"testing"

	"cowrelay/cow"
	"cowrelay/cow/event"
)

// decodeAll returns the events of a value.
func decodeAll(v []byte) (events []event.Event, err error) {
	r, err := readGroup(v)
	for err == nil && r.more() {
		var e event.Event
		if e, err = r.next(); err == nil {
			events = append(events, e)
		}
	}
	return events, err
}

// FuzzDecode gives every decoder any bytes. None panics; what one accepts is
// as it would be written again, and an event it accepts can be asked for what
// event.Event.ID relies on.
func FuzzDecode(f *testing.F) {
	for _, seed := range []string{"", "\x00", "\x00{}", "\x01{}", "\x08{\"a\":1}", "\x05{\"\":\"x\"}", "\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01{}",
		"\x03\x84\x07", "\x80", "\x00\x00\x00\x00\x00\x00\x00\x01value", "\x80\x80\x80\x80\x80\x80\x80\x80\x80\x02",
		"\x01\x00\x02{}", "\x01\x00\x02{}\x00\x02{}", "\x01\x00\x03{}", "\x01\x00\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01{}", "\x01\x04\x0a{\"a\":\"bc\"}"} {
		f.Add([]byte(seed))
	}
	slot, token := cow.ID{1}, cow.TokenHash{}
	f.Add(appendEvent(nil, scriptEvent(slot, token, 7)))
	f.Add(appendGroup(nil, []event.Event{scriptEvent(slot, token, 1), scriptEvent(slot, token, 2), scriptEvent(slot, token, 3)}))
	f.Fuzz(func(t *testing.T, v []byte) {
		if events, err := decodeAll(v); err == nil {
			if len(events) == 0 {
				t.Fatalf("no events in %q", v)
			}
			for _, e := range events {
				if e.IDOff != 0 && (int(e.IDOff) >= len(e.JSON)-2 || e.JSON[e.IDOff] != '"') {
					t.Errorf("event %q with its id at %d", e.JSON, e.IDOff)
				}
			}
			again, err := decodeAll(appendGroup(nil, events))
			if err != nil || len(again) != len(events) {
				t.Fatalf("%d events come back as %d, %v", len(events), len(again), err)
			}
			for i, e := range events {
				if again[i].IDOff != e.IDOff || !bytes.Equal(again[i].JSON, e.JSON) {
					t.Errorf("event %q at %d comes back as %q at %d", e.JSON, e.IDOff, again[i].JSON, again[i].IDOff)
				}
			}
		}
		if a, b, err := decodePair(v); err == nil {
			if x, y, err := decodePair(appendPair(nil, a, b)); err != nil || x != a || y != b {
				t.Errorf("pair %d, %d comes back as %d, %d, %v", a, b, x, y, err)
			}
		}
		if x, s, err := decodePulled(v); err == nil {
			if y, z, err := decodePulled(appendPulled(nil, x, s)); err != nil || y != x || z != s {
				t.Errorf("time %d comes back as %d, %v", x, y, err)
			}
		}
		if value, version, err := decodeRecord(v); err == nil && (version == 0 || len(value) != len(v)-8) {
			t.Errorf("record %q with version %d from %q", value, version, v)
		}
		if x, err := decodeMeta(v); err == nil {
			if y, err := decodeMeta(binary.AppendUvarint(nil, x)); err != nil || y != x {
				t.Errorf("number %d comes back as %d, %v", x, y, err)
			}
		}
		if seq, totals, err := decodeApplied(v); err == nil {
			if x, y, err := decodeApplied(appendApplied(nil, seq, totals)); err != nil || x != seq || y != totals {
				t.Errorf("%d, %+v comes back as %d, %+v, %v", seq, totals, x, y, err)
			}
		}
		for _, x := range []uint64{uint64(len(v)), 1 << (len(v) % 64)} {
			if got, want := uvarintLen(x), len(binary.AppendUvarint(nil, x)); got != want {
				t.Errorf("uvarintLen(%d) = %d, want %d", x, got, want)
			}
		}
		if len(v) > 0 && v[0] < 0xff {
			end := prefixEnd(v)
			if bytes.Compare(end, v) <= 0 || bytes.HasPrefix(end, v) {
				t.Errorf("prefix %q ends at %q", v, end)
			}
		}
	})
}

// FuzzGroup cuts events of many sizes into values. The lengths are as announced, no
// value of several events is too large, and all events come back.
func FuzzGroup(f *testing.F) {
	f.Add([]byte{1, 0, 200, 40})
	f.Add(bytes.Repeat([]byte{255}, 40))
	f.Add(bytes.Repeat([]byte{1}, 3000))
	f.Fuzz(func(t *testing.T, sizes []byte) {
		var events []event.Event
		for i, n := range sizes[:min(len(sizes), 4000)] {
			size := int(n) * int(n) / 2 // up to 32 KiB, most small
			if i%100 == 99 {
				size *= 8
			}
			json := append(append([]byte(`{"id":"`), bytes.Repeat([]byte{'x'}, size)...), `"}`...)
			events = append(events, event.Event{JSON: json, IDOff: 6 * uint32(n%2)})
		}
		rest := events
		for len(rest) > 0 {
			n, size := groupLen(rest)
			v := appendGroup(nil, rest[:n])
			if n < 1 || len(v) != size || n > 1 && size > groupBytes {
				t.Fatalf("%d events take %d bytes, announced %d", n, len(v), size)
			}
			if n < len(rest) && size+len(rest[n].JSON)+2*binary.MaxVarintLen32+2 < groupBytes {
				t.Fatalf("a value ends at %d bytes, the next event has %d", size, len(rest[n].JSON))
			}
			got, err := decodeAll(v)
			if err != nil || len(got) != n {
				t.Fatalf("%d events come back as %d, %v", n, len(got), err)
			}
			for i := range got {
				if got[i].IDOff != rest[i].IDOff || !bytes.Equal(got[i].JSON, rest[i].JSON) {
					t.Fatalf("event %d of %d bytes comes back otherwise", i, len(rest[i].JSON))
				}
			}
			rest = rest[n:]
		}
	})
}
