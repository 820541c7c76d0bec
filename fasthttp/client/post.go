package client

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"net/http"
)

// Posted is what became of a post.
type Posted struct {
	ID string // the event's id, or empty
	// Duplicate: the slot has an event with this id already; nothing was stored.
	Duplicate bool
	// Repeated: an earlier try of this call got no answer. If Duplicate is true
	// too, the event in the slot may well be this one.
	Repeated bool
}

// Post stores an event, a JSON object, and returns when it is on the relay's
// disk. White space between tokens is not kept, all else is.
func (s *Slot) Post(ctx context.Context, event []byte) (Posted, error) {
	if !json.Valid(event) { // or it could close the object around it
		return Posted{}, ErrNotJSON
	}
	body := make([]byte, 0, len(event)+16)
	body = append(body, `{"event":`...)
	body = append(body, event...)
	body = append(body, '}')
	r, err := s.client.do(ctx, call{
		method: http.MethodPost, path: s.eventsPath(), token: s.Token, body: body,
		repeat: s.client.opts.RepeatWithoutID || EventID(event) != "",
	})
	if err != nil {
		return Posted{Repeated: r.lost}, err
	}
	var got struct {
		ID     *string `json:"event_id"`
		Status string  `json:"status"`
	}
	if err := r.decode(&got); err != nil {
		return Posted{}, err
	}
	p := Posted{Duplicate: got.Status == "duplicate", Repeated: r.lost}
	if !p.Duplicate && got.Status != "stored" {
		return Posted{}, r.foreign(fmt.Errorf("no status in it"))
	}
	if got.ID != nil {
		p.ID = *got.ID
	}
	return p, nil
}

// Hopeless says whether the error of a post stands in the way of all others
// too: the slot is gone or full, the token is wrong, the relay is away. Any
// other error is about the one event.
func Hopeless(err error) bool {
	var lost *LostError
	switch {
	case err == nil, errors.Is(err, ErrNotJSON), errors.Is(err, ErrBadRequest), errors.Is(err, ErrTooLarge):
		return false
	case errors.As(err, &lost):
		// What may have been stored is not sent again, but others may be.
		return !lost.Sent || lost.GaveUp || errors.Is(err, errSlow) || errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded)
	}
	return true
}

// PostMany posts events and yields what became of each, in their order. With
// parallel at most 1 it posts them one by one: the slot has them in the order
// given, except that an event whose post failed is missing. With more, so many
// are under way at once, which is many times as fast, because the relay writes
// all that waits with one sync; the slot's order is then any.
//
// It ends with the events, behind the first error that is Hopeless, or when the
// caller stops; it returns when nothing is under way any more. With parallel
// posts, what a caller sees may be as far behind as they are many.
func (s *Slot) PostMany(ctx context.Context, events iter.Seq[json.RawMessage], parallel int) iter.Seq2[Posted, error] {
	if parallel > 1 {
		return s.postParallel(ctx, events, parallel)
	}
	return func(yield func(Posted, error) bool) {
		for event := range events {
			p, err := s.Post(ctx, event)
			if !yield(p, err) || Hopeless(err) {
				return
			}
		}
	}
}

// outcome is one post of several under way.
type outcome struct {
	posted Posted
	err    error
}

func (s *Slot) postParallel(ctx context.Context, events iter.Seq[json.RawMessage], parallel int) iter.Seq2[Posted, error] {
	return func(yield func(Posted, error) bool) {
		ctx, cancel := context.WithCancel(ctx)
		// The oldest first. Twice as many as run, so that one slow post does not
		// keep the others from running.
		var under []chan outcome
		running := make(chan struct{}, parallel)
		defer func() {
			cancel()
			for _, done := range under {
				<-done
			}
		}()
		first := func() bool {
			o := <-under[0]
			under = under[1:]
			return yield(o.posted, o.err) && !Hopeless(o.err)
		}
		for event := range events {
			for len(under) > 0 && (len(under) >= 2*parallel || len(under[0]) > 0) {
				if !first() {
					return
				}
			}
			done := make(chan outcome, 1)
			under = append(under, done)
			running <- struct{}{}
			go func() {
				p, err := s.Post(ctx, event)
				<-running
				done <- outcome{p, err}
			}()
		}
		for len(under) > 0 {
			if !first() {
				return
			}
		}
	}
}
