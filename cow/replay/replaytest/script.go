package replaytest

import (
	"bytes"
	"cmp"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"

	"cowrelay/cow"
	"cowrelay/cow/event"
	"cowrelay/cow/replay"
)

// Script makes random batches that fit to each other. Those of one seed are the same
// each time. NewScript makes it.
type Script struct {
	rng     *rand.Rand
	seq     uint64
	totals  cow.Totals
	slots   []cow.SlotRecord
	records map[string]uint64
	sizes   map[cow.ID][]int // of each event that a slot has had
}

// NewScript begins behind entry base.
func NewScript(seed, base uint64) *Script {
	return &Script{rng: rand.New(rand.NewPCG(seed, 0)), seq: base, records: make(map[string]uint64), sizes: make(map[cow.ID][]int)}
}

// Event makes the event of a position, of about size bytes. Some have no id.
func Event(slot cow.ID, pos uint64, size int) event.Event {
	json := make([]byte, 0, size+80)
	json = fmt.Appendf(json, `{"slot":"%x","n":%d,"pad":"`, slot[:4], pos)
	json = append(json, strings.Repeat("x", max(0, size-60))...)
	if pos%5 == 4 {
		return event.Event{JSON: append(json, `"}`...)}
	}
	json = fmt.Appendf(json, `","event_id":"id-%d"}`, pos)
	return event.Event{JSON: json, IDOff: uint32(bytes.LastIndexByte(json, ':') + 1)}
}

// Batch makes the next batch. It has up to n groups and records.
func (s *Script) Batch(n int) *replay.Batch {
	s.seq += 1 + s.rng.Uint64N(3)
	b := &replay.Batch{Seq: s.seq}
	for range 1 + s.rng.IntN(n) {
		k := s.rng.IntN(100)
		if len(s.slots) == 0 {
			k = 0
		}
		switch {
		case k < 8:
			b.Groups = append(b.Groups, s.create())
		case k < 10:
			b.Groups = append(b.Groups, s.remove(s.rng.IntN(len(s.slots))))
		case k < 15:
			r := &s.slots[s.rng.IntN(len(s.slots))]
			r.PulledAt, r.StreamedAt = s.rng.Int64N(1<<40), s.rng.Int64N(1<<40)
			b.Groups = append(b.Groups, replay.Group{Op: cow.OpTouch, Slot: r.Slot, PulledAt: r.PulledAt, StreamedAt: r.StreamedAt})
		case k < 85:
			b.Groups = append(b.Groups, s.append(s.rng.IntN(len(s.slots)), 1+s.rng.IntN(4), 1<<s.rng.IntN(12)))
		case k < 86:
			b.Groups = append(b.Groups, s.append(s.rng.IntN(len(s.slots)), 300, 80))
		case k < 91:
			if i := s.rng.IntN(len(s.slots)); s.slots[i].First < s.slots[i].Count {
				b.Groups = append(b.Groups, s.trim(i, 1+s.rng.Uint64N(s.slots[i].Count-s.slots[i].First)))
			}
		case k < 92:
			b.Groups = append(b.Groups, s.append(s.rng.IntN(len(s.slots)), 1, 100_000))
		default:
			b.Records = append(b.Records, s.record(uint64(len(b.Records))))
		}
	}
	b.Totals = s.totals
	return b
}

func (s *Script) create() replay.Group {
	var id cow.ID
	for i := range id {
		id[i] = byte(s.rng.Uint32())
	}
	g := replay.Group{Op: cow.OpCreate, Slot: id, Token: cow.HashToken(id[:])}
	if id[0]%4 != 0 { // slots from before there were owners have none
		g.Owner = cow.HashToken(id[1:])
	}
	s.slots = append(s.slots, cow.SlotRecord{Slot: id, Token: g.Token, Owner: g.Owner})
	s.totals.SlotAllocations++
	return g
}

