package act

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"time"

	"cowrelay/bench/fleet/call"
	"cowrelay/bench/fleet/check"
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

// has says whether the reader has come to the end of its slot.
func (d *reader) has(s *check.Read) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	n := len(d.frames)
	if s.First == 0 {
		return n >= len(s.Events)
	}
	return len(s.Events) == 0 || n > 0 && d.frames[n-1].Data == s.Events[len(s.Events)-1]
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
