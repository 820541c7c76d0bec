package drill

import (
	"context"
	"fmt"
	"net"
	"time"

	"cowrelay/bench/attack/client"
)

// What a slot holds: one page, of the most bytes that a page may have.
const (
	pageEvents     = 66
	pageEventBytes = 64_000
)

// pagesDrill has readers ask for whole pages and not read them.
var pagesDrill = Drill{
	Name: "pages", what: "readers that ask for pages of 4 MiB and do not read them",
	Variants: func(c Scale) []Variant {
		n := c.Of(600, 200)
		one := func(slots int, heat string, by crowd) Variant {
			v := Variant{
				// A post that waits is refused after 10 s.
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

// unreadTime is after how long a reader asks again. It does not read, so it
// cannot notice that it was cut.
const unreadTime = 20 * time.Second

// unreadPages has n readers ask for pages and read nothing. Their receive
// buffers are small, so that the pages stay with the relay.
func unreadPages(n int, by crowd) Attack {
	return unread(n, by, func(r *Scene, s client.Slot) []byte {
		return r.Relay.Request("GET", "/v1/events/"+s.ID+"?since=&limit=1000", s.Token, "")
	})
}

// unread has n connections send a request each and read nothing.
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

// fillPages stores the slots that attackers read.
func (r *Scene) fillPages(ctx context.Context, slots int) error {
	r.victims = make([]client.Slot, slots)
	var all []func() error
	for i := range r.victims {
		all = append(all, func() (err error) {
			if r.victims[i], err = r.Relay.Allocate(ctx, r.Kept); err != nil {
				return err
			}
			for n := range pageEvents {
				if err := r.Relay.Post(ctx, r.Kept, r.victims[i], client.Event(fmt.Sprintf("page-%03d", n), pageEventBytes)); err != nil {
					return err
				}
			}
			return nil
		})
	}
	return client.Parallel(ctx, 8, all)
}
