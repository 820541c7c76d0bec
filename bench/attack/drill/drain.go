package drill

import (
	"context"
	"errors"
	"fmt"
	"time"

	"cowrelay/bench/attack/client"
	"cowrelay/bench/attack/relay"
)

// drainTime is the relay's --drain-timeout of 8 s, 2 s to close the store, and
// a second for us to notice.
const drainTime = 11 * time.Second

// drainDrill sends SIGTERM while loads wait for memory and streams wait for
// loads.
var drainDrill = Drill{
	Name: "drain", what: "SIGTERM while loads wait for memory and streams wait for loads",
	Variants: func(c Scale) []Variant {
		n, slots := c.Of(300, 100), c.Of(40, 16)
		return []Variant{{
			Name:  fmt.Sprintf("%d readers and %d streams of %d cold slots with 32 MiB, none of which reads", n, n/2, slots),
			Relay: relay.Args{Flags: []string{"--memory-budget=32MiB", "--drain-timeout=8s"}},
			Fill:  func(ctx context.Context, r *Scene) error { return r.fillPages(ctx, slots) },
			Attack: join(unreadPages(n, atFew), unread(n/2, atFew, func(r *Scene, s client.Slot) []byte {
				return r.Relay.Request("GET", "/v1/events/"+s.ID+"/stream?since=the-oldest", s.Token, "")
			})),
			Final: func(_ context.Context, r *Scene) {
				if r.Relay.Ended() {
					r.Bar("the drain ends in time", errors.New("the relay had ended by itself"), "")
					return
				}
				took, err := r.Relay.Stop(drainTime)
				r.Bar("the drain ends in time", err, fmt.Sprintf("after %v, --drain-timeout is 8 s", took.Round(time.Millisecond)))
			},
		}}
	},
}
