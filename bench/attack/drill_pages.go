package attack

import (
	"context"
	"fmt"
	"net"
	"time"
)

// What a slot of pages holds: a page of the most bytes that there are.
const (
	pageEvents     = 66
	pageEventBytes = 64_000
)

// pagesDrill: readers ask for whole pages and don't read them.
var pagesDrill = drill{
	name: "pages", what: "readers that ask for pages of 4 MiB and do not read them",
	variants: func(c *Config) []variant {
		n := c.size(600, 200)
		one := func(slots int, heat string, by crowd) variant {
			v := variant{
				// Posts are refused after 10 s of waiting.
				atLeast: 13 * time.Second,
				name:    fmt.Sprintf("%d readers of %d %s, %s", n, slots, heat, by.name),
				attack:  unreadPages(n, by),
				fill:    func(ctx context.Context, r *run) (err error) { return r.fillPages(ctx, slots) },
			}
			if c.Short {
				v.relay.flags = []string{"--memory-budget=32MiB"}
			}
			return v
		}
		cold := c.size(60, 24)
		if c.Short {
			return []variant{one(cold, "cold slots", atFew)}
		}
		return []variant{one(cold, "cold slots", atFew), one(cold, "cold slots", atHonest), one(1, "hot slot", atOne)}
	},
}

// fillPages stores the slots that attackers read.
func (r *run) fillPages(ctx context.Context, slots int) error {
	r.victims = make([]slot, slots)
	var all []func() error
	for i := range r.victims {
		all = append(all, func() (err error) {
			if r.victims[i], err = r.relay.allocate(ctx, r.honest.kept); err != nil {
				return err
			}
			for n := range pageEvents {
				if err := r.relay.post(ctx, r.honest.kept, r.victims[i], event(fmt.Sprintf("page-%03d", n), pageEventBytes)); err != nil {
					return err
				}
			}
			return nil
		})
	}
	return parallel(ctx, 8, all)
}

// unreadTime is after how long a reader that reads nothing asks anew: it can't
// see that it was cut.
const unreadTime = 20 * time.Second

// unreadPages asks for pages and reads nothing. If the relay pushed back less,
// its sockets would hold all.
func unreadPages(n int, by crowd) attackFunc {
	return unread(n, by, func(r *run, s slot) []byte {
		return r.relay.request("GET", "/v1/events/"+s.ID+"?since=&limit=1000", s.Token, "")
	})
}

func unread(n int, by crowd, request func(*run, slot) []byte) attackFunc {
	return func(ctx context.Context, r *run, armed func()) error {
		f := &fleet{n: n, to: r.relay.addr, crowd: by, rate: r.cfg.size(50, 100), again: 100 * time.Millisecond, receive: 4096}
		f.act = func(ctx context.Context, c *net.TCPConn, i int, there func()) error {
			if _, err := c.Write(request(r, r.victims[i%len(r.victims)])); err != nil {
				return err
			}
			there()
			pause(ctx, unreadTime)
			return nil
		}
		f.run(ctx, armed)
		return nil
	}
}
