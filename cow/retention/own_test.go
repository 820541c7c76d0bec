package retention

import (
	"context"
	"sync/atomic"
	"testing"
	"time"

	"cowrelay/cow"
)

func (r *rig) slotFor(l cow.Lifetime) cow.ID {
	r.Helper()
	id, _, _, err := r.store.AllocateFor(l)
	if err != nil {
		r.Fatal(err)
	}
	return id
}

func (r *rig) records(prefix string) (n int) {
	r.m.List(prefix, func(string, []byte, uint64) error { n++; return nil })
	return n
}

// The events of a slot with a lifetime of its own leave in its time, and at most an eighth
// and some seconds later, whatever other slots have, and also over restarts.
func TestOwn_EventsLeaveInTime(t *testing.T) {
	for _, restarts := range []bool{false, true} {
		run(t, Policy{Event: 1000 * time.Minute}, func(r *rig) {
			short, long := r.slotFor(cow.Lifetime{Event: 16 * time.Minute}), r.slotFor(cow.Lifetime{Event: 100 * time.Minute})
			other := r.slot()
			for minute := range 300 {
				for _, id := range []cow.ID{short, long, other} {
					r.post(id, 1)
				}
				time.Sleep(time.Minute)
				if restarts && minute%7 == 6 {
					r.restart()
				}
				for id, most := range map[cow.ID]int{short: 16, long: 100} {
					first, end := r.store.Slot(id).Positions()
					if age := int(end - first); age > most*9/8+2 || minute >= most && age < most {
						r.Fatalf("restarts %v: after minute %d the slot of %d has events of %d minutes", restarts, minute, most, age)
					}
				}
			}
			r.has(other, 0, 300)
			if n := r.records(ownPrefix); n > 2*3*ownGrains { // each start adds some
				r.Errorf("%d generations are kept", n)
			}
			time.Sleep(300 * time.Minute)
			r.has(short, 300, 300)
			if n := r.records(ownPrefix); n > 0 {
				r.Errorf("%d generations are kept of what has left", n)
			}
		})
	}
}

// A slot with a lifetime of its own ends when nobody uses it, without a word of the
// operator, and its lifetime with it.
func TestOwn_SlotsEnd(t *testing.T) {
	run(t, Policy{}, func(r *rig) {
		life := cow.Lifetime{Slot: 3 * time.Hour}
		unused, idle, posted, pulled, other := r.slotFor(life), r.slotFor(life), r.slotFor(life), r.slotFor(life), r.slot()
		r.post(idle, 2)
		for hour := range 20 {
			r.post(posted, 1)
			r.store.Slot(pulled).MarkPulled(time.Now())
			if hour == 2 {
				time.Sleep(50 * time.Minute)
				r.has(idle, 0, 2)
				time.Sleep(10 * time.Minute)
				r.restart()
				continue
			}
			time.Sleep(time.Hour)
		}
		r.has(unused, 0, 0)
		r.has(idle, 0, 0)
		r.has(posted, 0, 20)
		if r.store.Slot(pulled) == nil || r.store.Slot(other) == nil {
			r.Error("a slot has ended that is used, or has no lifetime")
		}
		time.Sleep(7 * time.Hour)
		r.has(posted, 0, 0)
		r.has(pulled, 0, 0)
		if r.store.Slot(other) == nil {
			r.Error("a slot without a lifetime has ended")
		}
		if n := r.records(cow.LifetimePrefix); n > 0 {
			r.Errorf("%d lifetimes are left", n)
		}
	})
}

// A lifetime that a crash has left behind its slot goes.
func TestOwn_Lost(t *testing.T) {
	run(t, Policy{}, func(r *rig) {
		if _, err := r.m.Put(cow.LifetimePrefix+cow.NewID().String(), []byte{0, 60}, 0, cow.Totals{}); err != nil {
			r.Fatal(err)
		}
		time.Sleep(time.Minute)
		if n := r.records(cow.LifetimePrefix); n > 0 {
			r.Errorf("%d are left", n)
		}
	})
}

// A clock that was set ahead makes nothing leave before its time by the right one.
func TestOwn_ClockLeaps(t *testing.T) {
	run(t, Policy{}, func(r *rig) {
		id := r.slotFor(cow.Lifetime{Event: 4 * time.Hour})
		r.post(id, 5)
		time.Sleep(time.Hour)
		r.ahead.Store(int64(365 * 24 * time.Hour))
		time.Sleep(50 * time.Minute)
		r.has(id, 0, 5)
		r.ahead.Store(0)
		time.Sleep(140 * time.Minute)
		r.has(id, 0, 5)
		time.Sleep(4 * time.Hour)
		r.has(id, 5, 5)
	})
}

// held is a journal that takes no trims yet.
type held struct {
	cow.Journal
	may atomic.Bool
}

func (h *held) Allowed(cow.Op) bool               { return h.may.Load() }
func (h *held) Barrier(ctx context.Context) error { return ctx.Err() }
func (h *held) Health() (health cow.Health)       { return health }

// Where a fleet does not take trims yet, events wait, slots end, and it is no error. When it
// takes them, what has waited leaves.
func TestTrims_Held(t *testing.T) {
	run(t, Policy{Event: 8 * time.Hour, UnusedSlot: 8 * time.Hour}, func(r *rig) {
		r.end()
		r.m = r.m.Reopen()
		h := &held{Journal: r.m}
		s, err := cow.Open(h, r.m, cow.Options{Logger: r.o.Logger})
		if err != nil {
			r.Fatal(err)
		}
		r.store, r.sweep = s, Start(s, r.o)
		id, own, unused := r.slot(), r.slotFor(cow.Lifetime{Event: time.Hour}), r.slot()
		r.post(id, 3)
		r.post(own, 2)
		time.Sleep(20 * time.Hour)
		r.has(id, 0, 3)
		r.has(own, 0, 2)
		r.has(unused, 0, 0)
		if !r.store.Stats().TrimsHeld.Load() || r.store.Stats().SweepBehind.Load() < int64(8*time.Hour/time.Second) {
			r.Error("nothing tells of it")
		}
		h.may.Store(true)
		time.Sleep(2 * time.Hour)
		r.has(id, 3, 3)
		r.has(own, 2, 2)
		if r.store.Stats().TrimsHeld.Load() {
			r.Error("it still waits")
		}
	})
}
