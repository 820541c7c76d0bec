package honest

import (
	"context"
	"fmt"
	"hash/maphash"
	"net/http"
	"sync"

	"cowrelay/bench/attack/client"
	"cowrelay/bench/attack/relay"
)

// A Ledger is what the clients know about their slots: what was sent, and what
// was acknowledged. Safe for several goroutines.
type Ledger struct {
	mu    sync.Mutex // guards the maps
	seed  maphash.Seed
	sent  map[string]uint64 // by id, the hash of the event
	acked map[string]int    // by id, the index of the slot
}

func newLedger() *Ledger {
	return &Ledger{seed: maphash.MakeSeed(), sent: map[string]uint64{}, acked: map[string]int{}}
}

func (l *Ledger) sending(id string, event []byte) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.sent[id] = maphash.Bytes(l.seed, event)
}

func (l *Ledger) acknowledged(id string, slot int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.acked[id] = slot
}

func (l *Ledger) Count() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.acked)
}

// Check pulls everything. What was acknowledged must be there once, byte for
// byte, and nothing may be there that was not sent.
func (l *Ledger) Check(ctx context.Context, r *relay.Process, slots []client.Slot) error {
	c := &http.Client{Timeout: client.Timeout, Transport: &http.Transport{DialContext: client.Dial}}
	defer c.CloseIdleConnections()
	seen := map[string]int{}
	for i, s := range slots {
		for since := ""; ; {
			page, err := r.Pull(ctx, c, s, since, 1000, 0)
			if err != nil {
				return fmt.Errorf("cannot pull slot %d to its end: %w", i, err)
			}
			if len(page) == 0 {
				break
			}
			for _, e := range page {
				id := client.IDOf(e)
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

func (l *Ledger) known(id string, event []byte) error {
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
