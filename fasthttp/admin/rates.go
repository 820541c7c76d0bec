package admin

import (
	"context"
	"maps"
	"sync"
	"time"

	"cowrelay/cow"
)

// rates finds how many posts a second each slot gets. Posts pay nothing for it:
// while somebody asks, it remembers how many events every slot held at the last
// look, which takes some 40 bytes a slot. Soon after the last question it forgets
// all that.
//
//	            first question        a second later            15 s without
//	forgotten ───────────────► one look ───────────► rates known ───────────► forgotten
//
// A sketch that each commit feeds would take less memory. But every post would pay
// for it, also when nobody looks.
type rates struct {
	mu sync.Mutex
	// Guarded by mu.
	seen  map[*cow.Slot]look // nil: forgotten
	at    time.Time          // of the last look
	over  time.Duration      // from the look before it, 0 if it was the first
	timer *time.Timer        // forgets
}

// look is what was seen of a slot.
type look struct {
	events uint64  // that it holds
	rate   float64 // posts a second since the look before
}

const (
	leastLook    = time.Second      // between two looks
	rememberLook = 15 * time.Second // from a question to forgetting
)

// measure returns how many posts a second each slot got, and over how many seconds
// that was measured. Without an earlier look it takes two, a second apart. Nobody
// else can ask until the caller calls done.
func (t *rates) measure(ctx context.Context, store *cow.Store) (rate func(*cow.Slot) float64, seconds float64, done func(), err error) {
	for {
		t.mu.Lock()
		wait := t.lookLocked(store)
		if wait == 0 {
			return func(s *cow.Slot) float64 { return t.seen[s].rate }, t.over.Seconds(), t.mu.Unlock, nil
		}
		t.mu.Unlock()
		timer := time.NewTimer(wait)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return nil, 0, nil, ctx.Err()
		}
	}
}

// lookLocked looks at all slots unless it has done so within the last second. It
// returns how long to wait until the rates are known.
func (t *rates) lookLocked(store *cow.Store) time.Duration {
	if t.timer == nil {
		t.timer = time.AfterFunc(rememberLook, t.forget)
	}
	t.timer.Reset(rememberLook)
	now := time.Now()
	since := now.Sub(t.at)
	first := t.seen == nil
	switch {
	case first:
		t.seen = make(map[*cow.Slot]look, store.Len())
	case since >= leastLook:
		t.over = since
	case t.over == 0:
		return leastLook - since
	default:
		return 0
	}
	t.at = now
	slots := 0
	store.All(func(slot *cow.Slot) bool {
		slots++
		_, end := slot.Positions()
		// A slot that is new held nothing before.
		before, l := t.seen[slot].events, look{events: end}
		if !first && l.events > before {
			l.rate = float64(l.events-before) / since.Seconds()
		}
		t.seen[slot] = l
		return true
	})
	if len(t.seen) > slots {
		maps.DeleteFunc(t.seen, func(s *cow.Slot, _ look) bool { return s.Gone() })
	}
	if first {
		return leastLook
	}
	return 0
}

// forget drops what was seen.
func (t *rates) forget() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.seen, t.over = nil, 0
	if t.timer != nil {
		t.timer.Stop()
	}
}
