package attack

import (
	"context"
	"errors"
	"fmt"
	"net"
	"time"
)

// pollsPerSlot is less than the 256 streams and long polls that a slot takes.
const pollsPerSlot = 200

// longpollsDrill: one address takes all long polls; in a variant its clients
// leave at once.
var longpollsDrill = drill{
	name: "longpolls", what: "one address takes all long polls, and leaves",
	variants: func(c *Config) []variant {
		most := c.size(4096, 300)
		n := most * 105 / 100
		var out []variant
		for _, by := range []crowd{atOne, atHonest} {
			out = append(out, variant{
				name:   fmt.Sprintf("%d long polls where %d may wait, %s; then all leave", n, most, by.name),
				relay:  relayArgs{flags: []string{"--max-long-polls", fmt.Sprint(most)}},
				attack: longPolls(n, by),
				gone:   longPollsGone,
			})
		}
		return out
	},
}

func longPolls(n int, by crowd) attackFunc {
	return func(ctx context.Context, r *run, armed func()) error {
		slots := make([]slot, n/pollsPerSlot+1)
		var all []func() error
		for i := range slots {
			all = append(all, func() (err error) {
				slots[i], err = r.relay.allocate(ctx, freshClient)
				return err
			})
		}
		if err := parallel(ctx, 4, all); err != nil {
			return ignoreEnd(ctx, r, err)
		}
		f := &fleet{n: n, to: r.relay.addr, crowd: by, again: 2 * againAfter}
		f.act = func(_ context.Context, c *net.TCPConn, i int, there func()) error {
			// These leave as clients do, without a reset.
			if err := c.SetLinger(-1); err != nil {
				return err
			}
			s := slots[i%len(slots)]
			if _, err := c.Write(r.relay.request("GET", "/v1/events/"+s.ID+"?since=&wait=25", s.Token, "Connection: close\r\n")); err != nil {
				return err
			}
			there()
			return listen(c)
		}
		f.run(ctx, armed)
		return nil
	}
}

// leftTime is how long a long poll may keep its place when its client has left.
const leftTime = time.Second

// longPollsGone looks how long the places stay taken.
func longPollsGone(ctx context.Context, r *run) {
	const honest = 2 // the one that waits, and one that just begins
	began := time.Now()
	limit := leftTime
	if r.cfg.Short {
		limit = 15 * time.Second // less than the 25 s that they asked for
	}
	var n float64
	var err error
	if !r.await(ctx, 30*time.Second, func() bool {
		var m values
		if m, err = readMetrics(ctx, r.relay.admin, r.relay.token); err != nil {
			return true
		}
		n = m["cowrelay_long_polls"]
		return n <= honest
	}) {
		err = fmt.Errorf("%.0f are there after 30 s", n)
	}
	took := time.Since(began).Round(10 * time.Millisecond)
	if err == nil && took > limit {
		err = errors.New("after " + took.String())
	}
	r.res.bar(fmt.Sprintf("long polls whose clients left are gone within %v", limit), err, "after "+took.String())
}
