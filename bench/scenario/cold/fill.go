package cold

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"slices"
	"strconv"
	"strings"

	"cowrelay/bench/load"
	"cowrelay/bench/run"
	"cowrelay/bench/wire"
)

// fillConns is how many connections fill the slots, each one slot at a time.
const fillConns = 32

// memoryBudget asks the relay's binary for its memory budget, in the control
// group, on which that depends.
func memoryBudget(ctx context.Context, e *run.Env) (int64, error) {
	argv := slices.Concat(e.Group.Command(), []string{e.Config.Relay, "check-config"}, e.Config.RelayArgs)
	b, err := exec.CommandContext(ctx, argv[0], argv[1:]...).CombinedOutput()
	if err != nil {
		return 0, fmt.Errorf("cannot ask for the relay's memory budget: %w: %.500s", err, b)
	}
	for line := range strings.Lines(string(b)) {
		if v, ok := strings.CutPrefix(strings.TrimSpace(line), "memory-budget="); ok {
			v, _, _ = strings.Cut(v, " ") // where the value is from
			return parseSize(v)
		}
	}
	return 0, fmt.Errorf("check-config names no memory budget: %.500s", b)
}

// parseSize parses a size as check-config prints it.
func parseSize(s string) (int64, error) {
	unit := int64(1)
	for _, u := range []struct {
		name string
		n    int64
	}{{"KiB", 1 << 10}, {"MiB", 1 << 20}, {"GiB", 1 << 30}, {"B", 1}} {
		if v, ok := strings.CutSuffix(s, u.name); ok {
			s, unit = v, u.n
			break
		}
	}
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil || n <= 0 {
		return 0, fmt.Errorf("cannot parse the memory budget %q", s)
	}
	return n * unit, nil
}

// filled is slots of known content. Event k of slot i has the number
// i*events + k. The first hotSlots of them are the hot ones.
type filled struct {
	t      *wire.Template
	s      *load.Server
	slots  []load.Slot
	events int // in each slot
}

// bytes is what all events take.
func (f *filled) bytes() int64 { return int64(len(f.slots)) * int64(f.events) * int64(f.t.Size()) }

// next is the first event number that no slot has.
func (f *filled) next() uint64 { return uint64(len(f.slots)) * uint64(f.events) }

// appendPage appends a page of n events of slot i, from position first.
func (f *filled) appendPage(b []byte, i, first, n int) []byte {
	b = append(b, '[')
	for k := range n {
		if k > 0 {
			b = append(b, ',')
		}
		b = f.t.AppendEvent(b, uint64(i)*uint64(f.events)+uint64(first+k))
	}
	return append(b, ']')
}

// fill stores so many bytes of events.
func fill(ctx context.Context, e *run.Env, s *load.Server, bytes int64) (*filled, error) {
	f := &filled{t: e.Template, s: s, events: e.Config.ColdSlotEvents}
	each := int64(f.events) * int64(f.t.Size())
	n := max(2*hotSlots, int((bytes+each-1)/each))
	if n > load.SlotsOfRelay-postConns {
		return nil, fmt.Errorf("%s slots of %d events: a relay takes %s; raise cold-slot-events", load.Thousands(float64(n)), f.events, load.Thousands(load.SlotsOfRelay))
	}
	f.slots = make([]load.Slot, n)
	e.Track.Step(fmt.Sprintf("storing %s MB in %s slots", load.Thousands(float64(f.bytes())/1e6), load.Thousands(float64(n))))
	out, err := e.RunNumbers(ctx, s, fillConns, 0, n, func() load.Numbered {
		return &filler{Link: wire.Link{Addr: s.Addr, Buffer: wire.SmallBuffer}, f: f, batch: run.BatchOf(e.Config.BatchEvents, f.t.Size())}
	}, e.Track.Prepared)
	if err == nil && out.Errors > 0 {
		err = errors.New(out.FirstError)
	}
	if err != nil {
		return nil, fmt.Errorf("cannot fill the slots: %w", err)
	}
	return f, nil
}

// A filler makes slots and fills them with batches, over one connection.
type filler struct {
	wire.Link
	f     *filled
	batch int // events of a batch
}

func (w *filler) Do(ctx context.Context, i int) error {
	return w.Try(ctx, func(c *wire.Conn) error {
		sl, err := w.f.s.Allocate(c)
		if err != nil {
			return err
		}
		w.f.slots[i] = sl
		for k := 0; k < w.f.events; {
			n := min(w.batch, w.f.events-k)
			if err := c.Store(w.f.s.NewBatch(sl, w.f.t, n).From(uint64(i)*uint64(w.f.events) + uint64(k))); err != nil {
				return err
			}
			k += n
		}
		return nil
	})
}
