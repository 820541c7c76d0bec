package client

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"net/http"
)

// Posted is the result of a post.
type Posted struct {
	ID string // the event's id, or empty
	// Duplicate: the slot already has an event with this id. Nothing was stored.
	Duplicate bool
	// Repeated: an earlier try of this call got no answer. If Duplicate is true as
	// well, that try may have stored the event.
	Repeated bool
}

// Post stores an event, which is a JSON object. It returns when the event is on the
// relay's disk. The relay keeps all of it but the white space between tokens.
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

// Hopeless reports whether the error of a post means that further posts will fail
// too: the slot is gone or full, the token is wrong, or the relay is away. Any other
// error is about that one event.
func Hopeless(err error) bool {
	var lost *LostError
	switch {
	case err == nil, errors.Is(err, ErrNotJSON), errors.Is(err, ErrBadRequest), errors.Is(err, ErrTooLarge):
		return false
	case errors.As(err, &lost):
		// The event may have been stored, so it is not sent again. Others may be
		// sent.
		return !lost.Sent || lost.GaveUp || errors.Is(err, errSlow) || errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded)
	}
	return true
}

// PostMany posts events and yields the result of each, in the order of the events.
//
// With parallel up to 1 it posts them one by one. The slot then has them in that
// order, without those whose post failed. With a higher parallel, that many posts are
// under way at once. This is many times as fast, because the relay writes all posts
// that wait with one sync. The slot then has the events in any order.
//
// It ends after the last event, after the first error that is Hopeless, or when the
// caller stops. It returns when no post is under way any more. With parallel posts
// the results may lag: up to twice as many events may have been posted since.
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
		// The posts whose results were not yielded yet, oldest first. They may be
		// twice as many as run, so that one slow post does not hold up the others.
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