func (s *Script) remove(i int) replay.Group {
	r := s.slots[i]
	s.slots = slices.Delete(s.slots, i, i+1)
	return replay.Group{Op: cow.OpRemove, Slot: r.Slot, Count: r.Count}
}

// trim has the oldest n events of a slot leave.
func (s *Script) trim(i int, n uint64) replay.Group {
	r := &s.slots[i]
	g := replay.Group{Op: cow.OpTrim, Slot: r.Slot, First: r.First, Oldest: r.First + n, Count: r.Count}
	for ; r.First < g.Oldest; r.First++ {
		g.Gone += uint64(s.sizes[r.Slot][r.First])
	}
	r.Bytes -= g.Gone
	g.Bytes = r.Bytes
	return g
}

func (s *Script) append(i, n, size int) replay.Group {
	r := &s.slots[i]
	g := replay.Group{Op: cow.OpAppend, Slot: r.Slot, First: r.Count, Oldest: r.First}
	for range n {
		e := Event(r.Slot, r.Count, size)
		g.Events = append(g.Events, e)
		s.sizes[r.Slot] = append(s.sizes[r.Slot][:r.Count], len(e.JSON))
		r.Count, r.Bytes = r.Count+1, r.Bytes+uint64(len(e.JSON))
	}
	g.Count, g.Bytes = r.Count, r.Bytes
	s.totals.EventsPosted += uint64(n)
	return g
}

func (s *Script) record(i uint64) replay.Record {
	key := fmt.Sprintf("k%d/%d", s.rng.IntN(3), s.rng.IntN(20))
	if s.records[key] != 0 && s.rng.IntN(4) == 0 {
		delete(s.records, key)
		return replay.Record{Key: key}
	}
	s.records[key] = s.seq<<12 | (i + 1)
	s.totals.HandleClaims++
	return replay.Record{Key: key, Value: []byte(strings.Repeat(key, s.rng.IntN(30))), Version: s.records[key]}
}

// Compare says how two stores differ, or nil.
func Compare(got, want replay.Store) error {
	g, err := got.View()
	if err != nil {
		return err
	}
	defer g.Close()
	w, err := want.View()
	if err != nil {
		return err
	}
	defer w.Close()
	if err := CompareViews(g, w); err != nil {
		return err
	}
	return w.List("", func(key string, value []byte, version uint64) error {
		v, ver, err := got.Value(key)
		if err != nil || ver != version || !bytes.Equal(v, value) {
			return fmt.Errorf("record %q: %q, version %d, %v; want %q, version %d", key, v, ver, err, value, version)
		}
		return nil
	})
}

// CompareViews says how two views differ, or nil.
func CompareViews(got, want replay.View) error {
	if got.Applied() != want.Applied() {
		return fmt.Errorf("applied up to %d, want %d", got.Applied(), want.Applied())
	}
	gt, err := got.Totals()
	if wt, _ := want.Totals(); err != nil || gt != wt {
		return fmt.Errorf("totals %+v, %v; want %+v", gt, err, wt)
	}
	gs, err := slotsOf(got)
	if err != nil {
		return err
	}
	ws, err := slotsOf(want)
	if err != nil {
		return err
	}
	if !slices.Equal(gs, ws) {
		return fmt.Errorf("slots\n%+v\nwant\n%+v", gs, ws)
	}
	for _, r := range ws {
		for _, from := range []uint64{0, 1, r.First, r.First + 1, r.Count / 3, r.Count / 2, r.Count - min(1, r.Count), r.Count, r.Count + 1, 1 << 50} {
			if err := compareLoad(got, want, r.Slot, from); err != nil {
				return fmt.Errorf("slot %s from %d: %w", r.Slot, from, err)
			}
		}
	}
	if err := compareMembers(got, want); err != nil {
		return err
	}
	grec, gver, err := recordsOf(got)
	if err != nil {
		return err
	}
	wrec, wver, err := recordsOf(want)
	if err != nil {
		return err
	}
	if !slices.Equal(grec, wrec) {
		return fmt.Errorf("records\n%.2000q\nwant\n%.2000q", grec, wrec)
	}
	if !maps.Equal(gver, wver) {
		return fmt.Errorf("versions %v, want %v", gver, wver)
	}
	return nil
}

