package attack

import (
	"context"
	"encoding/json"
	"fmt"
	"hash/maphash"
	"net/http"
	"sync"
	"time"
)

// A ledger is what the outside knows of the honest slots: what was sent, and
// what was acknowledged. Safe for several goroutines.
type ledger struct {
	mu    sync.Mutex
	seed  maphash.Seed
	sent  map[string]uint64 // hash of the event, by id
	acked map[string]int    // index of the slot, by id
}

func newLedger() *ledger {
	return &ledger{seed: maphash.MakeSeed(), sent: map[string]uint64{}, acked: map[string]int{}}
}

func (l *ledger) sending(id string, event []byte) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.sent[id] = maphash.Bytes(l.seed, event)
}

func (l *ledger) acknowledged(id string, slot int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.acked[id] = slot
}

func (l *ledger) count() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.acked)
}

// check pulls everything: what was acknowledged is there once, byte for byte,
// and nothing is there that nobody sent.
func (l *ledger) check(ctx context.Context, r *relay, slots []slot) error {
	c := &http.Client{Timeout: opTimeout, Transport: &http.Transport{DialContext: dialHonest}}
	defer c.CloseIdleConnections()
	seen := map[string]int{}
	for i, s := range slots {
		for since := ""; ; {
			page, err := r.pull(ctx, c, s, since, 1000, 0)
			if err != nil {
				return fmt.Errorf("cannot pull slot %d to its end: %w", i, err)
			}
			if len(page) == 0 {
				break
			}
			for _, e := range page {
				id := idOf(e)
				if err := l.known(id, e); err != nil {
					return fmt.Errorf("slot %d: %w", i, err)
				}
				if _, twice := seen[id]; twice {
					return fmt.Errorf("slot %d: event %s is there twice", i, id)
				}
				seen[id], since = i, id
			}
		}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	lost := 0
	one := ""
	for id, slot := range l.acked {
		if at, ok := seen[id]; !ok || at != slot {
			lost++
			one = id
		}
	}
	if lost > 0 {
		return fmt.Errorf("%d of %d acknowledged events are gone, such as %s", lost, len(l.acked), one)
	}
	return nil
}

func (l *ledger) known(id string, event []byte) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	h, ok := l.sent[id]
	switch {
	case !ok:
		return fmt.Errorf("holds %.80q, which nobody sent", event)
	case h != maphash.Bytes(l.seed, event):
		return fmt.Errorf("event %s is not as it was sent: %.80q", id, event)
	}
	return nil
}

func idOf(event json.RawMessage) string {
	var e struct {
		ID string `json:"event_id"`
	}
	_ = json.Unmarshal(event, &e) // none is no id
	return e.ID
}

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
		if e.phase != but && e.phase != ending && !e.acked.IsZero() {
			return false
		}
	}
	return true
}
