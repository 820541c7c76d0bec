package act

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"time"

	"cowrelay/bench/fleet/call"
)

// A reader follows a slot by streams. It moves to another relay when its stream
// ends, and after a while of its own accord, and goes on behind the last event that
// it got.
type reader struct {
	load      *Load
	slot      int
	positions bool
	r         *rand.Rand
	moves     int
	refused   []int // answers that no slot that is there may give

	mu     sync.Mutex
	frames []call.Frame // mu
}

func (d *reader) count() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return len(d.frames)
}

func (d *reader) run(ctx context.Context) {
	cursor := call.Cursor{Positions: d.positions}
	for ctx.Err() == nil {
		d.moves++
		stay, cancel := context.WithTimeout(ctx, 200*time.Millisecond+time.Duration(d.r.Int64N(int64(2*time.Second))))
		err := d.load.c.Stream(stay, d.load.relay(d.r), d.load.slots[d.slot], cursor, func(f call.Frame) {
			d.mu.Lock()
			d.frames = append(d.frames, f)
			d.mu.Unlock()
			cursor.Last = f.ID
		})
		cancel()
		var status *call.StatusError
		if errors.As(err, &status) && status.Status < 500 {
			d.refused = append(d.refused, status.Status)
		}
		select {
		case <-ctx.Done():
		case <-time.After(20 * time.Millisecond):
		}
	}
}
