package client

import (
	"context"
	"fmt"
	"iter"
	"strconv"
	"time"
)

// Pull yields the events behind the cursor up to the slot's end, page by page, or
// the first most of them if most is above 0. An error ends it.
//
// A relay that has positions is asked by position, so it does not matter whether
// events have ids. The slot's end is where it was when the last page was asked for.
//
// A relay without positions is asked by id. Events without an event_id are counted
// from the last event that has one, and are asked for again together with those
// that follow. A page holds at most 1,000 events and a bounded number of bytes. If
// more events than that follow each other without an event_id, and they are not
// certainly the slot's last, the error is a NoCursorError.
func (s *Slot) Pull(ctx context.Context, from Cursor, most int) iter.Seq2[Event, error] {
	return func(yield func(Event, error) bool) {
		place, counted := -1, from.ID == "" // how many events of the slot lie before the cursor, if known
		if counted {
			place = from.Skip
		}
		for at, left := from, most; most <= 0 || left > 0; {
			p, err := s.page(ctx, at, left, 0)
			if err == nil && !p.positions && len(p.fresh) == 0 && p.events > 0 {
				err = s.stuck(ctx, at, place, p)
			}
			if err != nil {
				yield(Event{}, err)
				return
			}
			for _, e := range p.fresh {
				if !yield(e, nil) {
					return
				}
			}
			if p.positions && p.next >= p.end || !p.positions && len(p.fresh) == 0 {
				return
			}
			if left -= len(p.fresh); counted {
				place += len(p.fresh)
			}
			at = p.behind
		}
	}
}

// stuck judges a page with nothing new in it, of a relay without positions. It
// returns nil if the slot ends there, and an error if more may follow that can't be
// asked for.
func (s *Slot) stuck(ctx context.Context, at Cursor, place int, p *page) error {
	if place >= 0 {
		st, err := s.State(ctx)
		if err != nil || st.EventCount <= uint64(place) {
			return err
		}
	} else if p.events == at.Skip && p.events < p.limit && p.size+maxEvent < leastPage {
		return nil
	}
	return &NoCursorError{at, fmt.Sprintf("the relay has no positions, and a page of %d events, %d bytes, does not reach beyond what has no event_id there", p.events, p.size)}
}

// Last yields the newest n events of the slot, oldest first. A relay that has
// positions reads no others for it. Of one that has none the whole slot is pulled.
//
// To go on behind them, take the Cursor of the last event. If there is none and n is
// above 0, the slot was empty: go on from the zero Cursor.
func (s *Slot) Last(ctx context.Context, n int) iter.Seq2[Event, error] {
	return func(yield func(Event, error) bool) {
		if n <= 0 {
			return
		}
		var p *page
		var err error
		if n <= pageEvents {
			p, err = s.ask(ctx, "last="+strconv.Itoa(n), n, 0)
		} else {
			p, err = s.ask(ctx, "", 0, 0)
			p.next = p.end - min(p.end, uint64(n))
		}
		switch {
		case err != nil:
			yield(Event{}, err)
		case p.positions:
			s.newest(ctx, p, yield)
		default:
			s.lastOfAll(ctx, n, yield)
		}
	}
}

// newest yields a page, and what stood behind it when it was asked for.
func (s *Slot) newest(ctx context.Context, p *page, yield func(Event, error) bool) {
	at := place(p.fresh, At(p.next-uint64(p.events)), p.next)
	for _, e := range p.fresh {
		if !yield(e, nil) {
			return
		}
	}
	if p.next >= p.end {
		return
	}
	for e, err := range s.Pull(ctx, at, int(p.end-p.next)) {
		if !yield(e, err) {
			return
		}
	}
}

// lastOfAll is Last for a relay without positions. It keeps no more than n events.
func (s *Slot) lastOfAll(ctx context.Context, n int, yield func(Event, error) bool) {
	var kept []Event
	for e, err := range s.Pull(ctx, Cursor{}, 0) {
		if err != nil {
			yield(Event{}, err)
			return
		}
		e.JSON = append([]byte(nil), e.JSON...) // not the whole page
		if kept = append(kept, e); len(kept) > n {
			kept = kept[1:]
		}
	}
	for _, e := range kept {
		if !yield(e, nil) {
			return
		}
	}
}

// Wait returns the events behind the cursor, at most a page of them. If there are
// none it waits for some, and returns none when the time given is over.
func (s *Slot) Wait(ctx context.Context, from Cursor, atMost time.Duration) ([]Event, error) {
	end := time.Now().Add(atMost)
	for {
		start := time.Now()
		wait := min(max(end.Sub(start), 0), longPoll)
		_, known := from.Position()
		counted := from.Skip > 0 && (!known || s.client.plain.Load())
		if counted { // the relay would answer at once with what was counted
			wait = 0
		}
		p, err := s.page(ctx, from, 0, wait)
		if err != nil || len(p.fresh) > 0 {
			return p.fresh, err
		}
		switch from = p.behind; {
		case counted && p.positions:
			continue // now its position is known
		case !time.Now().Before(end):
			return nil, nil
		case from.Skip > 0 && !p.positions:
			return s.waitStream(ctx, from, end)
		}
		if time.Since(start) < wait/2 {
			// A relay that shuts down answers early.
			select {
			case <-time.After(s.client.opts.MinWait):
			case <-ctx.Done():
				return nil, ctx.Err()
			}
		}
	}
}

// waitStream waits behind an event without an id, at a relay without positions. A
// long poll would not wait: it would answer with the events since the last id.
func (s *Slot) waitStream(ctx context.Context, from Cursor, end time.Time) ([]Event, error) {
	ctx, cancel := context.WithDeadline(ctx, end)
	defer cancel()
	for e, err := range s.Tail(ctx, from) {
		if err != nil {
			if ctx.Err() == context.DeadlineExceeded && !time.Now().Before(end) {
				return nil, nil
			}
			return nil, err
		}
		return []Event{e}, nil
	}
	return nil, nil
}
