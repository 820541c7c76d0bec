package drill

import (
	"context"
	"fmt"
	"net/http"
	"sync/atomic"
	"time"

	"cowrelay/bench/attack/client"
)

// streamsDrill: many slots get a stream and a post, once, and are left alone.
var streamsDrill = Drill{
	Name: "streams", what: "many slots that get a stream and a post once",
	Variants: func(c Scale) []Variant {
		n, size := c.Of(22_000, 800), c.Of(client.SmallEvent, 40_000)
		return []Variant{{
			Name:   fmt.Sprintf("%d slots with a stream and an event of %d bytes, then left", n, size),
			Attack: onceStreamed(n, size, c.Of(600, 200)),
		}}
	},
}

// onceStreamed makes n slots, so many a second.
func onceStreamed(n, size, perSecond int) Attack {
	return func(ctx context.Context, r *Scene, armed func()) error {
		var clients []*http.Client
		for i := range otherIPs {
			c, done := client.At(atFew.ip(i), 32)
			defer done()
			clients = append(clients, c)
		}
		began := time.Now()
		var failed atomic.Int64
		var all []func() error
		for i := range n {
			all = append(all, func() error {
				client.Pause(ctx, time.Until(began.Add(time.Duration(i)*time.Second/time.Duration(perSecond))))
				if err := r.streamOnce(ctx, clients[i%len(clients)], size); err != nil && ctx.Err() == nil {
					failed.Add(1)
				}
				return nil
			})
		}
		err := client.Parallel(ctx, 32, all)
		if ctx.Err() != nil {
			return nil
		}
		if n := failed.Load(); n > 0 {
			r.Note(fmt.Sprintf("%d of the attack's slots got an error", n))
		}
		armed()
		<-ctx.Done()
		return err
	}
}
