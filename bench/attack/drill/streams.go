package drill

import (
	"bufio"
	"context"
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"time"

	"cowrelay/bench/attack/client"
)

// streamsDrill gives many slots a stream and a post, once, and leaves them.
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

// streamOnce makes a slot, opens a stream, posts, waits for the frame, and
// leaves.
func (r *Scene) streamOnce(ctx context.Context, c *http.Client, size int) error {
	s, err := r.Relay.Allocate(ctx, c)
	if err != nil {
		return err
	}
	ctx, leave := context.WithCancel(ctx)
	defer leave()
	req, err := http.NewRequestWithContext(ctx, "GET", r.Relay.EventsURL(s)+"/stream", nil)
	if err != nil {
		return err
	}
	req.Header.Set("Authorization", "Bearer "+s.Token)
	res, err := c.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return fmt.Errorf("status %d", res.StatusCode)
	}
	if err := r.Relay.Post(ctx, c, s, client.Event("once", size)); err != nil {
		return err
	}
	lines := bufio.NewScanner(res.Body)
	lines.Buffer(nil, client.MostBody)
	for lines.Scan() {
		if strings.HasPrefix(lines.Text(), "data: ") {
			return nil
		}
	}
	return fmt.Errorf("the stream ended: %w", lines.Err())
}
