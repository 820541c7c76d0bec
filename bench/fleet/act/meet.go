package act

import (
	"context"
	"fmt"
	"math/rand/v2"
	"time"

	"cowrelay/bench/fleet/call"
	"cowrelay/bench/fleet/check"
)

// health sets or reads the responder health of a slot that all share.
func (l *Load) health(ctx context.Context, r *rand.Rand, relay, slot int) {
	if r.IntN(3) == 0 {
		l.c.Health(ctx, relay, l.slots[slot], l.mark())
	} else {
		l.c.State(ctx, relay, l.slots[slot])
	}
}

// block makes a slot, has the operator block it through one relay and lift the block
// through another, and tries it on all relays meanwhile and afterwards.
func (l *Load) block(ctx context.Context, r *rand.Rand) {
	s, k := l.c.Allocate(ctx, l.relay(r))
	if k.Status != 201 {
		return
	}
	try := func(relay int) {
		l.c.Post(ctx, relay, s, l.event(r, 0))
		l.c.Pull(ctx, relay, s, call.Page{Limit: 1})
	}
	if l.c.Block(ctx, l.relay(r), s).Status != 200 {
		return
	}
	l.tryDead(ctx, try)
	if l.c.Unblock(ctx, l.relay(r), s).Status == 200 {
		l.tryDead(ctx, try)
	}
}

// pair has two agents pair through different relays, tries to come a second time, and
// looks on all relays for what they sent.
func (l *Load) pair(ctx context.Context, r *rand.Rand) {
	code := l.mark()
	roles := [2]string{"host", "guest"}
	if r.IntN(2) == 0 {
		roles = [2]string{"guest", "host"}
	}
	id := ""
	for _, role := range roles {
		if k := l.c.Pair(ctx, l.relay(r), code, role); k.Status == 201 {
			id = k.Value
		}
	}
	if id == "" {
		return
	}
	l.c.Pair(ctx, l.relay(r), code, roles[r.IntN(2)])
	look := func(relay int) {
		for _, role := range roles {
			l.c.Look(ctx, relay, code, id, role)
		}
	}
	for relay := range l.c.Relays {
		look(relay)
	}
	l.tryDead(ctx, look)
}

// ReadSums reads what each relay counts, and the responder health of the shared slots, until
// all relays show the same or patience has passed: then the checker tells the difference.
func (l *Load) ReadSums(ctx context.Context, patience time.Duration) ([]check.Sum, error) {
	return readSums(ctx, l.c, l.slots, patience)
}

// Totals waits until all relays count the same.
func Totals(ctx context.Context, c *call.Client, patience time.Duration) (call.Totals, error) {
	sums, err := readSums(ctx, c, nil, patience)
	if err != nil {
		return call.Totals{}, err
	}
	for _, s := range sums {
		if s.Totals != sums[0].Totals {
			return s.Totals, fmt.Errorf("relays 0 and %d count differently before the round: %+v and %+v", s.Relay, sums[0].Totals, s.Totals)
		}
	}
	return sums[0].Totals, nil
}

func readSums(ctx context.Context, c *call.Client, slots []call.Slot, patience time.Duration) (sums []check.Sum, err error) {
	end := time.Now().Add(patience)
	for {
		sums = sums[:0]
		same := true
		for relay := range c.Relays {
			s := check.Sum{Relay: relay, Health: map[string]string{}}
			if s.Totals, err = c.Totals(ctx, relay); err != nil {
				break
			}
			for _, slot := range slots {
				k := c.State(ctx, relay, slot)
				if k.Status != 200 {
					err = fmt.Errorf("relay %d shows no state: status %d, %s", relay, k.Status, k.Text)
				}
				s.Health[slot.ID] = k.Value
			}
			sums = append(sums, s)
			same = same && s.Same(&sums[0])
		}
		if err == nil && same || time.Now().After(end) || ctx.Err() != nil {
			return sums, err
		}
		time.Sleep(50 * time.Millisecond)
	}
}
