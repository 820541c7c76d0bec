package drill

import (
	"context"
	"errors"
	"fmt"
	"net"
	"time"

	"cowrelay/bench/attack/books"
	"cowrelay/bench/attack/client"
	"cowrelay/bench/attack/relay"
)

// pollsPerSlot is how many long polls wait at a slot. A slot takes 256 streams
// and long polls.
const pollsPerSlot = 200

// longpollsDrill takes all long polls from one address. Then all its clients
// leave.
var longpollsDrill = Drill{
	Name: "longpolls", what: "one address takes all long polls, and leaves",
	Variants: func(c Scale) []Variant {
		most := c.Of(4096, 300)
		n := most * 105 / 100
		var out []Variant
		for _, by := range []crowd{atOne, atHonest} {
			out = append(out, Variant{
				Name:   fmt.Sprintf("%d long polls where %d may wait, %s; then all leave", n, most, by.name),
				Relay:  relay.Args{Flags: []string{"--max-long-polls", fmt.Sprint(most)}},
				Attack: longPolls(n, by),
				Gone:   longPollsGone,
			})
		}
		return out
	},
}

// longPolls waits in n long polls at slots of its own.
func longPolls(n int, by crowd) Attack {
	return func(ctx context.Context, r *Scene, armed func()) error {
		slots := make([]client.Slot, n/pollsPerSlot+1)
		var all []func() error
		for i := range slots {
			all = append(all, func() (err error) {
				slots[i], err = r.Relay.Allocate(ctx, client.Fresh)
				return err
			})
		}
		if err := client.Parallel(ctx, 4, all); err != nil {
			return ignoreEnd(ctx, r, err)
		}
		f := &fleet{n: n, to: r.Relay.Addr, crowd: by, again: 2 * againAfter}
		f.act = func(_ context.Context, c *net.TCPConn, i int, there func()) error {
			// These clients leave in order, without a reset.
			if err := c.SetLinger(-1); err != nil {
				return err
			}
			s := slots[i%len(slots)]
			if _, err := c.Write(r.Relay.Request("GET", "/v1/events/"+s.ID+"?since=&wait=25", s.Token, "Connection: close\r\n")); err != nil {
				return err
			}
			there()
			return listen(c)
		}
		f.run(ctx, armed)
		return nil
	}
}

// leftTime is how long a long poll may keep its place after its client has
// left.
const leftTime = time.Second

// longPollsGone measures how long the places stay taken.
func longPollsGone(ctx context.Context, r *Scene) {
	const honest = 2 // one that waits, and one that just begins
	began := time.Now()
	limit := leftTime
	if r.Short {
		limit = 15 * time.Second // less than the 25 s that they asked for
	}
	var n float64
	var err error
	if !r.Await(ctx, 30*time.Second, func() bool {
		var m books.Values
		if m, err = books.Metrics(ctx, r.Relay.Admin, r.Relay.Token); err != nil {
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
	r.Bar(fmt.Sprintf("long polls whose clients left are gone within %v", limit), err, "after "+took.String())
}
