package attack

import (
	"context"
	"fmt"
	"net"
)

// connectionsDrill: one address takes all connections and does nothing with
// them. Half have asked once, half never.
var connectionsDrill = drill{
	name: "connections", what: "one address takes all connections and does nothing with them",
	variants: func(c *Config) []variant {
		most := c.size(2000, 300)
		var out []variant
		for _, by := range []crowd{atOne, atHonest} {
			out = append(out, variant{
				name:   fmt.Sprintf("%d idle connections where %d may be, %s", most*5/4, most, by.name),
				relay:  relayArgs{flags: []string{"--max-connections", fmt.Sprint(most)}},
				attack: idleConnections(most*5/4, by, false),
			})
		}
		return out
	},
}

// idleConnections holds n connections to the relay, or to its admin listener,
// and comes back when they are closed.
func idleConnections(n int, by crowd, admin bool) attackFunc {
	return func(ctx context.Context, r *run, armed func()) error {
		f := &fleet{n: n, to: r.relay.addr, crowd: by, again: againAfter}
		if admin {
			f.to = r.relay.admin
		}
		once := r.relay.request("GET", "/healthz", "", "")
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
