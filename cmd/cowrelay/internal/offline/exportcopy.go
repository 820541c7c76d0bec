package offline

import (
	"context"
	"errors"
	"fmt"
	"strconv"

	"cowrelay/cmd/cowrelay/internal/term"

	"github.com/schollz/progressbar/v3"
)

// copy writes all events. What concerns one slot alone is reported and counted, and
// copy goes on with the next.
func (e *export) copy(ctx context.Context, src source, slots []exportSlot) error {
	var total, done int64 // events, those of removed slots included
	for _, s := range slots {
		total += int64(s.count)
	}
	bar := term.NewBar(e.stderr, total, "exporting", "events")
	defer term.EndBar(bar)
	for _, s := range slots {
		if s.count == 0 {
			continue
		}
		n, err := e.copySlot(ctx, src, s, func(n uint64) { bar.Set64(done + int64(n)) })
		switch {
		case err == nil && n < s.count:
			e.trimmed++
			e.report(bar, e.trimmed, s, "%d of its %d events left meanwhile", s.count-n, s.count)
		case err == nil:
		case e.failed != nil:
			return e.failed
		case ctx.Err() != nil:
			return ctx.Err()
		case errors.Is(err, errRemoved):
			e.removed++
			e.report(bar, e.removed, s, "removed meanwhile, with %d of its %d events exported", n, s.count)
		case errors.Is(err, errSlot):
			e.broken++
			e.report(bar, e.broken, s, "%d of its %d events exported: %v", n, s.count, err)
		default:
			return fmt.Errorf("slot %s, behind %d events: %w", s.id, n, err)
		}
		done += int64(s.count)
		bar.Set64(done)
	}
	return ctx.Err()
}

// copySlot writes the events of one slot and returns how many they were.
func (e *export) copySlot(ctx context.Context, src source, s exportSlot, progress func(n uint64)) (n uint64, err error) {
	prefix := []byte(`{"slot_id":"` + s.id.String() + `","position":`)
	err = src.events(ctx, s, func(pos uint64, event []byte) error {
		if e.failed = e.line(prefix, pos, event); e.failed != nil {
			return e.failed
		}
		e.events++
		e.bytes += uint64(len(event))
		if n++; n%256 == 0 {
			progress(n)
			return ctx.Err()
		}
		return nil
	})
	return n, err
}

// reportMost is how many faults of a kind are reported: a removal of many slots
// would hide everything else.
const reportMost = 20

// report says on stderr what became of a slot. It is the n-th of its kind.
func (e *export) report(bar *progressbar.ProgressBar, n int, s exportSlot, format string, args ...any) {
	if n <= reportMost {
		bar.Clear()
		fmt.Fprintln(e.stderr, "slot "+s.id.String()+": "+term.Shown(fmt.Sprintf(format, args...)))
	}
	if n == reportMost {
		fmt.Fprintln(e.stderr, "more of the same is not told")
	}
}

// line writes one line. A write that failed stays failed, so the error of the last
// write is that of all.
func (e *export) line(prefix []byte, pos uint64, event []byte) error {
	if !e.bare {
		e.w.Write(prefix)
		e.w.Write(strconv.AppendUint(e.w.AvailableBuffer(), pos, 10))
		e.w.WriteString(`,"event":`)
	}
	e.w.Write(event)
	if !e.bare {
		e.w.WriteByte('}')
	}
	return e.w.WriteByte('\n')
}
