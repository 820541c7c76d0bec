package honest

import (
	"sync"
	"time"
)

// deliveries are the events that listeners (streams and a long poll) wait for:
// each must come to each listener of its slot. Safe for several goroutines.
type deliveries struct {
	mu   sync.Mutex
	open map[string]*delivery
}

type delivery struct {
	due   time.Time // of the post
	acked time.Time // zero: not acknowledged, so that nobody need see it
	phase int32
	waits uint64 // a bit for each listener that has not seen it
}

func (d *deliveries) post(id string, due time.Time, phase int32, listeners uint64) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.open[id] = &delivery{due: due, phase: phase, waits: listeners}
}

// posted says whether the post was acknowledged.
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

// seen says that a listener has the event, and returns how long that took since
// it was due to be posted; false if it was not waited for.
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

// overdue takes out what was acknowledged longer than limit ago and was not
// seen by all, and returns how many deliveries that is, by phase.
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

// none says whether nothing is waited for, but what belongs to a phase.
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
