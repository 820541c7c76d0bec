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
	longPoll   = 25 * time.Second // longest wait of a relay

	// A page that ends for its bytes has this many, if the relay's operator left
	// --page-bytes anywhere near its default of 4 MiB.
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
// Pages may be shorter than asked for; only an empty one, or one with nothing
// new, is the end. Events without an event_id are counted from the last one that
// has one, and asked for again with what follows them. If so many follow each
// other that no page reaches beyond (1,000, or as many as a page has bytes for),
// and it is not certain that they are the slot's last, the error is a
// NoCursorError.
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

// stuck judges a page of n events with nothing new in it: whether it is the
// slot's end (nil), or more may follow that can't be asked for.
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

// Wait returns events behind the cursor: at once if there are some, else when
// there are, else none after the time given. At most a page of them.
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

// waitStream waits behind an event without id. A long poll would answer at once
// with what follows the last id.
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
