package retention

import (
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"cowrelay/cow"
	"cowrelay/cow/journaltest"
)

// rig is a store with a sweeper in virtual time.
type rig struct {
	*testing.T
	m     *journaltest.Memory
	store *cow.Store
	sweep *Sweeper
	o     Options
	ahead atomic.Int64 // nanoseconds of the machine's clock
	n     int
}

func run(t *testing.T, p Policy, test func(*rig)) {
	synctest.Test(t, func(t *testing.T) {
		r := &rig{T: t, m: journaltest.NewMemory()}
		r.o = Options{Policy: p, Logger: slog.New(slog.DiscardHandler), Now: func() time.Time { return time.Now().Add(time.Duration(r.ahead.Load())) }}
		r.start()
		test(r)
		r.end()
	})
}

func (r *rig) start() {
	s, err := cow.Open(r.m, r.m, cow.Options{Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		r.Fatal(err)
	}
	r.store, r.sweep = s, Start(s, r.o)
}

func (r *rig) end() {
	r.sweep.Close()
	if err := errors.Join(r.store.Close(), r.m.Close()); err != nil {
		r.Error(err)
	}
}

func (r *rig) restart() {
	r.end()
	r.m = r.m.Reopen()
	r.start()
}

func (r *rig) slot() cow.ID {
	id, _, _, err := r.store.Allocate()
	if err != nil {
		r.Fatal(err)
	}
	return id
}

func (r *rig) post(id cow.ID, n int) {
	r.Helper()
	for range n {
		p := r.store.NewPost()
		r.n++
		if err := p.Accept(fmt.Appendf(nil, `{"event":{"event_id":"e%d"}}`, r.n)); err != nil {
			r.Fatal(err)
		}
		if dup, err := p.Commit(r.store.Slot(id)); dup || err != nil {
			r.Fatalf("duplicate %v, %v", dup, err)
		}
		p.Release()
	}
}

// has checks at which positions a slot has events. An end of 0 says that it is gone.
func (r *rig) has(id cow.ID, first, end uint64) {
	r.Helper()
	slot := r.store.Slot(id)
	if slot == nil {
		if end > 0 {
			r.Errorf("the slot is gone, want events %d to %d", first, end)
		}
		return
	}
	if f, e := slot.Positions(); f != first || e != end || end == 0 {
		r.Errorf("the slot has events %d to %d, want %d to %d", f, e, first, end)
	}
}

// step is what long tests count in: virtual time costs real time by its length, as
// tickers go on in it.
const step = 6 * time.Minute

// Events leave when they are as old as they may be, and at most an eighth later, whatever
// comes behind them, and also over restarts.
func TestEvents_LeaveInTime(t *testing.T) {
	for _, restarts := range []bool{false, true} {
		run(t, Policy{Event: 80 * step}, func(r *rig) {
			busy, quiet := r.slot(), r.slot()
			r.post(quiet, 5)
			for n := range 200 {
				r.post(busy, 1)
				time.Sleep(step)
				if restarts && n%7 == 6 {
					r.restart()
				}
				first, end := r.store.Slot(busy).Positions()
				if age := int(end - first); age > 80*9/8+12 || n >= 80 && age < 80 {
					r.Fatalf("restarts %v: after step %d the slot has events of %d steps", restarts, n, age)
				}
			}
			r.has(quiet, 5, 5)
			r.post(quiet, 1)
			time.Sleep(79 * step)
			r.has(quiet, 5, 6)
			time.Sleep(24 * step)
			r.has(quiet, 6, 6)
			list := 0
			r.m.List(prefix, func(string, []byte, uint64) error { list++; return nil })
			if list > 2*grains {
				r.Errorf("%d generations are kept", list)
			}
		})
	}
}

// A slot that was never used ends. One that was read or posted to once stays.
func TestSlots_Unused(t *testing.T) {
	run(t, Policy{UnusedSlot: 30 * time.Hour}, func(r *rig) {
		unused, posted, pulled := r.slot(), r.slot(), r.slot()
		time.Sleep(29 * time.Hour)
		if r.store.Slot(unused) == nil {
			r.Error("it ended early")
		}
		r.post(posted, 1)
		r.store.Slot(pulled).MarkPulled(time.Now())
		r.restart()
		time.Sleep(5 * time.Hour)
		r.has(unused, 0, 0)
		r.has(posted, 0, 1)
		if r.store.Slot(pulled) == nil {
			r.Error("a slot that was pulled has ended")
		}
		if n := r.store.Stats().SlotsUnused.Load(); n != 1 {
			r.Errorf("%d are counted", n)
		}
	})
}

// A slot that is used between the look at it and its end stays.
func TestSlots_UsedMeanwhile(t *testing.T) {
	run(t, Policy{UnusedSlot: 30 * 24 * time.Hour}, func(r *rig) {
		posted, pulled, unused := r.slot(), r.slot(), r.slot()
		r.post(posted, 1)
		r.store.Slot(pulled).MarkPulled(time.Now())
		for _, id := range []cow.ID{posted, pulled, unused} {
			if err := r.sweep.remove(r.store.Slot(id), cow.Use{}, new(atomic.Uint64), func() {}); err != nil {
				r.Fatal(err)
			}
		}
		if n := r.store.Stats().SlotsSpared.Load(); n != 2 {
			r.Errorf("%d slots count as used meanwhile, want 2", n)
		}
		r.has(posted, 0, 1)
		if r.store.Slot(pulled) == nil || r.store.Slot(unused) != nil {
			r.Error("a slot that was pulled has ended, or one that nobody used has not")
		}
	})
}

// A slot ends when nobody has posted to it or read it for so long.
func TestSlots_Idle(t *testing.T) {
	run(t, Policy{IdleSlot: 80 * step}, func(r *rig) {
		idle, posted, pulled := r.slot(), r.slot(), r.slot()
		r.post(idle, 3)
		for n := range 200 {
			switch {
			case n%20 == 0:
				r.post(posted, 1)
				r.store.Slot(pulled).MarkPulled(time.Now())
			case n%33 == 0:
				r.restart()
			}
			time.Sleep(step)
			if n == 78 {
				r.has(idle, 0, 3)
			}
		}
		r.has(idle, 0, 0)
		r.has(posted, 0, 10)
		if r.store.Slot(pulled) == nil {
			r.Error("a slot that is pulled has ended")
		}
		time.Sleep(120 * step)
		r.has(posted, 0, 0)
		r.has(pulled, 0, 0)
	})
}

// A slot keeps its newest events, by number or by bytes.
func TestEvents_Kept(t *testing.T) {
	run(t, Policy{KeepEvents: 160}, func(r *rig) {
		id := r.slot()
		r.post(id, 170)
		time.Sleep(2 * time.Minute)
		r.has(id, 0, 170) // within the slack
		r.post(id, 1)
		time.Sleep(2 * time.Minute)
		r.has(id, 11, 171)
	})
	run(t, Policy{KeepBytes: 100}, func(r *rig) {
		id := r.slot()
		r.post(id, 9) // of 17 bytes
		time.Sleep(2 * time.Minute)
		r.has(id, 4, 9)
	})
}

// A clock that was set ahead ends nothing for an hour, and no event that came under the
// wrong time before its time has passed by the right one.
func TestClock_Leaps(t *testing.T) {
	run(t, Policy{Event: 8 * time.Hour, UnusedSlot: 8 * time.Hour}, func(r *rig) {
		id, unused := r.slot(), r.slot()
		r.post(id, 5)
		time.Sleep(2 * time.Hour)
		r.ahead.Store(int64(365 * 24 * time.Hour))
		time.Sleep(50 * time.Minute)
		r.has(id, 0, 5)
		time.Sleep(7*time.Hour - 20*time.Minute)
		r.has(id, 0, 5)
		if r.store.Slot(unused) == nil {
			r.Error("a slot has ended by a clock that leapt")
		}
		time.Sleep(3 * time.Hour)
		r.has(id, 5, 5)
		r.has(unused, 0, 0)
	})
	run(t, Policy{Event: 8 * time.Hour}, func(r *rig) { // while it was off
		id := r.slot()
		r.post(id, 5)
		time.Sleep(2 * time.Hour)
		r.end()
		r.ahead.Store(int64(365 * 24 * time.Hour))
		r.m = r.m.Reopen()
		r.start()
		time.Sleep(50 * time.Minute)
		r.has(id, 0, 5)
		r.ahead.Store(0) // the network has told the right time
		time.Sleep(4*time.Hour + 40*time.Minute)
		r.has(id, 0, 5)
		time.Sleep(2 * time.Hour)
		r.has(id, 5, 5)
	})
	run(t, Policy{Event: 8 * time.Hour}, func(r *rig) { // a wrong time that was set right
		r.ahead.Store(int64(365 * 24 * time.Hour))
		id := r.slot()
		r.post(id, 5)
		time.Sleep(2 * time.Hour)
		r.ahead.Store(0)
		time.Sleep(5*time.Hour + 30*time.Minute)
		r.has(id, 0, 5)
		time.Sleep(6 * time.Hour)
		r.has(id, 5, 5)
	})
}
