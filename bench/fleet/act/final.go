package act

import (
	"context"
	"fmt"
	"slices"
	"time"

	"cowrelay/bench/fleet/call"
	"cowrelay/bench/fleet/check"
)

// ReadAll reads the shared slots to their ends on all relays. All faults must be
// over. What is still under way may be stored between two reads, so all is read
// again until all relays show the same, or patience has passed: then the checker
// tells the difference. A relay that can't answer yet is asked again, too.
func (l *Load) ReadAll(ctx context.Context, patience time.Duration) (reads []check.Read, err error) {
	end := time.Now().Add(patience)
	for _, s := range l.slots {
		for {
			var all []check.Read
			same := true
			for relay := range l.c.Relays {
				rd, err := l.readOne(ctx, relay, s, end)
				if err != nil {
					return nil, err
				}
				all = append(all, rd)
				same = same && all[0].First == rd.First && slices.Equal(all[0].Events, rd.Events)
			}
			if same || time.Now().After(end) {
				reads = append(reads, all...)
				break
			}
			time.Sleep(100 * time.Millisecond)
		}
	}
	return reads, nil
}

func (l *Load) readOne(ctx context.Context, relay int, s call.Slot, end time.Time) (check.Read, error) {
	rd := check.Read{Relay: relay, Slot: s.ID}
	for {
		k := l.c.Pull(ctx, relay, s, call.Page{From: rd.First + int64(len(rd.Events)), Limit: 1000, Consistent: true})
		if k.Status != 200 {
			if time.Now().After(end) || ctx.Err() != nil {
				return rd, fmt.Errorf("relay %d can't be read: status %d %s", relay, k.Status, k.Text)
			}
			time.Sleep(100 * time.Millisecond)
			continue
		}
		if k.Trimmed >= 0 { // what was read before has left, too
			rd.First, rd.Events = k.Trimmed, nil
		}
		rd.Events = append(rd.Events, k.Got...)
		if len(k.Got) == 0 || k.Next >= k.SlotEnd {
			return rd, nil
		}
	}
}
