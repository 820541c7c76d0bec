package pebblestore

import (
	"bytes"
	"fmt"
	"log/slog"
	"maps"
	"math/rand/v2"
	"strings"
	"sync/atomic"
	"testing"

	"cowrelay/cow"
	"cowrelay/cow/event"
	"cowrelay/cow/replay"
)

// quiet keeps expected complaints out of the test's output.
var quiet = slog.New(slog.DiscardHandler)

// small makes stores that open fast.
func small(o Options) Options {
	o.CacheBytes, o.MemTableBytes = 1<<20, MinMemTableBytes
	return o
}

func mustOpen(tb testing.TB, dir string, o Options) *Store {
	tb.Helper()
	s, err := Open(dir, o)
	if err != nil {
		tb.Fatal(err)
	}
	return s
}

func mustApply(tb testing.TB, s *Store, b *replay.Batch) {
	tb.Helper()
	if err := s.Apply(b); err != nil {
		tb.Fatal(err)
	}
}

// state is all that a store holds, but the events: those follow from slot, token and
// position (see scriptEvent).
type state struct {
	seq     uint64
	slots   map[cow.ID]cow.SlotRecord
	records map[string]record
	totals  cow.Totals
}

type record struct {
	value   string
	version uint64
}

func (s state) clone() state {
	return state{s.seq, maps.Clone(s.slots), maps.Clone(s.records), s.totals}
}

func (s state) equal(o state) bool {
	return s.seq == o.seq && maps.Equal(s.slots, o.slots) && maps.Equal(s.records, o.records) && s.totals == o.totals
}

// scriptEvent is the event at a position. Slots that had the same id before had
// other tokens, so their events are told apart.
func scriptEvent(slot cow.ID, token cow.TokenHash, pos uint64) event.Event {
	n := int(pos%97) * 9
	if pos%41 == 40 {
		n = 20_000 // so that groups are split
	}
	json := fmt.Appendf(nil, `{"slot":"%s","of":"%x","pos":%d,"event_id":"%d","x":"%s"}`, slot, token[:4], pos, pos, strings.Repeat("x", n))
	return event.Event{JSON: json, IDOff: uint32(bytes.Index(json, []byte(`_id":`)) + 5)}
}

// script is a run of batches and the states that follow on each other.
type script struct {
	rng    *rand.Rand
	ids    []cow.ID
	states []state
	// applied is the number of batches that the store has applied; begun of those
	// that it was given.
	applied, begun atomic.Int64
}

func newScript(seed uint64) *script {
	s := &script{rng: rand.New(rand.NewPCG(seed, 7))}
	s.states = append(s.states, state{slots: map[cow.ID]cow.SlotRecord{}, records: map[string]record{}})
	for range 6 {
		var id cow.ID
		for i := range id {
			id[i] = byte(s.rng.Uint32())
		}
		s.ids = append(s.ids, id)
	}
	return s
}

// step gives the store its next batch.
func (s *script) step(st *Store) error {
	b := s.plan()
	s.begun.Add(1)
	err := st.Apply(b)
	if err == nil {
		s.applied.Add(1)
	}
	return err
}

// plan makes the next batch, of what one entry or several do, and the state behind
// it.
func (s *script) plan() *replay.Batch {
	next := s.states[len(s.states)-1].clone()
	b := &replay.Batch{}
	for range 1 + s.rng.IntN(4) {
		next.seq++
		s.entry(&next, b)
	}
	b.Seq, b.Totals = next.seq, next.totals
	s.states = append(s.states, next)
	return b
}

// entry adds what one entry does.
func (s *script) entry(next *state, b *replay.Batch) {
	for _, id := range s.ids {
		r, ok := next.slots[id]
		switch n := s.rng.IntN(20); {
		case !ok && n < 12:
			token := cow.HashToken(fmt.Append(nil, id, next.seq))
			b.Groups = append(b.Groups, replay.Group{Op: cow.OpCreate, Slot: id, Token: token})
			next.slots[id] = cow.SlotRecord{Slot: id, Token: token}
			next.totals.SlotAllocations++
		case ok && n == 0:
			b.Groups = append(b.Groups, replay.Group{Op: cow.OpRemove, Slot: id, Count: r.Count})
			delete(next.slots, id)
		case ok && n == 1:
			r.PulledAt = s.rng.Int64N(1 << 40)
			r.StreamedAt = s.rng.Int64N(2) * s.rng.Int64N(1<<40)
			b.Groups = append(b.Groups, replay.Group{Op: cow.OpTouch, Slot: id, PulledAt: r.PulledAt, StreamedAt: r.StreamedAt})
			next.slots[id] = r
		case ok && n < 4 && r.First < r.Count:
			b.Groups = append(b.Groups, trimOf(&r, 1+s.rng.Uint64N(r.Count-r.First)))
			next.slots[id] = r
		case ok && n < 12:
			b.Groups = append(b.Groups, appendTo(&r, 1+s.rng.IntN(30)))
			next.totals.EventsPosted += uint64(len(b.Groups[len(b.Groups)-1].Events))
			next.slots[id] = r
		}
	}
	for i := range s.rng.IntN(3) {
		key := fmt.Sprint("record-", s.rng.IntN(4))
		if _, ok := next.records[key]; ok && s.rng.IntN(3) == 0 {
			delete(next.records, key)
			b.Records = append(b.Records, replay.Record{Key: key})
			continue
		}
		r := record{fmt.Sprint(s.rng.Uint64()), next.seq<<seqShift | uint64(i+1)}
		next.records[key] = r
		b.Records = append(b.Records, replay.Record{Key: key, Value: []byte(r.value), Version: r.version})
		next.totals = next.totals.Add(cow.Totals{HandleClaims: 1, HandleFirstClaims: uint64(i)})
	}
}

