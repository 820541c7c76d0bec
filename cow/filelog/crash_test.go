package filelog

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"
)

// history is what a run of a log did and was told.
type history struct {
	appended uint64 // newest entry that Append was given
	acked    uint64 // newest entry that Append returned
	trimmed  uint64 // what the store would hold durably
}

// live runs a log through its life until the disk fails or the life ends: appends of
// all sizes, trims, a clean stop, a start, a store that is ahead.
func live(m *memFS, sync Sync, h *history, stopped func(*Log)) error {
	opts := Options{FS: m, Create: true, SegmentBytes: 2 << 10, Sync: sync, Interval: 1, Logger: quiet()}
	for round := range 3 {
		opts.Base = h.trimmed
		l, err := Open(memDir, opts)
		if err != nil {
			return err
		}
		h.acked = max(h.acked, l.Last())
		for i := range 25 {
			h.appended = l.Last() + 1
			seq, err := l.Append(entry(h.appended))
			if err != nil {
				return errors.Join(err, l.Close())
			}
			h.acked = seq
			if i%4 == 3 && h.acked > 3 {
				h.trimmed = max(h.trimmed, h.acked-3)
				if err := l.Trim(h.trimmed); err != nil {
					return errors.Join(err, l.Close())
				}
			}
		}
		if round == 1 {
			h.trimmed = h.acked
		}
		if err := l.Close(); err != nil {
			return err
		}
		if round == 1 { // as if the store had more, and the log had lost it
			h.acked += 5
			h.appended, h.trimmed = h.acked, h.acked
		}
	}
	return nil
}

// survivor opens a log after a crash and holds it against what happened.
func survivor(m *memFS, sync Sync, h history, base uint64) error {
	l, err := Open(memDir, Options{FS: m, SegmentBytes: 2 << 10, Base: base, Create: h.acked == 0, Logger: quiet()})
	if err != nil {
		return fmt.Errorf("open: %w", err)
	}
	first, last, err := readAll(l, h.trimmed+1)
	end := l.Last()
	for range 5 {
		if _, aerr := l.Append(entry(l.Last() + 1)); aerr != nil {
			err = errors.Join(err, aerr)
		}
	}
	if err = errors.Join(err, l.Close()); err != nil {
		return err
	}
	switch {
	case end > h.appended, sync == Always && end < max(h.acked, base):
		return fmt.Errorf("the log ends at %d", end)
	case end > h.trimmed && (first != h.trimmed+1 || last != end):
		return fmt.Errorf("read %d to %d of a log that ends at %d", first, last, end)
	}
	l, err = Open(memDir, Options{FS: m, SegmentBytes: 2 << 10, Base: base, Logger: quiet()})
	if err != nil {
		return fmt.Errorf("second open: %w", err)
	}
	if _, last, err = readAll(l, max(h.trimmed, base)+1); err == nil && (last != end+5 || l.Last() != last) {
		err = fmt.Errorf("five entries behind %d: the log ends at %d", end, last)
	}
	return errors.Join(err, l.Close())
}

// powerFails makes each step from n on fail.
func powerFails(m *memFS, n int) {
	m.onStep(func(step int, _ string) error {
		if step >= n {
			return errPower
		}
		return nil
	})
}

// TestCrashAtEveryStep lets the power fail at each write, sync and change of names.
// What was not synced survives in part. Then it may fail again in the start.
func TestCrashAtEveryStep(t *testing.T) {
	for _, sync := range []Sync{Always, Interval, Off} {
		t.Run(sync.String(), func(t *testing.T) {
			r := rand.New(rand.NewPCG(uint64(sync), 3))
			m := newMemFS()
			if err := live(m, sync, &history{}, nil); err != nil {
				t.Fatal(err)
			}
			steps := m.steps
			rounds := 0
			for n := 1; n <= steps; n++ {
				m, h := newMemFS(), history{}
				if testing.Short() && n%9 > 0 {
					continue // the plain run takes each
				}
				powerFails(m, n)
				if err := live(m, sync, &h, nil); err != nil && !errors.Is(err, errPower) {
					t.Fatalf("power off at step %d: %v", n, err)
				}
				for _, keep := range []float64{0, 0.3, 0.7, 0.95, 1} {
					rounds++
					base := h.trimmed
					what := fmt.Sprintf("power off at step %d of %d, %v survives, base %d, %+v", n, steps, keep, base, h)
					after := m.crash(r, keep)
					if h.acked == 0 && after.names[memDir] == nil {
						continue
					}
					again := after.crash(r, 1)
					if err := survivor(after, sync, h, base); err != nil {
						t.Fatalf("%s: %v", what, err)
					}
					// The power fails in the start as well, at some step.
					k := 1 + r.IntN(8)
					powerFails(again, k)
					if err := survivor(again, sync, h, base); err != nil && !errors.Is(err, errPower) {
						t.Fatalf("%s, then at step %d: %v", what, k, err)
					}
					again = again.crash(r, keep)
					h := h
					h.appended += 5 // survivor's own
					if err := survivor(again, sync, h, base); err != nil {
						t.Fatalf("%s, then at step %d, then: %v", what, k, err)
					}
				}
				// The process dies, the machine goes on.
				killed := h
				if err := survivor(m.clone(), sync, killed, h.trimmed); err != nil {
					t.Fatalf("killed at step %d of %d, %+v: %v", n, steps, h, err)
				}
			}
			t.Logf("%d steps, %d rounds", steps, rounds)
		})
	}
}

// TestStartMakesDurable: what a start read back is durable from then on, also if the
// process before it died between a write and its sync.
func TestStartMakesDurable(t *testing.T) {
	for seed := range uint64(20) {
		m := newMemFS()
		opts := Options{FS: m, Create: true, SegmentBytes: MinSegmentBytes, Sync: Off}
		l := mustOpen(t, memDir, opts)
		mustAppend(t, l, 9)
		powerFails(m, 0) // no Close may sync: the process dies
		l.fail(errPower)
		l.Close()
		m.onStep(nil)
		opts.Sync = Always
		l = mustOpen(t, memDir, opts)
		last := l.Last()
		if last != 9 {
			t.Fatalf("the log ends at %d, want 9", last)
		}
		m = m.crash(rand.New(rand.NewPCG(seed, 1)), 0)
		mustClose(t, l)
		opts.FS = m
		l = mustOpen(t, memDir, opts)
		wantRead(t, l, 1, 1, 9)
		mustClose(t, l)
	}
}
