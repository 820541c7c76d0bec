package attack

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// Phases of a drill.
const (
	before int32 = iota
	during
	after
	between // not measured, though errors count
	ending  // the relay is told to end: nothing counts
	phases
)

// What honest clients do. Each has a histogram of its own.
const (
	opPost     = iota // a small event, now and then a large one; a kept connection
	opPoll            // what is new, over a new connection
	opWindow          // a page of 100 events
	opCold            // a page of a slot that nobody has used since the start
	opScrape          // the operator's metrics
	opStream          // from a post to its frame at each stream
	opLongPoll        // from a post to the answer of a long poll
	opKinds
)

var opNames = [opKinds]string{"post", "poll", "window", "cold", "metrics", "stream", "long poll"}

// Rates a second.
type rates struct {
	post, poll, window, cold, scrape float64
	streams                          int // open at once
}

var (
	plainRates = rates{post: 20, poll: 20, window: 10, cold: 2, scrape: 1, streams: 4}
	lightRates = rates{post: 5, poll: 3, window: 3, cold: 1, scrape: 1} // no streams, no long poll
)

// Sizes.
const (
	smallEvent, largeEvent = 300, 100_000
	largeEvery             = 50

	historyEvents = 1000 // of the slot that windows are pulled from
	coldEvents    = 20
)

// honest is the load of those who do no harm.
type honest struct {
	r      *relay
	rates  rates
	ledger *ledger
	nonce  string
	next   atomic.Uint64 // number of the next event
	phase  atomic.Int32
	// forgiving counts no error: the relay is being killed.
	forgiving bool
	// refusable says that posts may be refused while the attack lasts.
	refusable bool

	slots   []slot // posted to; the first is streamed, the second polled long
	history slot
	cold    []slot
	atCold  atomic.Uint64

	kept *http.Client // keeps its connections

	waiting  deliveries
	figures  [phases]figures
	underWay [phases]atomic.Int64 // requests, by the phase in which they were due

	stop context.CancelFunc
	wg   sync.WaitGroup
}

// figures is what is counted in a phase. Safe for several goroutines.
type figures struct {
	mu     sync.Mutex
	kinds  [opKinds]histogram
	errors int64
	first  []string // some of their texts
}

func newHonest(r *relay, light bool) *honest {
	h := &honest{
		r: r, rates: plainRates, ledger: newLedger(), nonce: fmt.Sprintf("%012x", rand.Uint64()>>16),
		kept:    &http.Client{Timeout: opTimeout, Transport: &http.Transport{DialContext: dialHonest, MaxIdleConnsPerHost: 8}},
		waiting: deliveries{open: map[string]*delivery{}},
	}
	if light {
		h.rates = lightRates
		h.kept.Transport.(*http.Transport).MaxConnsPerHost = 1
	}
	for i := range h.figures {
		for k := range opKinds {
			h.figures[i].kinds[k] = newHistogram()
		}
	}
	h.phase.Store(between)
	return h
}

// fill makes the slots and what they hold. The relay should start anew then, so
// that cold slots are cold.
func (h *honest) fill(ctx context.Context, cold int) error {
	var err error
	for range 4 {
		s, err := h.r.allocate(ctx, h.kept)
		if err != nil {
			return err
		}
		h.slots = append(h.slots, s)
	}
	if h.history, err = h.r.allocate(ctx, h.kept); err != nil {
		return err
	}
	h.cold = make([]slot, cold)
	posts := []func() error{func() error {
		for i := range historyEvents {
			if err := h.r.post(ctx, h.kept, h.history, h.historyEvent(i)); err != nil {
				return err
			}
		}
		return nil
	}}
	for i := range h.cold {
		posts = append(posts, func() (err error) {
			if h.cold[i], err = h.r.allocate(ctx, h.kept); err != nil {
				return err
			}
			for n := range coldEvents {
				if err := h.r.post(ctx, h.kept, h.cold[i], h.coldEvent(i, n)); err != nil {
					return err
				}
			}
			return nil
		})
	}
	err = parallel(ctx, 8, posts)
	h.kept.CloseIdleConnections()
	return err
}

func (h *honest) historyEvent(i int) []byte {
	return event(fmt.Sprintf("%s-history-%05d", h.nonce, i), smallEvent)
}

func (h *honest) coldEvent(slot, n int) []byte {
	return event(fmt.Sprintf("%s-cold-%04d-%02d", h.nonce, slot, n), smallEvent)
}

// event is an event of about size bytes.
func event(id string, size int) []byte {
	const text = "the quick brown fox jumps over the lazy dog 0123456789 "
	b := make([]byte, 0, size+64)
	b = append(b, `{"event_id":"`+id+`","text":"`...)
	for len(b) < size {
		b = append(b, text[:min(len(text), size-len(b))]...)
	}
	return append(b, `"}`...)
}

// run begins the load. end ends it.
func (h *honest) run(ctx context.Context) {
	ctx, h.stop = context.WithCancel(ctx)
	h.every(ctx, h.rates.post, opPost, h.post)
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
		for pause(ctx, time.Second) {
			h.countLate(opTimeout)
		}
	})
}

