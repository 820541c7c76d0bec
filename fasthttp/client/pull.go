package client

import (
	"context"
	"fmt"
	"iter"
	"net/http"
	"net/url"
	"strconv"
	"time"
)

const (
	pageEvents = 1000 // most events of a page
	maxEvent   = 262_144
	longPoll   = 25 * time.Second // the longest that a relay waits

	// A page that ends because of its size has at least so many bytes, if the
	// relay's --page-bytes is anywhere near its default of 4 MiB.
	leastPage = 512 << 10
)

// page asks for events behind an id.
func (s *Slot) page(ctx context.Context, at Cursor, limit int, wait time.Duration) (events []Event, size int, err error) {
	query := "?limit=" + strconv.Itoa(limit) + "&since=" + url.QueryEscape(at.ID)
	if wait > 0 {
		query += "&wait=" + strconv.Itoa(int((wait+time.Second-1)/time.Second))
	}
	r, err := s.client.do(ctx, call{
		method: http.MethodGet, path: s.eventsPath() + query, token: s.Token, repeat: true, max: maxPage, wait: wait,
	})
	if err != nil {
		return nil, 0, err
	}
	events, err = splitPage(r.body, Cursor{ID: at.ID})
	if err != nil {
		return nil, 0, r.foreign(err)
	}
	return events, len(r.body), nil
}

// Pull yields the events behind the cursor up to the slot's end, page by page,
// or the first most of them if most is above 0. An error ends it.
//
// A page may be shorter than asked for. The end is a page that is empty or has
// nothing new. Events without an event_id are counted from the last event that has
// one, and are asked for again together with those that follow. A page holds at most
// 1,000 events and a bounded number of bytes. If more events than that follow each
// other without an event_id, and they are not certainly the slot's last, the error is
// a NoCursorError.
func (s *Slot) Pull(ctx context.Context, from Cursor, most int) iter.Seq2[Event, error] {
	return func(yield func(Event, error) bool) {
		place := -1 // how many events of the slot lie before the cursor, if known
		if from.ID == "" {
			place = from.Skip
		}
		for at, n := from, 0; most <= 0 || n < most; {
			limit := pageEvents
			if most > 0 {
				limit = min(limit, at.Skip+most-n)
			}
			events, size, err := s.page(ctx, at, limit, 0)
			if err == nil && len(events) > 0 && len(events) <= at.Skip {
				err = s.stuck(ctx, at, place, len(events), limit, size)
			}
			if err != nil {
				yield(Event{}, err)
				return
			}
			if len(events) <= at.Skip {
				return
			}
			for _, e := range events[at.Skip:] {
				if !yield(e, nil) {
					return
				}
				n++
			}
			if place >= 0 {
				place += len(events) - at.Skip
			}
			at = events[len(events)-1].Cursor
		}
	}
}

// stuck judges a page of n events with nothing new in it. It returns nil if the slot
// ends there, and an error if more may follow that can't be asked for.
func (s *Slot) stuck(ctx context.Context, at Cursor, place, n, limit, size int) error {
	if place >= 0 {
		st, err := s.State(ctx)
		if err != nil || st.EventCount <= uint64(place) {
			return err
		}
	} else if n == at.Skip && n < limit && size+maxEvent < leastPage {
		return nil
	}
	return &NoCursorError{at, fmt.Sprintf("a page of %d events, %d bytes, does not reach beyond what has no event_id there", n, size)}
}

// Wait returns the events behind the cursor, at most a page of them. If there are
// none it waits for some, and returns none when the time given is over.
func (s *Slot) Wait(ctx context.Context, from Cursor, atMost time.Duration) ([]Event, error) {
	end := time.Now().Add(atMost)
	if from.Skip > 0 {
		return s.waitStream(ctx, from, end)
	}
	for {
		start := time.Now()
		wait := min(max(end.Sub(start), 0), longPoll)
		events, _, err := s.page(ctx, from, pageEvents, wait)
		if err != nil || len(events) > 0 || !time.Now().Before(end) {
			return events, err
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

// waitStream waits behind an event without an id. A long poll would not wait: it
// would answer with the events since the last id.
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
