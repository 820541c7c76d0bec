package crash

import (
	"encoding/json"
	"sync"
	"sync/atomic"
	"testing"

	"cowrelay/cmd/cowrelay/internal/relaytest"
)

// ledger is what the outside knows of one slot: what was sent, what was
// acknowledged, and what readers saw where. Everything that is seen is checked
// against it.
type ledger struct {
	t    testing.TB
	slot relaytest.Slot
	name string
	tick *atomic.Int64 // one clock for all that is sent and acknowledged

	mu    sync.Mutex
	order []string         // ids by position, as far as anybody saw them
	at    map[string]int   // the same by id
	sent  map[string]int64 // when an event was first sent
	acked map[string]int64 // when it was first acknowledged
	data  map[string]string
	lost  int // acknowledged events that a crash took, where that is allowed
}

func newLedger(t testing.TB, s relaytest.Slot, name string, tick *atomic.Int64) *ledger {
	return &ledger{
		t: t, slot: s, name: name, tick: tick,
		at: map[string]int{}, sent: map[string]int64{}, acked: map[string]int64{}, data: map[string]string{},
	}
}

// sending notes that an event is about to be sent.
func (l *ledger) sending(id string, event []byte) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if _, ok := l.sent[id]; !ok {
		l.sent[id] = l.tick.Add(1)
		l.data[id] = string(event)
	}
}

// acknowledged notes that the relay answered stored or duplicate.
func (l *ledger) acknowledged(id string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if _, ok := l.acked[id]; !ok {
		l.acked[id] = l.tick.Add(1)
	}
}

// saw notes that somebody read the event at a position: the same for every
// reader, byte for byte what was sent, each id once (I1, I2, I5, I6).
func (l *ledger) saw(pos int, data []byte) bool {
	id := relaytest.EventID(data)
	l.mu.Lock()
	defer l.mu.Unlock()
	want, ok := l.data[id]
	switch {
	case !ok:
		l.t.Errorf("%s: position %d holds %.80q, which nobody sent", l.name, pos, data)
		return false
	case want != string(data):
		l.t.Errorf("%s: position %d holds %.120q, sent was %.120q", l.name, pos, data, want)
		return false
	case pos < len(l.order):
		if l.order[pos] != id {
			l.t.Errorf("%s: position %d holds %s for one reader and %s for another", l.name, pos, id, l.order[pos])
			return false
		}
		return true
	case pos > len(l.order):
		l.t.Errorf("BUG: %s: position %d seen, %d known", l.name, pos, len(l.order))
		return false
	}
	if old, ok := l.at[id]; ok {
		l.t.Errorf("%s: %s is at position %d and at %d", l.name, id, old, pos)
		return false
	}
	l.at[id] = pos
	l.order = append(l.order, id)
	return true
}

// restarted compares all that the slot holds after a crash with what is known.
// If losses are allowed, what is left must be a prefix of what was there.
func (l *ledger) restarted(events []json.RawMessage, lossy bool) {
	l.mu.Lock()
	if lossy && len(events) < len(l.order) {
		for _, id := range l.order[len(events):] {
			delete(l.at, id)
		}
		l.order = l.order[:len(events)]
	}
	known := len(l.order)
	l.mu.Unlock()
	if len(events) < known {
		l.t.Errorf("%s: %d events after the restart, readers saw %d before", l.name, len(events), known)
	}
	for pos, data := range events {
		if !l.saw(pos, data) {
			return
		}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	for id := range l.acked {
		if _, ok := l.at[id]; ok {
			continue
		}
		if !lossy {
			l.t.Errorf("%s: %s was acknowledged and is gone", l.name, id)
			continue
		}
		l.lost++
		delete(l.acked, id)
		delete(l.sent, id)
	}
	l.checkOrder()
}

// checkOrder: what was acknowledged before another was even sent stands before
// it.
func (l *ledger) checkOrder() {
	var newest int64
	var whose string
	for _, id := range l.order {
		if acked, ok := l.acked[id]; ok && acked < newest {
			l.t.Errorf("%s: %s was acknowledged before %s was sent and stands behind it", l.name, id, whose)
			return
		}
		if sent := l.sent[id]; sent > newest {
			newest, whose = sent, id
		}
	}
}

// length returns how many positions are known.
func (l *ledger) length() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.order)
}

// last returns the id at the position before pos, "" for none.
func (l *ledger) last(pos int) string {
	l.mu.Lock()
	defer l.mu.Unlock()
	if pos == 0 {
		return ""
	}
	return l.order[pos-1]
}