// appendTo makes the append of n script events to a slot, and its record behind
// them.
func appendTo(r *cow.SlotRecord, n int) replay.Group {
	g := replay.Group{Op: cow.OpAppend, Slot: r.Slot, First: r.Count, Oldest: r.First}
	for range n {
		e := scriptEvent(r.Slot, r.Token, r.Count)
		g.Events = append(g.Events, e)
		r.Count++
		r.Bytes += uint64(len(e.JSON))
	}
	g.Count, g.Bytes, r.Version = r.Count, r.Bytes, r.Count
	return g
}

// trimOf makes the trim of the oldest n script events of a slot, and its record behind
// that.
func trimOf(r *cow.SlotRecord, n uint64) replay.Group {
	g := replay.Group{Op: cow.OpTrim, Slot: r.Slot, First: r.First, Oldest: r.First + n, Count: r.Count}
	for ; r.First < g.Oldest; r.First++ {
		g.Gone += uint64(len(scriptEvent(r.Slot, r.Token, r.First).JSON))
	}
	r.Bytes -= g.Gone
	g.Bytes = r.Bytes
	return g
}

// read reads a whole store and checks that each slot's events are gap-free, as they
// were written, and as many as its record says (I2), from wherever a load begins.
func read(s *Store) (got state, err error) {
	v, err := s.View()
	if err != nil {
		return got, err
	}
	defer v.Close()
	got = state{v.Applied(), map[cow.ID]cow.SlotRecord{}, map[string]record{}, cow.Totals{}}
	if got.totals, err = v.Totals(); err != nil {
		return got, err
	}
	if err := v.Slots(func(r cow.SlotRecord) error {
		got.slots[r.Slot] = r
		for _, from := range []uint64{0, r.Count / 3, r.Count/3 + 1, r.Count - min(r.Count, 1), r.Count, r.Count + 1} {
			if err := readSlot(v, r, from); err != nil {
				return err
			}
		}
		return nil
	}); err != nil {
		return got, err
	}
	versions := map[string]uint64{}
	if err := v.Versions(func(key []byte, version uint64) error {
		versions[string(key)] = version
		return nil
	}); err != nil {
		return got, err
	}
	err = v.List("", func(key string, value []byte, version uint64) error {
		got.records[key] = record{string(value), version}
		if versions[key] != version {
			return fmt.Errorf("record %s has version %d in the list, %d among the versions", key, version, versions[key])
		}
		delete(versions, key)
		return nil
	})
	if err == nil && len(versions) > 0 {
		err = fmt.Errorf("records without a value: %v", versions)
	}
	return got, err
}

func readSlot(v replay.View, r cow.SlotRecord, from uint64) error {
	pos := max(from, r.First)
	err := v.Load(r.Slot, from, func(a *cow.Append) error {
		if a.Op == cow.OpTrim && from < r.First && a.First == r.First && pos == r.First {
			return nil
		}
		if a.First != pos || a.Version != pos+uint64(len(a.Events)) || a.Slot != r.Slot || a.Op != cow.OpAppend {
			return fmt.Errorf("slot %s position %d: an append of %d events at %d with version %d", r.Slot, pos, len(a.Events), a.First, a.Version)
		}
		for _, e := range a.Events {
			if want := scriptEvent(r.Slot, r.Token, pos); !bytes.Equal(e.JSON, want.JSON) || e.IDOff != want.IDOff {
				return fmt.Errorf("slot %s position %d: %s", r.Slot, pos, e.JSON)
			}
			pos++
		}
		return nil
	})
	if err == nil && pos != max(r.Count, from) {
		err = fmt.Errorf("slot %s has events up to %d, its record says %d", r.Slot, pos, r.Count)
	}
	return err
}
