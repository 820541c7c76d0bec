package pebblelog

import (
	"bytes"
	"encoding/binary"
	"testing"

	"cowrelay/cow"
)

// FuzzDecode gives every decoder any bytes. None panics; what one accepts is
// as it would be written again, and an event it accepts can be asked for what
// event.Event.ID relies on.
func FuzzDecode(f *testing.F) {
	for _, seed := range []string{"", "\x00", "\x00{}", "\x01{}", "\x08{\"a\":1}", "\x05{\"\":\"x\"}", "\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01{}",
		"\x03\x84\x07", "\x80", "\x00\x00\x00\x00\x00\x00\x00\x01value", "\x80\x80\x80\x80\x80\x80\x80\x80\x80\x02"} {
		f.Add([]byte(seed))
	}
	f.Add(appendEvent(nil, scriptEvent(cow.ID{1}, 7)))
	f.Fuzz(func(t *testing.T, v []byte) {
		if e, err := decodeEvent(v); err == nil {
			if e.IDOff != 0 && (int(e.IDOff) >= len(e.JSON)-2 || e.JSON[e.IDOff] != '"') {
				t.Errorf("event %q with its id at %d", e.JSON, e.IDOff)
			}
			again, err := decodeEvent(appendEvent(nil, e))
			if err != nil || again.IDOff != e.IDOff || !bytes.Equal(again.JSON, e.JSON) {
				t.Errorf("event %q at %d comes back as %q at %d, %v", e.JSON, e.IDOff, again.JSON, again.IDOff, err)
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
