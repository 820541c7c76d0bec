package drill

import (
	"context"
	"fmt"
	"net"
	"time"

	"cowrelay/bench/attack/client"
)

// The size of a body, and how much of it is sent, in bytes.
const (
	bodyBytes = 2 << 20
	bodySent  = 2_000_000
)

// bodiesDrill has connections with a slot's token send nearly a whole body, and
// stop.
var bodiesDrill = Drill{
	Name: "bodies", what: "authenticated posts whose large bodies never end",
	Variants: func(c Scale) []Variant {
		one := func(n int, chunked bool, by crowd) Variant {
			kind := fmt.Sprintf("of %d bytes", bodyBytes)
			if chunked {
				kind = "in chunks"
			}
			return Variant{
				Name:   fmt.Sprintf("%d bodies %s that stop after %d, %s", n, kind, bodySent, by.name),
				Attack: stalledBodies(n, chunked, by),
			}
		}
		out := []Variant{one(c.Of(400, 150), false, atHonest), one(c.Of(250, 150), true, atFew)}
		if !c.Short {
			out = append(out, one(400, false, atFew))
		}
		return out
	},
}

// stalledBodies sends n bodies, each as far as bodySent.
func stalledBodies(n int, chunked bool, by crowd) Attack {
	return func(ctx context.Context, r *Scene, armed func()) error {
		s, err := r.Relay.Allocate(ctx, client.Fresh)
		if err != nil {
			return ignoreEnd(ctx, r, err)
		}
		part := client.Event("stalled", bodySent)
		how := fmt.Sprintf("Content-Length: %d\r\n", bodyBytes)
		if chunked {
			how = "Transfer-Encoding: chunked\r\n"
			part = append(fmt.Appendf(nil, "%x\r\n", bodyBytes), part...)
		}
		head := r.Relay.Request("POST", "/v1/events/"+s.ID, s.Token, "Content-Type: application/json\r\n"+how)
		f := &fleet{n: n, to: r.Relay.Addr, crowd: by, rate: r.Of(25, 100), again: 4 * againAfter}
		f.act = func(_ context.Context, c *net.TCPConn, _ int, there func()) error {
			// If the relay does not take it, our write waits. Then this is all that can be
			// taken.
			defer time.AfterFunc(5*time.Second, there).Stop()
			if _, err := c.Write(append(head[:len(head):len(head)], part...)); err != nil {
				return err
			}
			there()
			return listen(c)
		}
		f.run(ctx, armed)
		return nil
	}
}

// ignoreEnd drops the error of an attack that could not begin because the relay
// or the attack has ended. The bars judge that. The connection of a relay that is
// killed may end a moment before its process is known to have ended.
func ignoreEnd(ctx context.Context, r *Scene, err error) error {
	for range 100 {
		if r.Relay.Ended() || !client.Pause(ctx, 10*time.Millisecond) {
			return nil
		}
	}
	return err
}
