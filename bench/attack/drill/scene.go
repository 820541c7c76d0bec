package drill

import (
	"bufio"
	"context"
	"fmt"
	"net/http"
	"strings"
	"time"

	"cowrelay/bench/attack/client"
	"cowrelay/bench/attack/relay"
)

// A Scale is one of the two sizes of all attacks.
type Scale struct {
	// Short is for machines that do other work meanwhile.
	Short bool
}

// Of is one of two numbers.
func (s Scale) Of(full, short int) int {
	if s.Short {
		return short
	}
	return full
}

// A Scene is what an attack finds, and what it leaves.
type Scene struct {
	Scale
	Relay *relay.Process
	// Kept is the honest clients' HTTP client that keeps its connections, for
	// what is stored before the attack.
	Kept *http.Client
	// victims are the slots that attackers use.
	victims []client.Slot
	// Lasted is from the start of the attack to its end, set when that has come.
	Lasted time.Duration
	// Bar adds a bar to the result, which holds if err is nil.
	Bar func(name string, err error, seen string)
	// Note adds a note to the result.
	Note func(text string)
}

// Await asks until it is true, at most for limit.
func (*Scene) Await(ctx context.Context, limit time.Duration, ask func() bool) bool {
	end := time.Now().Add(limit)
	for !ask() {
		if time.Now().After(end) || !client.Pause(ctx, 100*time.Millisecond) {
			return false
		}
	}
	return true
}

func (r *Scene) postLarge(ctx context.Context, c *http.Client, i int) {
	s, err := r.Relay.Allocate(ctx, c)
	for ; err != nil && client.Pause(ctx, 100*time.Millisecond); s, err = r.Relay.Allocate(ctx, c) {
	}
	// A slot takes 64 MiB.
	for k := 0; ctx.Err() == nil && k < 64<<20/client.LargeEvent; k++ {
		if r.Relay.Post(ctx, c, s, client.Event(fmt.Sprintf("large-%d-%d", i, k), client.LargeEvent)) != nil {
			client.Pause(ctx, 100*time.Millisecond)
		}
	}
}

// fillPages stores the slots that attackers read.
func (r *Scene) fillPages(ctx context.Context, slots int) error {
	r.victims = make([]client.Slot, slots)
	var all []func() error
	for i := range r.victims {
		all = append(all, func() (err error) {
			if r.victims[i], err = r.Relay.Allocate(ctx, r.Kept); err != nil {
				return err
			}
			for n := range pageEvents {
				if err := r.Relay.Post(ctx, r.Kept, r.victims[i], client.Event(fmt.Sprintf("page-%03d", n), pageEventBytes)); err != nil {
					return err
				}
			}
			return nil
		})
	}
	return client.Parallel(ctx, 8, all)
}

// streamOnce makes a slot, opens a stream, posts, sees the frame and leaves.
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
