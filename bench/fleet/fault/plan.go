package fault

import (
	"context"
	"fmt"
	"math/rand/v2"
	"time"
)

// A Kind is one thing that can go wrong. Begin breaks it; End mends it. Both are
// called once for each fault, one after the other.
type Kind struct {
	Name  string
	Most  time.Duration // how long it lasts at most
	Begin func(ctx context.Context) error
	End   func(ctx context.Context) error
}

// A Rig is relays that run, and what can go wrong with them.
type Rig interface {
	// Relays are the base URLs. They stay the same whatever happens.
	Relays() []string
	// Admins are those of the operators' listeners.
	Admins() []string
	// Kinds are the faults that can be had. Those of one target never run at the same
	// time.
	Kinds() []Target
	// Sound returns an error if a process has ended that nobody ended.
	Sound() error
	// Verify stops the relays, and has each check its store.
	Verify(ctx context.Context) error
	// Close ends all.
	Close() error
}

// A Target is something that has one fault at a time.
type Target struct {
	Name  string
	Kinds []Kind
}

// A Step is a fault of a plan.
type Step struct {
	At, For time.Duration
	Target  int
	Kind    int
}

// Plan draws faults for a time, so that each target has none or one at any moment,
// and all are over at the end. They last stretch times as long as usual.
func Plan(r *rand.Rand, targets []Target, d time.Duration, atOnce int, stretch int) []Step {
	var steps []Step
	if len(targets) == 0 {
		return nil
	}
	for range max(1, min(atOnce, len(targets))) {
		// Each lane draws faults one after the other.
		at := time.Duration(r.Int64N(int64(d / 4)))
		for at < d {
			t := r.IntN(len(targets))
			k := r.IntN(len(targets[t].Kinds))
			s := Step{At: at, Target: t, Kind: k}
			most := min(time.Duration(stretch)*targets[t].Kinds[k].Most, d-at)
			s.For = time.Duration(r.Int64N(int64(most)/4*3+1)) + most/4
			at += s.For + time.Duration(r.Int64N(int64(d/6)+1))
			if !overlaps(steps, s) {
				steps = append(steps, s)
			}
		}
	}
	return steps
}

func overlaps(steps []Step, s Step) bool {
	for _, o := range steps {
		if o.Target == s.Target && s.At <= o.At+o.For && o.At <= s.At+s.For {
			return true
		}
	}
	return false
}

// Run carries a plan out and returns when all faults are over. said hears of each.
func Run(ctx context.Context, targets []Target, steps []Step, said func(string)) error {
	errs := make(chan error, len(steps))
	began := time.Now()
	for _, s := range steps {
		go func() { // ends after its step, and Run waits for it
			k := targets[s.Target].Kinds[s.Kind]
			wait(ctx, began.Add(s.At))
			said(fmt.Sprintf("%s %s for %v", k.Name, targets[s.Target].Name, s.For.Round(time.Millisecond)))
			err := k.Begin(ctx)
			if err == nil {
				wait(ctx, began.Add(s.At+s.For))
				err = k.End(ctx) // also when ctx has ended: a paused process must go on
			}
			if err != nil {
				err = fmt.Errorf("%s %s: %w", k.Name, targets[s.Target].Name, err)
			}
			errs <- err
		}()
	}
	var first error
	for range steps {
		if err := <-errs; err != nil && first == nil {
			first = err
		}
	}
	return first
}

func wait(ctx context.Context, until time.Time) {
	t := time.NewTimer(time.Until(until))
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-t.C:
	}
}
