package attack

import (
	"bufio"
	"context"
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"time"
)

// streamsDrill: many slots get a stream and a post, once, and are left alone.
var streamsDrill = drill{
	name: "streams", what: "many slots that get a stream and a post once",
	variants: func(c *Config) []variant {
		n, size := c.size(22_000, 800), c.size(smallEvent, 40_000)
		return []variant{{
			name:   fmt.Sprintf("%d slots with a stream and an event of %d bytes, then left", n, size),
			attack: onceStreamed(n, size, c.size(600, 200)),
		}}
	},
}

// onceStreamed makes n slots, so many a second.
func onceStreamed(n, size, perSecond int) attackFunc {
	return func(ctx context.Context, r *run, armed func()) error {
		var clients []*http.Client
		for i := range otherIPs {
			c, done := clientAt(atFew.ip(i), 32)
			defer done()
			clients = append(clients, c)
		}
		began := time.Now()
		var failed atomic.Int64
		var all []func() error
		for i := range n {
			all = append(all, func() error {
				pause(ctx, time.Until(began.Add(time.Duration(i)*time.Second/time.Duration(perSecond))))
				if err := r.streamOnce(ctx, clients[i%len(clients)], size); err != nil && ctx.Err() == nil {
					failed.Add(1)
				}
				return nil
			})
		}
		err := parallel(ctx, 32, all)
		if ctx.Err() != nil {
			return nil
		}
		if n := failed.Load(); n > 0 {
			r.res.Notes = append(r.res.Notes, fmt.Sprintf("%d of the attack's slots got an error", n))
		}
		armed()
		<-ctx.Done()
		return err
	}
}

// streamOnce makes a slot, opens a stream, posts, sees the frame and leaves.
func (r *run) streamOnce(ctx context.Context, c *http.Client, size int) error {
	s, err := r.relay.allocate(ctx, c)
	if err != nil {
		return err
	}
	ctx, leave := context.WithCancel(ctx)
	defer leave()
	req, err := http.NewRequestWithContext(ctx, "GET", r.relay.eventsURL(s)+"/stream", nil)
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
	if err := r.relay.post(ctx, c, s, event("once", size)); err != nil {
		return err
	}
	lines := bufio.NewScanner(res.Body)
	lines.Buffer(nil, mostBody)
	for lines.Scan() {
		if strings.HasPrefix(lines.Text(), "data: ") {
			return nil
		}
	}
	return fmt.Errorf("the stream ended: %w", lines.Err())
}
