package client

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
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

// page is one page of a slot.
type page struct {
	fresh  []Event // those behind the cursor that was asked for
	behind Cursor  // behind the last of them; without any, the cursor that was asked for
	events int     // how many the relay sent
	limit  int     // how many it was asked for
	size   int     // of the reply, in bytes

	// positions: the relay has them. Then next is where the next page begins, and
	// end is where the slot ended.
	positions bool
	next, end uint64
}

// page asks for the events behind a cursor, at most most of them if most is above 0.
//
// What a relay is asked follows from its last answer. A relay with positions says
// where the next page begins. One without passes over what it does not know, and
// answers from the slot's beginning: then the question is put again by id.
func (s *Slot) page(ctx context.Context, at Cursor, most int, wait time.Duration) (*page, error) {
	if most <= 0 {
		most = pageEvents
	}
	if pos, known := at.Position(); known && !s.client.plain.Load() {
		p, err := s.ask(ctx, "from="+strconv.FormatUint(pos, 10), min(most, pageEvents), wait)
		if err != nil {
			return p, err
		}
		if p.positions {
			return p, s.fromPosition(p, at, pos)
		}
		if pos == 0 {
			p.behind = place(p.fresh, at, 0)
			return p, nil
		}
	}
	p, err := s.ask(ctx, "since="+url.QueryEscape(at.ID), min(at.Skip+most, pageEvents), wait)
	if err != nil {
		return p, err
	}
	skip := min(at.Skip, p.events)
	place(p.fresh, Cursor{ID: at.ID}, p.next)
	if p.fresh, p.behind = p.fresh[skip:], at; len(p.fresh) > 0 {
		p.behind = p.fresh[len(p.fresh)-1].Cursor
	} else if p.positions {
		// Where at is, even if the page did not reach it.
		p.behind.Pos = p.next - uint64(p.events) + uint64(at.Skip)
		if p.next = p.behind.Pos; at.ID == "" {
			p.behind = At(p.next)
		}
	}
	return p, nil
}

// fromPosition completes a page that was asked for by position.
func (s *Slot) fromPosition(p *page, at Cursor, pos uint64) error {
	first := p.next - uint64(p.events)
	switch {
	case pos > p.end:
		return endsBefore(at, p.end)
	case p.events > 0 && first < pos, p.events == 0 && p.next < p.end:
		return fmt.Errorf("%w: %s was asked for what stands at position %d, and answered %d events before %d", ErrReply, s.client.base, pos, p.events, p.next)
	}
	p.behind = place(p.fresh, at, p.next)
	return nil
}

// endsBefore is the error of a cursor behind the slot's end.
func endsBefore(at Cursor, end uint64) error {
	return &NoCursorError{at, fmt.Sprintf("the slot ends at position %d, which is before it: is it another slot, or has it lost events?", end)}
}

// ask asks for one page.
func (s *Slot) ask(ctx context.Context, query string, limit int, wait time.Duration) (*page, error) {
	r, err := s.client.do(ctx, s.pageCall(query, limit, wait))
	if err != nil {
		return &page{}, err
	}
	return s.readPage(r, limit)
}

func (s *Slot) pageCall(query string, limit int, wait time.Duration) call {
	query = strings.TrimSuffix("?limit="+strconv.Itoa(limit)+"&"+query, "&")
	if wait > 0 {
		query += "&wait=" + strconv.Itoa(int((wait+time.Second-1)/time.Second))
	}
	return call{method: http.MethodGet, path: s.eventsPath() + query, token: s.Token, repeat: true, max: maxPage, wait: wait}
}

// readPage reads the answer to a pull, and learns from it whether the relay has
// positions.
func (s *Slot) readPage(r reply, limit int) (*page, error) {
	events, err := splitPage(r.body)
	if err != nil {
		return &page{}, r.foreign(err)
	}
	p := &page{fresh: events, events: len(events), limit: limit, size: len(r.body)}
	next, end := r.header.Get("Relay-Next"), r.header.Get("Relay-End")
	if p.positions = next != "" && end != ""; p.positions {
		var bad [2]error
		p.next, bad[0] = strconv.ParseUint(next, 10, 63)
		p.end, bad[1] = strconv.ParseUint(end, 10, 63)
		if err := errors.Join(bad[:]...); err != nil || p.next < uint64(p.events) {
			return &page{}, fmt.Errorf("%w: %s answered %d events with Relay-Next %s and Relay-End %s", ErrReply, s.client.base, p.events, quote(next), quote(end))
		}
	}
	s.client.plain.Store(!p.positions)
	return p, nil
}

// End returns the position behind the slot's last event. It is how many events the
// slot has had. A relay without positions can't tell: errors.Is finds ErrNotOffered.
func (s *Slot) End(ctx context.Context) (uint64, error) {
	end, known, err := s.end(ctx)
	if err == nil && !known {
		err = fmt.Errorf("%w: %s has no positions", ErrNotOffered, s.client.base)
	}
	return end, err
}

// end is End for a caller that goes on without positions.
func (s *Slot) end(ctx context.Context) (end uint64, known bool, err error) {
	p, err := s.ask(ctx, "", 0, 0) // a page of no events
	return p.end, p.positions, err
}
