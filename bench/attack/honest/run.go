package honest

import (
	"context"
	"math/rand/v2"
	"sync"
	"time"

	"cowrelay/bench/attack/client"
)

// Run begins the load, and End ends it.
func (h *Load) Run(ctx context.Context) {
	ctx, h.stop = context.WithCancel(ctx)
	h.every(ctx, h.rates.post, OpPost, h.post)
	h.every(ctx, h.rates.poll, opPoll, h.poll)
	h.every(ctx, h.rates.window, opWindow, h.window)
	if len(h.cold) > 0 {
		h.every(ctx, h.rates.cold, opCold, h.coldPull)
	}
	h.every(ctx, h.rates.scrape, opScrape, h.scrape)
	if h.meeting != nil {
		h.runMeeting(ctx)
	}
	for i := range h.rates.streams {
		h.wg.Go(func() { h.stream(ctx, i) })
	}
	if h.rates.streams > 0 {
		h.wg.Go(func() { h.longPoll(ctx, h.rates.streams) })
	}
	h.wg.Go(func() {
		for client.Pause(ctx, time.Second) {
			h.countLate(client.Timeout)
		}
	})
}

// End ends the load and waits for it. Requests that are under way are given up.
func (h *Load) End() {
	h.stop()
	h.wg.Wait()
	h.Kept.CloseIdleConnections()
	if h.meeting != nil {
		h.meeting.done()
	}
}

// every does op at fixed times, whatever the answers take. Its latency counts
// from when it was due.
func (h *Load) every(ctx context.Context, rate float64, kind int, op func(ctx context.Context, due time.Time, phase int32) error) {
	h.wg.Go(func() {
		var ops sync.WaitGroup
		defer ops.Wait()
		step := time.Duration(float64(time.Second) / rate)
		// The kinds begin at different moments.
		for due := time.Now().Add(rand.N(step)); client.Pause(ctx, time.Until(due)); due = due.Add(step) {
			ops.Go(func() {
				phase := h.Phase.Load()
				h.underWay[phase].Add(1)
				defer h.underWay[phase].Add(-1)
				switch err := op(ctx, due, phase); {
				case err == nil:
					h.took(phase, kind, time.Since(due))
				case ctx.Err() == nil:
					h.failed(phase, kind, err)
				}
			})
		}
	})
}

// Quiet says whether everything that was due in a measured phase has been
// answered and delivered.
func (h *Load) Quiet() bool {
	for p := range h.Figures {
		if int32(p) != Between && h.underWay[p].Load() > 0 {
			return false
		}
	}
	return h.waiting.none(Between)
}
