package retention

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"cowrelay/cow"
)

// kinds posts events of these kinds.
func (r *rig) kinds(id cow.ID, kinds ...int) {
	r.Helper()
	for _, kind := range kinds {
		p := r.store.NewPost()
		if err := p.Accept(fmt.Appendf(nil, `{"event":{"kind":%d}}`, kind)); err != nil {
			r.Fatal(err)
		}
		if _, err := p.Commit(r.store.Slot(id)); err != nil {
			r.Fatal(err)
		}
		p.Release()
	}
}

// Events of ephemeral kinds leave in their time and at most an eighth later while others
// stay for ever. Once another kind stands in front, all stay.
func TestEphemeral_LeavesInTime(t *testing.T) {
	run(t, Policy{Ephemeral: 16 * time.Minute}, func(r *rig) {
		beats, kept, mixed := r.slot(), r.slot(), r.slot()
		r.kinds(kept, 1, 100, 100)
		for minute := range 120 {
			r.kinds(beats, 100)
			if minute < 60 {
				r.kinds(mixed, 20000+minute)
			}
			if minute == 60 {
				r.kinds(mixed, 30000, 100)
			}
			time.Sleep(time.Minute)
			first, end := r.store.Slot(beats).Positions()
			if age := int(end - first); age > 16*9/8+2 || minute >= 16 && age < 15 { // one is as old as that now, and may be gone
				r.Fatalf("after minute %d the slot has events of %d minutes", minute, age)
			}
		}
		r.has(kept, 0, 3)
		r.has(mixed, 60, 62)
		time.Sleep(20 * time.Minute)
		r.has(beats, 120, 120)
		if n := r.store.Stats().EphemeralTrimmed.Load(); n != 180 {
			r.Errorf("%d events are counted, want 180", n)
		}
		if n := r.store.Stats().SweepBehind.Load(); n > 0 {
			r.Errorf("it is %d seconds behind", n)
		}
	})
}

// An ephemeral event behind another one stays until that has left, and then for its own
// time. The lower of both times counts.
func TestEphemeral_BehindOthers(t *testing.T) {
	run(t, Policy{Ephemeral: time.Hour, Event: 80 * time.Hour}, func(r *rig) {
		id := r.slot()
		r.kinds(id, 1)
		time.Sleep(40 * time.Hour)
		r.kinds(id, 100, 29999, 100)
		time.Sleep(39 * time.Hour)
		r.has(id, 0, 4)
		time.Sleep(15 * time.Hour) // the first has left, the others would not yet by their age
		r.has(id, 4, 4)
	})
	run(t, Policy{Ephemeral: time.Hour}, func(r *rig) {
		own := r.slotFor(cow.Lifetime{Event: 10 * time.Minute})
		r.kinds(own, 100)
		time.Sleep(9 * time.Minute)
		r.has(own, 0, 1)
		time.Sleep(4 * time.Minute)
		r.has(own, 1, 1)
	})
}

// Behind a restart the time begins again. What is cold is found too, and it stays cold.
func TestEphemeral_Restart(t *testing.T) {
	run(t, Policy{Ephemeral: time.Hour}, func(r *rig) {
		id := r.slot()
		r.kinds(id, 100, 100, 1, 100)
		time.Sleep(50 * time.Minute)
		r.restart()
		time.Sleep(59 * time.Minute)
		r.has(id, 0, 4)
		time.Sleep(10 * time.Minute)
		r.has(id, 2, 4)
		if r.store.Slot(id).Hot() {
			r.Error("the slot was taken into memory")
		}
		loads := r.m.Loads()
		time.Sleep(10 * time.Hour)
		if n := r.m.Loads() - loads; n > 0 {
			r.Errorf("a slot in front of which another event stands was read %d times more", n)
		}
	})
}

// What is known of slots that are gone is forgotten, and memory is given back.
func TestEphemeral_Forgets(t *testing.T) {
	run(t, Policy{Ephemeral: time.Hour}, func(r *rig) {
		var ids []cow.ID
		for range 10 {
			id := r.slot()
			r.kinds(id, 1)
			ids = append(ids, id)
		}
		time.Sleep(10 * time.Minute)
		synctest.Wait()
		if r.sweep.ephemeral.bytes < 10*ephemeralSlotBytes {
			r.Error("what it knows is not charged")
		}
		for _, id := range ids {
			if err := r.store.Remove(r.store.Slot(id)); err != nil {
				r.Fatal(err)
			}
		}
		time.Sleep(2 * time.Hour)
		synctest.Wait()
		if r.sweep.ephemeral.bytes != 0 || len(r.sweep.ephemeral.slots) != 0 {
			r.Errorf("%d slots and %d bytes are left", len(r.sweep.ephemeral.slots), r.sweep.ephemeral.bytes)
		}
	})
}

// In a fleet the first relay acts, and when it does not, the next one.
func TestEphemeral_OneRelayActs(t *testing.T) {
	runFleet(t, Policy{Ephemeral: time.Hour}, func(t *testing.T, list []*member) {
		beat := func() (id cow.ID) {
			id, _, _, err := list[0].store.Allocate()
			if err != nil {
				t.Fatal(err)
			}
			list[0].kinds(id, 100, 100)
			return id
		}
		id := beat()
		time.Sleep(2 * time.Hour)
		list[2].has(id, 2, 2)
		if got := fmt.Sprint(acted(list)); got != "[1 0 0]" {
			t.Errorf("the relays acted %s times", got)
		}
		list[0].sweep.Close()
		id = beat()
		time.Sleep(2 * time.Hour)
		list[2].has(id, 2, 2)
		if got := fmt.Sprint(acted(list)); got != "[1 1 0]" {
			t.Errorf("without the first, the relays acted %s times", got)
		}
	})
}
