package honest

import (
	"sync"
	"time"
)

// deliveries are the events that listeners, which are streams and a long poll,
// still wait for. Each event must come to each listener of its slot. Safe for
// several goroutines.
type deliveries struct {
	mu   sync.Mutex // guards open
	open map[string]*delivery
}

// A delivery is an event that listeners wait for.
type delivery struct {
	due   time.Time // when the post was due
	acked time.Time // when it was acknowledged; zero: not yet, and nobody has to see it
	phase int32
	waits uint64 // a bit for each listener that has not seen it yet
}

func (d *deliveries) post(id string, due time.Time, phase int32, listeners uint64) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.open[id] = &delivery{due: due, phase: phase, waits: listeners}
}

// posted says that the post was answered, and whether it was acknowledged.
func (d *deliveries) posted(id string, ok bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	e := d.open[id]
	switch {
	case e == nil:
	case !ok || e.waits == 0:
		delete(d.open, id)
	default:
		e.acked = time.Now()
	}
}

// seen says that a listener has seen the event. It returns how long that took
// from when the post was due; ok is false if the listener does not wait for it.
func (d *deliveries) seen(id string, listener int) (took time.Duration, phase int32, ok bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	e := d.open[id]
	if e == nil || e.waits&(1<<listener) == 0 {
		return 0, 0, false
	}
	e.waits &^= 1 << listener
	if e.waits == 0 && !e.acked.IsZero() {
		delete(d.open, id)
	}
	return time.Since(e.due), e.phase, true
}

// overdue removes the events that were acknowledged longer than limit ago and
// were not seen by all listeners. It returns how many deliveries are missing,
// by phase.
func (d *deliveries) overdue(limit time.Duration) map[int32]int {
	d.mu.Lock()
	defer d.mu.Unlock()
	var late map[int32]int
	for id, e := range d.open {
		if e.acked.IsZero() || time.Since(e.acked) < limit {
			continue
		}
		delete(d.open, id)
		if late == nil {
			late = map[int32]int{}
		}
		for w := e.waits; w != 0; w &= w - 1 {
			late[e.phase]++
		}
	}
	return late
}

// none says whether nothing is waited for, except what belongs to the phase
// but.
func (d *deliveries) none(but int32) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, e := range d.open {
		if e.phase != but && e.phase != Ending && !e.acked.IsZero() {
			return false
		}
	}
	return true
}
