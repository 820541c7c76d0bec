package honest

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"time"

	"cowrelay/bench/attack/client"
)

func (h *Load) post(ctx context.Context, due time.Time, phase int32) error {
	n := h.next.Add(1)
	size := client.SmallEvent
	if n%largeEvery == 0 {
		size = client.LargeEvent
	}
	i := int(n) % len(h.Slots)
	id := fmt.Sprintf("%s-%08d", h.nonce, n)
	e := client.Event(id, size)
	h.Ledger.sending(id, e)
	h.waiting.post(id, due, phase, h.listenersOf(i))
	err := h.relay.Post(ctx, h.Kept, h.Slots[i], e)
	if err == nil {
		h.Ledger.acknowledged(id, i)
	}
	h.waiting.posted(id, err == nil)
	return err
}

// listenersOf returns the listeners of a slot, a bit for each.
func (h *Load) listenersOf(slot int) uint64 {
	switch {
	case h.rates.streams == 0:
	case slot == 0:
		return 1<<h.rates.streams - 1
	case slot == 1:
		return 1 << h.rates.streams
	}
	return 0
}

func (h *Load) poll(ctx context.Context, _ time.Time, _ int32) error {
	since := client.IDOf(h.historyEvent(historyEvents - 1))
	page, err := h.relay.Pull(ctx, client.Fresh, h.history, since, 100, 0)
	if err == nil && len(page) > 0 {
		err = fmt.Errorf("%d events behind the last one", len(page))
	}
	return err
}

func (h *Load) window(ctx context.Context, _ time.Time, _ int32) error {
	const want = 100
	from := rand.IntN(historyEvents - want)
	page, err := h.relay.Pull(ctx, h.Kept, h.history, client.IDOf(h.historyEvent(from)), want, 0)
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

func (h *Load) coldPull(ctx context.Context, _ time.Time, _ int32) error {
	i := int(h.atCold.Add(1)-1) % len(h.cold)
	page, err := h.relay.Pull(ctx, client.Fresh, h.cold[i], "", coldEvents, 0)
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

func (h *Load) scrape(ctx context.Context, _ time.Time, _ int32) error {
	b, err := client.Send(ctx, client.Fresh, "GET", "http://"+h.relay.Admin+"/metrics", "", nil, 200)
	if err == nil && !strings.Contains(string(b), "\ngo_goroutines ") {
		err = errors.New("metrics without go_goroutines")
	}
	return err
}
