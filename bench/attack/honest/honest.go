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

func (h *Load) countLate(limit time.Duration) {
	for phase, n := range h.waiting.overdue(limit) {
		for range n {
			h.failed(phase, OpStream, fmt.Errorf("an acknowledged event did not come within %v", limit))
		}
	}
}

func (h *Load) took(phase int32, kind int, d time.Duration) {
	f := &h.Figures[phase]
	f.mu.Lock()
	defer f.mu.Unlock()
	f.kinds[kind].Record(d)
}

func (h *Load) failed(phase int32, kind int, err error) {
	if h.Forgiving || h.Phase.Load() == Ending ||
		h.Refusable && kind == OpPost && (phase == During || phase == Between) {
		return
	}
	f := &h.Figures[phase]
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.errors++; len(f.first) < 3 {
		f.first = append(f.first, opNames[kind]+": "+err.Error())
	}
}

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

	meeting *meeting // nil: agents don't meet

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
