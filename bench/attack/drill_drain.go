package attack

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// drainTime is the relay's --drain-timeout of 8 s, 2 s for the store's close, and
// some for us to see it.
const drainTime = 11 * time.Second

// drainDrill: SIGTERM while loads wait for memory and streams wait for loads.
var drainDrill = drill{
	name: "drain", what: "SIGTERM while loads wait for memory and streams wait for loads",
	variants: func(c *Config) []variant {
		n, slots := c.size(300, 100), c.size(40, 16)
		return []variant{{
			name:  fmt.Sprintf("%d readers and %d streams of %d cold slots with 32 MiB, none of which reads", n, n/2, slots),
			relay: relayArgs{flags: []string{"--memory-budget=32MiB", "--drain-timeout=8s"}},
			fill:  func(ctx context.Context, r *run) error { return r.fillPages(ctx, slots) },
			attack: join(unreadPages(n, atFew), unread(n/2, atFew, func(r *run, s slot) []byte {
				return r.relay.request("GET", "/v1/events/"+s.ID+"/stream?since=the-oldest", s.Token, "")
			})),
			final: func(_ context.Context, r *run) {
				if r.relay.ended() {
					r.res.bar("the drain ends in time", errors.New("the relay had ended by itself"), "")
					return
				}
				took, err := r.relay.stop(drainTime)
				r.res.bar("the drain ends in time", err, fmt.Sprintf("after %v, --drain-timeout is 8 s", took.Round(time.Millisecond)))
			},
		}}
	},
}
