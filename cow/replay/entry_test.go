package replay

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"cowrelay/cow"
	"cowrelay/cow/event"
)

// trimFormat is the format that trims came with.
const trimFormat = 2

// sample makes an entry with an op of each kind.
func sample(h header, slot cow.ID, version, size uint64) []byte {
	json := []byte(`{"event_id":"a"}`)
	g := cow.Group{
		Op: cow.OpAppend, Slot: slot, Version: version, First: version, Count: version + 2, Mark: 7,
		Bytes: size + 2*uint64(len(json)), Events: []event.Event{{JSON: json, IDOff: 12}, {JSON: json}},
	}
	h.format = trimFormat
	b := appendHead(nil, h)
	b = appendGroup(b, &cow.Group{Op: cow.OpCreate, Slot: slot, Token: cow.TokenHash{1}})
	b = appendGroup(b, &g)
	b = appendGroup(b, &cow.Group{Op: cow.OpTouch, Slot: slot, PulledAt: 5, StreamedAt: -6})
	b = appendPut(b, "k", []byte("value"), 0, cow.Totals{HandleClaims: 1})
	b = appendDelete(b, "k", 4) // not its version
	b = appendGroup(b, &cow.Group{Op: cow.OpRemove, Slot: slot, Version: version + 1})
	for range 2 { // the second was decided on what is no more
		b = appendGroup(b, &cow.Group{Op: cow.OpTrim, Slot: slot, First: 0, Oldest: version + 1, Gone: size + uint64(len(json))})
	}
	b = appendCount(b, cow.Totals{PairOpens: 3})
	return appendChecksum(b, 0)
}

func TestEntry_RoundTrip(t *testing.T) {
	slot := cow.NewID()
	entry := sample(header{producer: 9, number: 1, applied: 4, digest: 5}, slot, 0, 0)
	h, _, err := openEntry(entry)
	if err != nil || h != (header{trimFormat, 9, 1, 4, 5}) {
		t.Fatalf("header %+v, %v", h, err)
	}
	s := newState()
	var fx effects
	if _, _, err := s.replay(1, entry, &fx); err != nil {
		t.Fatal(err)
	}
	want := []result{
		{outcome: cow.Stored}, {outcome: cow.Stored, version: 2}, {outcome: cow.Stored, version: 2},
		{outcome: cow.Stored, version: 1<<versionBits | 1}, {outcome: cow.Conflict}, {outcome: cow.Conflict},
		{outcome: cow.Stored, version: 2}, {outcome: cow.Conflict},
	}
	if !slices.Equal(s.results, want) {
		t.Errorf("results %+v, want %+v", s.results, want)
	}
	if s.totals != (cow.Totals{SlotAllocations: 1, EventsPosted: 2, HandleClaims: 1, PairOpens: 3}) {
		t.Errorf("totals %+v", s.totals)
	}
	if len(fx.groups) != 4 || fx.groups[0].Token != (cow.TokenHash{1}) || fx.groups[2].PulledAt != 5 || fx.groups[2].StreamedAt != -6 {
		t.Errorf("groups %+v", fx.groups)
	}
	g := fx.groups[1]
	if g.First != 0 || g.Count != 2 || g.Bytes != 32 || len(g.Events) != 2 || g.Events[0].IDOff != 12 || string(g.Events[1].JSON) != `{"event_id":"a"}` {
		t.Errorf("append %+v", g)
	}
	if g := fx.groups[3]; g.Op != cow.OpTrim || g.First != 0 || g.Oldest != 1 || g.Count != 2 || g.Bytes != 16 || g.Gone != 16 {
		t.Errorf("trim %+v", g)
	}
	if len(fx.records) != 1 || fx.records[0].Key != "k" || string(fx.records[0].Value) != "value" || fx.records[0].Version != 1<<versionBits|1 {
		t.Errorf("records %+v", fx.records)
	}
}

