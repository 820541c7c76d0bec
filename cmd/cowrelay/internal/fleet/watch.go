package fleet

import (
	"context"
	"sync/atomic"
	"time"

	"cowrelay/cow"
)

const (
	watchEvery = 250 * time.Millisecond // between two looks at the journal
	awayAfter  = 3 * time.Second        // the log is called away after so long
	headsKept  = 240                    // looks: a minute of them
)

// headAt is where the log ended at a time.
type headAt struct {
	at  time.Time
	seq uint64
}

// watcher looks at how the relay stands to the log. It tells operators, once each, when
// the log goes away and when it comes back. It belongs to one goroutine, but lag.
type watcher struct {
	b     *Book
	heads []headAt     // the oldest first; those that this relay has not applied
	lag   atomic.Int64 // nanoseconds: how old the oldest entry is that is not applied
	gone  time.Time    // since when the log is away, zero: it is not
}

// run looks until the context ends.
func (w *watcher) run(ctx context.Context) {
	t := time.NewTicker(watchEvery)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case now := <-t.C:
			h := w.b.opts.Journal.Health()
			w.look(h, now)
			w.tell(h, now)
		}
	}
}

// look measures the lag: since when the log has an entry that is not applied.
func (w *watcher) look(h cow.Health, now time.Time) {
	if n := len(w.heads); h.Head > h.Applied && (n == 0 || w.heads[n-1].seq < h.Head) {
		w.heads = append(w.heads, headAt{now, h.Head})
		if len(w.heads) > headsKept { // every second one: a long lag needs no fine scale
			kept := w.heads[:0]
			for i, head := range w.heads {
				if i%2 == 0 || i == len(w.heads)-1 {
					kept = append(kept, head)
				}
			}
			w.heads = kept
		}
	}
	for len(w.heads) > 0 && w.heads[0].seq <= h.Applied {
		w.heads = w.heads[1:]
	}
	lag := time.Duration(0)
	if len(w.heads) > 0 {
		lag = now.Sub(w.heads[0].at)
	}
	w.lag.Store(int64(lag))
}

// tell says that the log has gone away, or is back.
func (w *watcher) tell(h cow.Health, now time.Time) {
	log := w.b.opts.Logger
	switch {
	case h.Away >= awayAfter && w.gone.IsZero():
		w.gone = now.Add(-h.Away)
		log.Error("the shared log can't be reached: pulls and streams show what this relay has heard of, posts are refused", "applied", h.Applied, "do", "look at the NATS servers, and at the way to them; the relay goes on by itself when the log is back")
	case h.Away == 0 && !w.gone.IsZero():
		log.Info("the shared log can be reached again", "away", now.Sub(w.gone).Round(100*time.Millisecond).String(), "applied", h.Applied)
		w.gone = time.Time{}
	}
}
