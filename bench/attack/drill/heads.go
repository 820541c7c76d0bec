package drill

import (
	"bytes"
	"context"
	"fmt"
	"net"
)

// headBytes is just less than a request head may have.
const headBytes = 8100

// headsGrowth is how much the process may grow by all these heads, in bytes.
const headsGrowth = 128 << 20

// headsDrill sends request heads that never end.
var headsDrill = Drill{
	Name: "heads", what: "request heads that never end",
	Variants: func(c Scale) []Variant {
		crowds := []crowd{atFew, atHonest}
		if c.Short {
			crowds = crowds[:1]
		}
		var out []Variant
		for _, by := range crowds {
			n := c.Of(14_000, 8000)
			out = append(out, Variant{
				Name:   fmt.Sprintf("%d heads of %d bytes, %s", n, headBytes, by.name),
				Attack: endlessHeads(n, by),
				Growth: headsGrowth,
			})
		}
		return out
	},
}

func endlessHeads(n int, by crowd) Attack {
	return func(ctx context.Context, r *Scene, armed func()) error {
		head := []byte("GET /healthz HTTP/1.1\r\nHost: " + r.Relay.Addr + "\r\nX-Long: ")
		head = append(head, bytes.Repeat([]byte("a"), headBytes-len(head))...)
		f := &fleet{n: n, to: r.Relay.Addr, crowd: by, again: 4 * againAfter}
		f.act = func(_ context.Context, c *net.TCPConn, _ int, there func()) error {
			if _, err := c.Write(head); err != nil {
				return err
			}
			there()
			return listen(c)
		}
		f.run(ctx, armed)
		return nil
	}
}