// TestEntry_Damage: one flipped bit anywhere, or a cut anywhere, is found.
func TestEntry_Damage(t *testing.T) {
	entry := sample(header{producer: 1, number: 1}, cow.NewID(), 0, 0)
	for i := range 8 * len(entry) {
		bad := bytes.Clone(entry)
		bad[i/8] ^= 1 << (i % 8)
		if _, _, err := openEntry(bad); err == nil {
			t.Fatalf("bit %d of byte %d is flipped, and the entry passes", i%8, i/8)
		}
	}
	for n := range entry {
		if _, _, err := openEntry(entry[:n]); err == nil {
			t.Fatalf("the first %d bytes pass", n)
		}
	}
	newer := bytes.Clone(entry)
	newer[0]++
	newer = appendChecksum(newer[:len(newer)-entryChecksum], 0)
	if _, _, err := openEntry(newer); err == nil || !strings.Contains(err.Error(), "newer") {
		t.Errorf("an entry of a newer format: %v", err)
	}
}

// TestState_Order: a repeat does not count, a gap is an error, and so is a gap in the
// log itself.
func TestState_Order(t *testing.T) {
	entry := func(producer, number uint64) []byte {
		return appendChecksum(appendCount(appendHead(nil, header{producer: producer, number: number}), cow.Totals{PairOpens: 1}), 0)
	}
	s := newState()
	var fx effects
	seq := uint64(0)
	for i, step := range []struct{ producer, number, opens uint64 }{
		{1, 1, 1}, {1, 2, 2}, {2, 40, 3}, {1, 2, 3}, {1, 1, 3}, {1, 3, 4}, {2, 41, 5}, {2, 40, 5},
	} {
		seq++
		if _, _, err := s.replay(seq, entry(step.producer, step.number), &fx); err != nil || s.totals.PairOpens != step.opens {
			t.Fatalf("step %d: %d counted, %v; want %d", i, s.totals.PairOpens, err, step.opens)
		}
	}
	for name, try := range map[string]func(*State) error{
		"gap of a producer": func(s *State) error { _, _, err := s.replay(seq+1, entry(1, 5), &fx); return err },
		"gap of the log":    func(s *State) error { _, _, err := s.replay(seq+2, entry(1, 4), &fx); return err },
		"log goes back":     func(s *State) error { _, _, err := s.replay(seq, entry(1, 4), &fx); return err },
	} {
		s := &State{seq: seq, producers: map[uint64]produced{1: {number: 3}}}
		if err := try(s); err == nil || !strings.Contains(err.Error(), "missing") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestState_TooManyRecords: the versions of an entry's records have room for so many.
func TestState_TooManyRecords(t *testing.T) {
	for n, ok := range map[int]bool{maxRecords: true, maxRecords + 1: false} {
		b := appendHead(nil, header{producer: 1, number: 1})
		for range n {
			b = appendDelete(b, "k", 1)
		}
		s := newState()
		if _, _, err := s.replay(1, appendChecksum(b, 0), new(effects)); (err == nil) != ok {
			t.Errorf("an entry with %d records: %v", n, err)
		}
	}
}

// TestEntry_Trims: a trim and appends that were decided beside it all hold. A trim of
// what is not there is refused, and does nothing.
func TestEntry_Trims(t *testing.T) {
	slot, json := cow.NewID(), []byte(`{"n":1}`)
	size := uint64(len(json))
	appendAt := func(version, bytes uint64) *cow.Group {
		return &cow.Group{Op: cow.OpAppend, Slot: slot, Version: version, Bytes: bytes, Events: []event.Event{{JSON: json}}}
	}
	s, seq := newState(), uint64(0)
	for _, c := range []struct {
		g    *cow.Group
		want cow.Outcome
		head counts
	}{
		{&cow.Group{Op: cow.OpCreate, Slot: slot}, cow.Stored, counts{}},
		{&cow.Group{Op: cow.OpTrim, Slot: slot, Oldest: 1, Gone: size}, cow.Refused, counts{}},
		{appendAt(0, size), cow.Stored, counts{0, 1, 7}},
		{appendAt(1, 2*size), cow.Stored, counts{0, 2, 14}},
		{appendAt(2, 2*size), cow.Refused, counts{0, 2, 14}},
		{&cow.Group{Op: cow.OpTrim, Slot: slot, Oldest: 3, Gone: 3 * size}, cow.Refused, counts{0, 2, 14}},
		{&cow.Group{Op: cow.OpTrim, Slot: slot, Oldest: 1, Gone: 2 * size}, cow.Refused, counts{0, 2, 14}},
		{&cow.Group{Op: cow.OpTrim, Slot: slot, Oldest: 2, Gone: size}, cow.Refused, counts{0, 2, 14}},
		{&cow.Group{Op: cow.OpTrim, Slot: slot, Oldest: 1, Gone: size}, cow.Stored, counts{1, 2, 7}},
		{&cow.Group{Op: cow.OpTrim, Slot: slot, Oldest: 1, Gone: size}, cow.Conflict, counts{1, 2, 7}},
		{appendAt(2, 3*size), cow.Stored, counts{1, 3, 14}}, // decided before the trim
		{appendAt(3, 2*size), cow.Refused, counts{1, 3, 14}},
		{&cow.Group{Op: cow.OpTrim, Slot: slot, First: 1, Oldest: 3, Gone: 2 * size}, cow.Stored, counts{3, 3, 0}},
		{appendAt(3, size), cow.Stored, counts{3, 4, 7}},
	} {
		seq++
		entry := appendChecksum(appendGroup(appendHead(nil, header{producer: 1, number: seq}), c.g), 0)
		if _, _, err := s.replay(seq, entry, new(effects)); err != nil {
			t.Fatal(err)
		}
		if got := s.results[0].outcome; got != c.want || s.heads[slot] != c.head {
			t.Errorf("op %d: outcome %d, counts %+v; want %d and %+v", seq, got, s.heads[slot], c.want, c.head)
		}
	}
}

// FuzzEntry: whatever an entry holds, reading it does not panic, what held fits to
// itself, and an error is one that says so. The checksum is made right, or nearly
// nothing would get behind it.
func FuzzEntry(f *testing.F) {
	slot := cow.ID{1, 2, 3}
	good := sample(header{producer: 1, number: 1}, slot, 0, 0)
	f.Add(good[:len(good)-entryChecksum])
	f.Add(good[:entryHead])
	f.Add(append(good[:entryHead:entryHead], opAppend))
	many := append(good[:entryHead:entryHead], opAppend)
	many = append(many, make([]byte, 26)...)
	f.Add(binary.AppendUvarint(many, 1<<62))
	f.Add(appendGenesis(good[:entryHead:entryHead], genesis{base: 1, digest: 5}))
	f.Add(append(append(good[:entryHead:entryHead], opPart), good[entryHead:len(good)-entryChecksum-30]...))
	f.Fuzz(func(t *testing.T, b []byte) {
		b = bytes.Clone(b)
		if len(b) > 0 {
			b[0] = trimFormat
		}
		entry := binary.BigEndian.AppendUint32(b, crc32.Checksum(b, castagnoli))
		state := func() *State {
			s := newState()
			s.heads[slot] = counts{0, 2, 40}
			s.versions[recordIDOf("k")] = 4
			return s
		}
		var fx effects
		_, _, err := state().replay(1, entry, &fx)
		fuzzShared(t, state, entry)
		if err != nil {
			if !strings.HasPrefix(err.Error(), "replay: ") {
				t.Fatalf("error %v", err)
			}
			return
		}
		var room int
		for _, g := range fx.groups {
			room += int(groupBytes) + len(g.Events)*int(eventBytes)
			if g.Op == cow.OpTrim && (g.Oldest <= g.First || g.Oldest > g.Count || g.Bytes+g.Gone > cow.MaxSlotBytes) {
				t.Fatalf("trim %+v", g)
			}
			if g.Op != cow.OpAppend {
				continue
			}
			n := uint64(0)
			for _, e := range g.Events {
				n += uint64(len(e.JSON))
				if len(e.JSON) < minEvent || int(e.IDOff) >= len(e.JSON) {
					t.Fatalf("event of %d bytes with its id at %d", len(e.JSON), e.IDOff)
				}
			}
			if g.Count != g.First+uint64(len(g.Events)) || g.Bytes < n || g.Bytes > cow.MaxSlotBytes {
				t.Fatalf("append of %d events and %d bytes at %d: %d and %d", len(g.Events), n, g.First, g.Count, g.Bytes)
			}
		}
		if room > 20*len(entry) {
			t.Fatalf("an entry of %d bytes takes %d in memory", len(entry), room)
		}
	})
}

// fuzzShared replays an entry as one of a shared log. What skim lets pass can be read,
// and does in two parts what it does in one.
func fuzzShared(t *testing.T, fresh func() *State, entry []byte) {
	t.Helper()
	shared := func(seq uint64) *State {
		s := fresh()
		s.seq, s.chain = seq, new(chain)
		return s
	}
	s, whole := shared(7), new(effects)
	h, counts, err := s.replay(8, entry, whole)
	if err == nil && counts != (h.number == 1) {
		t.Fatalf("number %d of a producer that is not known counts: %v", h.number, counts)
	}
	if len(entry) < entryHead+entryChecksum {
		return
	}
	ops := entry[entryHead : len(entry)-entryChecksum]
	if len(ops) < 2 || ops[0] == opPart || h.applied != 0 || !counts && err == nil {
		return
	}
	if readable := skim(ops); (readable == nil) != (err == nil) {
		t.Fatalf("skim says %v, replay says %v", readable, err)
	}
	if err != nil {
		return
	}
	again, cut := shared(6), 1+len(ops)/2
	var fx effects
	for i, o := range [][]byte{append([]byte{opPart}, ops[:cut]...), ops[cut:]} {
		b := append(appendHead(nil, header{producer: 1, number: uint64(i) + 1}), o...)
		if _, counts, err := again.replay(7+uint64(i), appendChecksum(b, 0), &fx); err != nil || !counts {
			t.Fatalf("part %d counts: %v, %v", i, counts, err)
		}
	}
	if fmt.Sprint(fx.groups, fx.records) != fmt.Sprint(whole.groups, whole.records) || again.totals != s.totals {
		t.Fatalf("in two parts it does\n%v\nand in one\n%v", fx, whole)
	}
}

// TestEntry_Sizes: an op never takes more than its size says, or a buffer would move.
func TestEntry_Sizes(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	number := func() uint64 { return r.Uint64() >> r.IntN(64) }
	for range 10_000 {
		g := cow.Group{Op: cow.Op(1 + r.IntN(5)), Version: number(), First: number(), Oldest: number(), Gone: number(), Bytes: number(), Mark: number(), PulledAt: int64(number()), StreamedAt: -int64(number())}
		for range r.IntN(4) {
			g.Events = append(g.Events, event.Event{JSON: make([]byte, r.IntN(300)), IDOff: r.Uint32() >> r.IntN(32)})
		}
		if n, most := len(appendGroup(nil, &g)), groupSize(&g); n > most {
			t.Fatalf("op %d takes %d bytes, at most %d were expected", g.Op, n, most)
		}
		key, value := string(make([]byte, r.IntN(200))), make([]byte, r.IntN(200))
		count := cow.Totals{SlotAllocations: number(), EventsPosted: number(), HandleClaims: number(), HandleFirstClaims: number(), PairOpens: number()}
		if n, most := len(appendPut(nil, key, value, number(), count)), recordSize(key, value); n > most {
			t.Fatalf("a put takes %d bytes, at most %d were expected", n, most)
		}
		if n, most := len(appendDelete(nil, key, number())), recordSize(key, nil); n > most {
			t.Fatalf("a delete takes %d bytes, at most %d were expected", n, most)
		}
	}
}
