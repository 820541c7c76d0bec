package honest

import (
	"context"
	"fmt"

	"cowrelay/bench/attack/client"
)

// Fill makes the slots and what they hold. The relay should be started anew
// then, so that cold slots are cold.
func (h *Load) Fill(ctx context.Context, cold int) error {
	var err error
	if h.meeting != nil {
		if err := h.fillMeeting(ctx); err != nil {
			return err
		}
	}
	for range 4 {
		s, err := h.relay.Allocate(ctx, h.Kept)
		if err != nil {
			return err
		}
		h.Slots = append(h.Slots, s)
	}
	if h.history, err = h.relay.Allocate(ctx, h.Kept); err != nil {
		return err
	}
	h.cold = make([]client.Slot, cold)
	posts := []func() error{func() error {
		for i := range historyEvents {
			if err := h.relay.Post(ctx, h.Kept, h.history, h.historyEvent(i)); err != nil {
				return err
			}
		}
		return nil
	}}
	for i := range h.cold {
		posts = append(posts, func() (err error) {
			if h.cold[i], err = h.relay.Allocate(ctx, h.Kept); err != nil {
				return err
			}
			for n := range coldEvents {
				if err := h.relay.Post(ctx, h.Kept, h.cold[i], h.coldEvent(i, n)); err != nil {
					return err
				}
			}
			return nil
		})
	}
	err = client.Parallel(ctx, 8, posts)
	h.Kept.CloseIdleConnections()
	return err
}

func (h *Load) historyEvent(i int) []byte {
	return client.Event(fmt.Sprintf("%s-history-%05d", h.nonce, i), client.SmallEvent)
}

func (h *Load) coldEvent(slot, n int) []byte {
	return client.Event(fmt.Sprintf("%s-cold-%04d-%02d", h.nonce, slot, n), client.SmallEvent)
}