func compareMembers(got, want replay.View) error {
	g, err := got.Member()
	if err != nil {
		return err
	}
	w, err := want.Member()
	if err != nil {
		return err
	}
	for _, m := range []*replay.Member{&g, &w} {
		slices.SortFunc(m.Producers, func(a, b replay.Producer) int { return cmp.Compare(a.ID, b.ID) })
	}
	if g.Log != w.Log || g.Base != w.Base || g.Digest != w.Digest || !slices.EqualFunc(g.Producers, w.Producers, sameProducer) {
		return fmt.Errorf("member %+v, want %+v", g, w)
	}
	return nil
}

func sameProducer(a, b replay.Producer) bool {
	return a.ID == b.ID && a.Number == b.Number && a.Seq == b.Seq && bytes.Equal(a.Part, b.Part)
}

func slotsOf(v replay.View) (list []cow.SlotRecord, err error) {
	err = v.Slots(func(r cow.SlotRecord) error {
		if n := len(list); n > 0 && bytes.Compare(list[n-1].Slot[:], r.Slot[:]) >= 0 {
			return fmt.Errorf("slot %s comes behind slot %s", r.Slot, list[n-1].Slot)
		}
		list = append(list, r)
		return nil
	})
	return list, err
}

// recordsOf lists the records, one string for each, and the versions.
func recordsOf(v replay.View) (list []string, versions map[string]uint64, err error) {
	last := ""
	err = v.List("", func(key string, value []byte, version uint64) error {
		if len(list) > 0 && key <= last {
			return fmt.Errorf("record %q comes behind %q", key, last)
		}
		last = key
		list = append(list, fmt.Sprintf("%q %q %d", key, value, version))
		clear(value)
		return nil
	})
	if err != nil {
		return nil, nil, err
	}
	versions = make(map[string]uint64)
	err = v.Versions(func(key []byte, version uint64) error { versions[string(key)] = version; return nil })
	return list, versions, err
}

func compareLoad(got, want replay.View, slot cow.ID, from uint64) error {
	g, err := eventsOf(got, slot, from)
	if err != nil {
		return err
	}
	w, err := eventsOf(want, slot, from)
	if err != nil {
		return err
	}
	if len(g) != len(w) {
		return fmt.Errorf("%d events, want %d", len(g), len(w))
	}
	for i := range w {
		if g[i].IDOff != w[i].IDOff || !bytes.Equal(g[i].JSON, w[i].JSON) {
			return fmt.Errorf("position %d: %.200s (id at %d), want %.200s (id at %d)", from+uint64(i), g[i].JSON, g[i].IDOff, w[i].JSON, w[i].IDOff)
		}
	}
	return nil
}

// eventsOf loads a slot from a position and checks that its appends follow each other.
func eventsOf(v interface {
	Load(cow.ID, uint64, func(*cow.Append) error) error
}, slot cow.ID, from uint64) (list []event.Event, err error) {
	next := from
	err = v.Load(slot, from, func(a *cow.Append) error {
		if a.Op == cow.OpTrim && a.Slot == slot && a.First > next && len(list) == 0 {
			next = a.First
			return nil
		}
		if a.Op != cow.OpAppend || a.Slot != slot || a.First != next || len(a.Events) == 0 || a.Version != next+uint64(len(a.Events)) {
			return fmt.Errorf("an append of %d events of slot %s at position %d with version %d, want position %d", len(a.Events), a.Slot, a.First, a.Version, next)
		}
		for _, e := range a.Events {
			list = append(list, event.Event{JSON: bytes.Clone(e.JSON), IDOff: e.IDOff})
			next++
		}
		return nil
	})
	return list, err
}
