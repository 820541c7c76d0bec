package honest

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"cowrelay/bench/attack/client"
	"cowrelay/bench/attack/relay"
	"cowrelay/bench/load"
)

// Phases of a drill.
const (
	Before int32 = iota
	During
	After
	Between // not measured, but errors count
	Ending  // the relay has been told to end; nothing counts
	phases
)

// The kinds of things that honest clients do. Each has a histogram.
const (
	OpPost     = iota // a small event, now and then a large one, over a kept connection
	opPoll            // what is new, over a new connection
	opWindow          // a page of 100 events
	opCold            // a page of a slot that nobody has used since the start
	opScrape          // the operator's metrics
	OpStream          // from a post to its frame at each stream
	OpLongPoll        // from a post to the answer of a long poll
	opKinds
)

var opNames = [opKinds]string{"post", "poll", "window", "cold", "metrics", "stream", "long poll"}

// rates are how often each is done, a second.
type rates struct {
	post, poll, window, cold, scrape float64
	streams                          int // that are open at once
}

var (
	plainRates = rates{post: 20, poll: 20, window: 10, cold: 2, scrape: 1, streams: 4}
	lightRates = rates{post: 5, poll: 3, window: 3, cold: 1, scrape: 1} // no streams, no long poll
)

// Sizes.
const (
	largeEvery = 50 // one post in so many is large

	historyEvents = 1000 // in the slot of windows
	coldEvents    = 20   // in a cold slot
)

// A Load is the load of the honest clients.
type Load struct {
	relay  *relay.Process
	rates  rates
	Ledger *Ledger
	nonce  string
	next   atomic.Uint64 // the number of the newest event
	Phase  atomic.Int32
	// Forgiving says that no error counts, because the relay is being killed.
	Forgiving bool
	// Refusable says that posts may be refused while the attack lasts.
	Refusable bool

	Slots   []client.Slot // for posts; the first has the streams, the second the long poll
	history client.Slot
	cold    []client.Slot
	atCold  atomic.Uint64

	Kept *http.Client // keeps its connections

	waiting  deliveries
	Figures  [phases]Counts
	underWay [phases]atomic.Int64 // requests, by the phase in which they were due

	stop context.CancelFunc
	wg   sync.WaitGroup
}

func New(r *relay.Process, light bool) *Load {
	h := &Load{
		relay: r, rates: plainRates, Ledger: newLedger(), nonce: fmt.Sprintf("%012x", rand.Uint64()>>16),
		Kept:    &http.Client{Timeout: client.Timeout, Transport: &http.Transport{DialContext: client.Dial, MaxIdleConnsPerHost: 8}},
		waiting: deliveries{open: map[string]*delivery{}},
	}
	if light {
		h.rates = lightRates
		h.Kept.Transport.(*http.Transport).MaxConnsPerHost = 1
	}
	for i := range h.Figures {
		for k := range opKinds {
			h.Figures[i].kinds[k] = load.NewHistogram()
		}
	}
	h.Phase.Store(Between)
	return h
}

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
