package retention

import (
	"errors"
	"testing"
	"time"

	"cowrelay/cow"
)

// No slot ends before the time that End tells, whenever it is asked, and none much later:
// an eighth for when it is noted, and another where it is noted again.
func TestEnd_IsKept(t *testing.T) {
	const long = 8 * time.Hour
	for what, c := range map[string]struct {
		policy  Policy
		own     cow.Lifetime
		posts   int
		pulls   int           // one each hour
		after   time.Duration // that counts
		unused  bool
		restart bool
	}{
		"unused":                 {policy: Policy{UnusedSlot: long}, after: long, unused: true},
		"unused, also idle":      {policy: Policy{UnusedSlot: long, IdleSlot: 2 * long}, after: long, unused: true},
		"idle":                   {policy: Policy{IdleSlot: long}, posts: 2, after: long},
		"idle, over a restart":   {policy: Policy{IdleSlot: long}, posts: 2, after: long, restart: true},
		"read":                   {policy: Policy{IdleSlot: long, UnusedSlot: 2 * time.Hour}, pulls: 3, after: long},
		"own":                    {own: cow.Lifetime{Slot: 3 * time.Hour}, posts: 1, after: 3 * time.Hour},
		"own, read":              {own: cow.Lifetime{Slot: 3 * time.Hour}, posts: 1, pulls: 5, after: 3 * time.Hour},
		"own, read soon":         {own: cow.Lifetime{Slot: 3 * time.Hour}, posts: 1, pulls: 2, after: 3 * time.Hour},
		"own, over a restart":    {own: cow.Lifetime{Slot: 3 * time.Hour}, after: 3 * time.Hour, restart: true},
		"own under the operator": {policy: Policy{IdleSlot: 2 * long}, own: cow.Lifetime{Slot: 3 * time.Hour}, posts: 1, after: 3 * time.Hour},
		"operator says less now": {policy: Policy{IdleSlot: 2 * time.Hour}, own: cow.Lifetime{Slot: 5 * time.Hour}, posts: 1, after: 2 * time.Hour},
	} {
		t.Run(what, func(t *testing.T) {
			run(t, c.policy, func(r *rig) {
				id := r.slotFor(c.own)
				r.post(id, c.posts)
				for range c.pulls {
					r.store.Slot(id).MarkPulled(time.Now())
					time.Sleep(time.Hour)
				}
				if c.restart {
					time.Sleep(c.after / 2)
					r.restart()
				}
				var earliest, latest time.Time
				for start := time.Now(); ; time.Sleep(step) {
					slot := r.store.Slot(id)
					if slot == nil {
						break
					}
					end, ok, err := c.policy.End(r.store, slot, time.Now())
					if errors.Is(err, cow.ErrNoSlot) { // in this moment
						break
					}
					if err != nil || !ok || end.Unused != c.unused {
						r.Fatalf("%+v, %v, %v", end, ok, err)
					}
					if end.At.After(latest) {
						latest = end.At
					}
					if earliest.IsZero() || end.At.Before(earliest) {
						earliest = end.At
					}
					if time.Since(start) > 4*c.after {
						r.Fatalf("it is there yet, and was to end at %v", end.At)
					}
				}
				if now := time.Now(); now.Before(latest) || now.After(earliest.Add(c.after/4+2*step)) {
					r.Errorf("it has ended by %v, and was to end between %v and %v", now, earliest, latest)
				}
			})
		})
	}
}

// A slot that nothing ends has no end, and neither has one that somebody reads.
func TestEnd_Never(t *testing.T) {
	run(t, Policy{}, func(r *rig) {
		id := r.slot()
		r.post(id, 1)
		slot := r.store.Slot(id)
		never := func(p Policy) {
			r.Helper()
			if end, ok, err := p.End(r.store, slot, time.Now()); ok || err != nil {
				r.Errorf("%+v, %v, %v", end, ok, err)
			}
		}
		never(Policy{Event: time.Hour, UnusedSlot: time.Hour})
	})
}

func TestBound(t *testing.T) {
	for _, c := range []struct {
		own, operator, want time.Duration
		asked               bool
	}{{0, 0, 0, false}, {0, 5, 5, false}, {5, 0, 5, true}, {4, 5, 4, true}, {5, 5, 5, true}, {6, 5, 5, false}} {
		if d, asked := Bound(c.own, c.operator); d != c.want || asked != c.asked {
			t.Errorf("%d of %d: %d, %v", c.own, c.operator, d, asked)
		}
	}
}