// end ends the load and waits for it. What is under way is given up.
func (h *honest) end() {
	h.stop()
	h.wg.Wait()
	h.kept.CloseIdleConnections()
}

func (h *honest) countLate(limit time.Duration) {
	for phase, n := range h.waiting.overdue(limit) {
		for range n {
			h.failed(phase, opStream, fmt.Errorf("an acknowledged event did not come within %v", limit))
		}
	}
}

// every does op at fixed times, whatever the answers take; its latency counts
// from when it was due.
func (h *honest) every(ctx context.Context, rate float64, kind int, op func(ctx context.Context, due time.Time, phase int32) error) {
	h.wg.Go(func() {
		var ops sync.WaitGroup
		defer ops.Wait()
		step := time.Duration(float64(time.Second) / rate)
		// Not all kinds at the same moments.
		for due := time.Now().Add(rand.N(step)); pause(ctx, time.Until(due)); due = due.Add(step) {
			ops.Go(func() {
				phase := h.phase.Load()
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

func (h *honest) took(phase int32, kind int, d time.Duration) {
	f := &h.figures[phase]
	f.mu.Lock()
	defer f.mu.Unlock()
	f.kinds[kind].record(d)
}

func (h *honest) failed(phase int32, kind int, err error) {
	if h.forgiving || h.phase.Load() == ending ||
		h.refusable && kind == opPost && (phase == during || phase == between) {
		return
	}
	f := &h.figures[phase]
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.errors++; len(f.first) < 3 {
		f.first = append(f.first, opNames[kind]+": "+err.Error())
	}
}

func (h *honest) post(ctx context.Context, due time.Time, phase int32) error {
	n := h.next.Add(1)
	size := smallEvent
	if n%largeEvery == 0 {
		size = largeEvent
	}
	i := int(n) % len(h.slots)
	id := fmt.Sprintf("%s-%08d", h.nonce, n)
	e := event(id, size)
	h.ledger.sending(id, e)
	h.waiting.post(id, due, phase, h.listenersOf(i))
	err := h.r.post(ctx, h.kept, h.slots[i], e)
	if err == nil {
		h.ledger.acknowledged(id, i)
	}
	h.waiting.posted(id, err == nil)
	return err
}

// listenersOf are the listeners of a slot, a bit for each.
func (h *honest) listenersOf(slot int) uint64 {
	switch {
	case h.rates.streams == 0:
	case slot == 0:
		return 1<<h.rates.streams - 1
	case slot == 1:
		return 1 << h.rates.streams
	}
	return 0
}

func (h *honest) poll(ctx context.Context, _ time.Time, _ int32) error {
	since := idOf(h.historyEvent(historyEvents - 1))
	page, err := h.r.pull(ctx, freshClient, h.history, since, 100, 0)
	if err == nil && len(page) > 0 {
		err = fmt.Errorf("%d events behind the last one", len(page))
	}
	return err
}

func (h *honest) window(ctx context.Context, _ time.Time, _ int32) error {
	const want = 100
	from := rand.IntN(historyEvents - want)
	page, err := h.r.pull(ctx, h.kept, h.history, idOf(h.historyEvent(from)), want, 0)
	if err != nil {
		return err
	}
	for i, e := range page {
		if string(e) != string(h.historyEvent(from+1+i)) {
			return fmt.Errorf("a window's event %d is %.80q", i, e)
		}
	}
	if len(page) != want {
		return fmt.Errorf("a window of %d events, want %d", len(page), want)
	}
	return nil
}

func (h *honest) coldPull(ctx context.Context, _ time.Time, _ int32) error {
	i := int(h.atCold.Add(1)-1) % len(h.cold)
	page, err := h.r.pull(ctx, freshClient, h.cold[i], "", coldEvents, 0)
	if err != nil {
		return err
	}
	for n, e := range page {
		if string(e) != string(h.coldEvent(i, n)) {
			return fmt.Errorf("a cold slot's event %d is %.80q", n, e)
		}
	}
	if len(page) != coldEvents {
		return fmt.Errorf("a cold slot of %d events, want %d", len(page), coldEvents)
	}
	return nil
}

func (h *honest) scrape(ctx context.Context, _ time.Time, _ int32) error {
	b, err := send(ctx, freshClient, "GET", "http://"+h.r.admin+"/metrics", "", nil, 200)
	if err == nil && !strings.Contains(string(b), "\ngo_goroutines ") {
		err = errors.New("metrics without go_goroutines")
	}
	return err
}

// parallel calls all with so many goroutines, until one fails.
func parallel(ctx context.Context, goroutines int, all []func() error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var next atomic.Int64
	var wg sync.WaitGroup
	for range goroutines {
		wg.Go(func() {
			for i := next.Add(1) - 1; i < int64(len(all)) && ctx.Err() == nil; i = next.Add(1) - 1 {
				if err := all[i](); err != nil {
					cancel(err)
				}
			}
		})
	}
	wg.Wait()
	return context.Cause(ctx)
}

// quiet says whether everything that was due in a measured phase has been
// answered and delivered.
func (h *honest) quiet() bool {
	for p := range h.figures {
		if int32(p) != between && h.underWay[p].Load() > 0 {
			return false
		}
	}
	return h.waiting.none(between)
}
