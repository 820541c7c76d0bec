package replaytest

import (
	"context"
	"encoding/binary"
	"errors"
	"maps"
	"time"

	"cowrelay/cow"
)

// settle waits until all relays have applied the whole log, and stops them.
func (r *fleetRun) settle() {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	for still := 0; still < 5; {
		for _, m := range r.relays {
			if err := m.j.Barrier(ctx); err != nil {
				r.Fatalf("relay %d: barrier at the end: %v; %+v", m.name, err, m.j.Stats())
			}
		}
		// What was sent more than once comes late.
		for still = 0; still < 5; still++ {
			time.Sleep(100 * time.Millisecond)
			if !r.level() {
				break
			}
		}
	}
	for _, m := range r.relays {
		m.checkMirror()
	}
	for _, m := range r.relays {
		if err := m.j.Close(); err != nil {
			r.Fatalf("relay %d: close: %v", m.name, err)
		}
	}
}

// level says whether all relays stand at the same entry and have nothing pending.
func (r *fleetRun) level() bool {
	applied := r.relays[0].j.Stats().Health.Applied
	for _, m := range r.relays {
		if s := m.j.Stats(); s.Health.Applied != applied || s.Pending != 0 {
			return false
		}
	}
	return true
}

// checkMirror compares what the feed and the own acts made of a start's Slots with what
// Slots gives now.
func (m *fleetRelay) checkMirror() {
	now, first := make(map[cow.ID]uint64), make(map[cow.ID]uint64)
	if err := m.j.Slots(func(s cow.SlotRecord) error { now[s.Slot], first[s.Slot] = s.Count, s.First; return nil }); err != nil {
		panic(err)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	for id, pos := range first {
		if m.oldest[id] != pos {
			m.r.Errorf("relay %d: slot %s begins at %d, the feed and its own acts say %d", m.name, id, pos, m.oldest[id])
		}
	}
	if !maps.Equal(now, m.mirror) {
		m.r.Errorf("relay %d: the feed and its own acts make %d slots, there are %d:\n%v\n%v", m.name, len(m.mirror), len(now), m.mirror, now)
	}
}

// check looks at what is left.
func (r *fleetRun) check() {
	r.Helper()
	first := r.relays[0].again(false)
	defer first.Close()
	for _, m := range r.relays[1:] {
		other := m.again(false)
		if err := errors.Join(Compare(other, first), other.Close()); err != nil {
			r.Fatalf("relays 0 and %d differ: %v", m.name, err)
		}
	}
	v, err := first.View()
	if err != nil {
		r.Fatal(err)
	}
	defer func() { v.Close() }()
	seen := make(map[string]place)
	begin := make(map[cow.ID]uint64)
	slots, err := slotsOf(v)
	if err != nil {
		r.Fatal(err)
	}
	events := 0
	for _, s := range slots {
		begin[s.Slot] = s.First
		if s.First < r.left[s.Slot] || s.First > 0 && !r.asked[s.Slot][s.First] {
			r.Errorf("slot %s begins at %d; a trim to %d was acknowledged, of %v", s.Slot, s.First, r.left[s.Slot], r.asked[s.Slot])
		}
		list, err := eventsOf(v, s.Slot, s.First)
		if err != nil {
			r.Fatal(err)
		}
		for i, e := range list {
			if _, twice := seen[string(e.JSON)]; twice {
				r.Errorf("an event is there twice: %s", e.JSON)
			}
			seen[string(e.JSON)] = place{s.Slot, s.First + uint64(i)}
			events++
		}
	}
	taken := 0
	for json, was := range r.acked {
		at, ok := seen[json]
		switch {
		case r.removed[was.slot]:
		case was.pos < begin[was.slot]:
			if taken++; ok {
				r.Errorf("an event that a trim took is there: %s", json)
			}
		case !ok || at != was:
			r.Errorf("an acknowledged event is not there: %s", json)
		}
	}
	for json := range r.refused {
		if _, ok := seen[json]; ok {
			r.Errorf("an event is there that met a conflict: %s", json)
		}
	}
	value, _, err := first.Value("counter")
	if err != nil && r.raised > 0 {
		r.Fatal(err)
	}
	n := uint64(0)
	if len(value) > 0 {
		n = binary.BigEndian.Uint64(value)
	}
	if n < r.raised || n > r.raised+r.perhaps {
		r.Errorf("the counter is %d, it was raised %d times and perhaps %d times more", n, r.raised, r.perhaps)
	}
	r.Logf("%d slots, %d events, %d acknowledged, %d of these taken by %d trims, counter %d of %d+%d", len(slots), events, len(r.acked), taken, r.trims, n, r.raised, r.perhaps)
}
