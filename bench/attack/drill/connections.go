package drill

import (
	"context"
	"fmt"
	"net"

	"cowrelay/bench/attack/relay"
)

// connectionsDrill takes all connections from one address and does nothing with
// them. Half of them have asked once, and half never.
var connectionsDrill = Drill{
	Name: "connections", what: "one address takes all connections and does nothing with them",
	Variants: func(c Scale) []Variant {
		most := c.Of(2000, 300)
		var out []Variant
		for _, by := range []crowd{atOne, atHonest} {
			out = append(out, Variant{
				Name:   fmt.Sprintf("%d idle connections where %d may be, %s", most*5/4, most, by.name),
				Relay:  relay.Args{Flags: []string{"--max-connections", fmt.Sprint(most)}},
				Attack: idleConnections(most*5/4, by, false),
			})
		}
		return out
	},
}

// idleConnections holds n connections to the relay, or to its admin listener. A
// connection that was closed is made anew.
func idleConnections(n int, by crowd, admin bool) Attack {
	return func(ctx context.Context, r *Scene, armed func()) error {
		f := &fleet{n: n, to: r.Relay.Addr, crowd: by, again: againAfter}
		if admin {
			f.to = r.Relay.Admin
		}
		once := r.Relay.Request("GET", "/healthz", "", "")
		f.act = func(_ context.Context, c *net.TCPConn, i int, there func()) error {
			if i%2 == 0 {
				if _, err := c.Write(once); err != nil {
					return err
				}
			}
			there()
			return listen(c)
		}
		f.run(ctx, armed)
		return nil
	}
}
