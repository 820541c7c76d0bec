package drill

import (
	"context"
	"fmt"
	"net"
	"time"

	"cowrelay/bench/attack/client"
)

// What a slot of pages holds: a page of the most bytes that there are.
const (
	pageEvents     = 66
	pageEventBytes = 64_000
)

// pagesDrill: readers ask for whole pages and don't read them.
var pagesDrill = Drill{
	Name: "pages", what: "readers that ask for pages of 4 MiB and do not read them",
	Variants: func(c Scale) []Variant {
		n := c.Of(600, 200)
		one := func(slots int, heat string, by crowd) Variant {
			v := Variant{
				// Posts are refused after 10 s of waiting.
				AtLeast: 13 * time.Second,
				Name:    fmt.Sprintf("%d readers of %d %s, %s", n, slots, heat, by.name),
				Attack:  unreadPages(n, by),
				Fill:    func(ctx context.Context, r *Scene) (err error) { return r.fillPages(ctx, slots) },
			}
			if c.Short {
				v.Relay.Flags = []string{"--memory-budget=32MiB"}
			}
			return v
		}
		cold := c.Of(60, 24)
		if c.Short {
			return []Variant{one(cold, "cold slots", atFew)}
		}
		return []Variant{one(cold, "cold slots", atFew), one(cold, "cold slots", atHonest), one(1, "hot slot", atOne)}
	},
}

// unreadTime is after how long a reader that reads nothing asks anew: it can't
// see that it was cut.
const unreadTime = 20 * time.Second

// unreadPages asks for pages and reads nothing. If the relay pushed back less,
// its sockets would hold all.
func unreadPages(n int, by crowd) Attack {
	return unread(n, by, func(r *Scene, s client.Slot) []byte {
		return r.Relay.Request("GET", "/v1/events/"+s.ID+"?since=&limit=1000", s.Token, "")
	})
}

func unread(n int, by crowd, request func(*Scene, client.Slot) []byte) Attack {
	return func(ctx context.Context, r *Scene, armed func()) error {
		f := &fleet{n: n, to: r.Relay.Addr, crowd: by, rate: r.Of(50, 100), again: 100 * time.Millisecond, receive: 4096}
		f.act = func(ctx context.Context, c *net.TCPConn, i int, there func()) error {
			if _, err := c.Write(request(r, r.victims[i%len(r.victims)])); err != nil {
				return err
			}
			there()
			client.Pause(ctx, unreadTime)
			return nil
		}
		f.run(ctx, armed)
		return nil
	}
}
