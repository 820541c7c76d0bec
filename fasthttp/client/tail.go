package client

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"mime"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// noID is an id that no event can have: the relay takes at most 128 bytes. A
// stream behind it begins at the slot's beginning.
var noID = strings.Repeat("-", 129)

// Tail yields the events behind the cursor, and then each event that is posted,
// until ctx ends. It reads a stream of the relay. When the stream breaks, falls
// silent or is ended by the relay, Tail connects again and goes on behind the last
// event, for as long as that takes. Before it connects it waits for as long as the
// relay asked, else for a short time that grows.
//
//	open -> read events -> broken, silent or ended -> wait -> open ...
//
// It goes on by position, so it does not matter whether events have ids. Before each
// stream it asks the relay whether it has positions. At a relay without them it goes
// on from the last event that has an id, and drops those behind it that it has
// yielded. So no event is lost or repeated, as long as the relay keeps what it
// acknowledged.
//
// It ends with an error when ctx ends, when the slot is gone or the token is wrong,
// and when the answer does not come from a relay.
func (s *Slot) Tail(ctx context.Context, from Cursor) iter.Seq2[Event, error] {
	return func(yield func(Event, error) bool) {
		t := s.newTail(from)
		t.known = true
		t.run(ctx, yield)
	}
}

// TailNew is Tail from now on: it yields the events that are posted after the call.
//
// At a relay without positions it counts the slot's events before and after it opens
// the stream. If the counts are equal, the stream began behind the last of them. If
// they differ, it reads the slot from its beginning and drops the events that were
// there before.
func (s *Slot) TailNew(ctx context.Context) iter.Seq2[Event, error] {
	return func(yield func(Event, error) bool) { s.newTail(Cursor{}).run(ctx, yield) }
}

// tail is a stream over its connections.
type tail struct {
	slot  *Slot
	at    Cursor // behind the last event that was yielded
	known bool   // at is set; else the tail begins now
	*backoff

	retry    time.Duration // the wait that the relay asked for
	hasRetry bool
}

func (s *Slot) newTail(from Cursor) *tail {
	t := &tail{slot: s, at: from, backoff: s.client.newBackoff()}
	t.until = time.Time{}
	return t
}

func (t *tail) run(ctx context.Context, yield func(Event, error) bool) {
	for {
		err := t.follow(ctx, yield)
		if err == nil {
			return // the caller has enough
		}
		if !t.again(ctx, err) {
			if cause := context.Cause(ctx); cause != nil {
				err = cause
			}
			yield(Event{}, err)
			return
		}
	}
}

// again waits for the next connection. It returns false if there is none.
func (t *tail) again(ctx context.Context, err error) bool {
	var no *Error
	switch {
	case ctx.Err() != nil:
		return false
	case errors.As(err, &no):
		if !no.notNow() && no.Status < 500 {
			return false
		}
	case errors.Is(err, ErrReply), errors.Is(err, ErrNoCursor):
		return false
	}
	if t.hasRetry {
		t.hasRetry = false
		return t.sleep(ctx, err, min(t.retry, t.client.opts.MaxRetry))
	}
	return t.wait(ctx, err)
}

// follow reads one connection. It returns nil when the caller has enough.
func (t *tail) follow(ctx context.Context, yield func(Event, error) bool) error {
	body, drop, positions, err := t.open(ctx)
	if err != nil {
		return err
	}
	defer body.Close()
	t.back()
	if f := t.client.opts.OnOpen; f != nil {
		f()
	}
	f := newFrames(body)
	opened := time.Now()
	defer func() {
		t.retry, t.hasRetry = f.retry, f.hasRetry
		if time.Since(opened) > t.client.opts.MaxWait { // after a short connection the waits go on growing
			t.next = t.client.opts.MinWait
		}
	}()
	for {
		fr, err := f.next()
		switch {
		case err == nil:
		case errors.Is(err, ErrReply):
			return err
		case err == io.EOF:
			return &LostError{Relay: t.client.base, Sent: true, Err: errors.New("the relay ended the stream")}
		default:
			return t.client.lost(ctx, true, err)
		}
		if fr.kind != "" && fr.kind != "message" {
			continue
		}
		if drop > 0 {
			drop--
			continue
		}
		e := Event{JSON: append([]byte(nil), fr.data...), ID: EventID(fr.data)}
		var behind uint64 // the event
		if positions {
			pos, err := strconv.ParseUint(fr.id, 10, 63)
			if err != nil || !fr.own {
				return fmt.Errorf("%w: %s has positions, and sent an event with the id %s", ErrReply, t.client.base, quote(fr.id))
			}
			behind = pos + 1
		} else if e.ID == "" && fr.own {
			e.ID = fr.id
		}
		t.at, t.next = t.at.pass(e.ID, behind), t.client.opts.MinWait
		e.Cursor = t.at
		if !yield(e, nil) {
			return nil
		}
	}
}

// open opens the stream. The first drop events of the stream are not behind the
// cursor: the caller drops them. With positions, the ids of the stream are those.
func (t *tail) open(ctx context.Context) (body io.ReadCloser, drop int, positions bool, err error) {
	r, err := t.client.try(ctx, t.slot.pageCall("", 0, 0))
	if err != nil {
		return nil, 0, false, err
	}
	p, err := t.slot.readPage(r, 0)
	if err != nil {
		return nil, 0, false, err
	}
	if !p.positions {
		body, drop, err = t.openByID(ctx)
		return body, drop, false, err
	}
	if !t.known {
		t.at, t.known = At(p.end), true
	}
	pos, known := t.at.Position()
	switch {
	case !known:
		body, err = t.connect(ctx, "?ids=position&since="+url.QueryEscape(t.at.ID))
		return body, t.at.Skip, true, err
	case pos > p.end:
		return nil, 0, true, endsBefore(t.at, p.end)
	}
	body, err = t.connect(ctx, "?ids=position&from="+strconv.FormatUint(pos, 10))
	return body, 0, true, err
}

// openByID opens the stream of a relay without positions.
func (t *tail) openByID(ctx context.Context) (body io.ReadCloser, drop int, err error) {
	live := !t.known
	if live {
		before, err := t.count(ctx)
		if err != nil {
			return nil, 0, err
		}
		t.at, t.known = At(uint64(before)), true
		body, err = t.connect(ctx, "")
		if err != nil {
			return nil, 0, err
		}
		// With equal counts before and after, the stream began behind these events.
		after, err := t.count(ctx)
		if err == nil && after == before {
			return body, 0, nil
		}
		body.Close()
		if err != nil {
			return nil, 0, err
		}
	}
	id := t.at.ID
	if id == "" {
		id = noID
	}
	// In the query, because a header can't hold every id.
	body, err = t.connect(ctx, "?since="+url.QueryEscape(id))
	return body, t.at.Skip, err
}

func (t *tail) count(ctx context.Context) (int, error) {
	st, err := t.slot.State(ctx)
	if err != nil {
		return 0, err
	}
	return int(st.EventCount), nil
}

// connect makes one connection. The query says where the stream begins; without one
// it has what is posted from now on. Reading the body fails after silence.
func (t *tail) connect(ctx context.Context, query string) (io.ReadCloser, error) {
	c := t.client
	ctx, cancel := context.WithCancelCause(ctx)
	q := call{method: http.MethodGet, path: t.slot.eventsPath() + "/stream" + query, token: t.slot.Token}
	w := &watched{ctx: ctx, cancel: cancel, silence: c.opts.Silence}
	w.timer = time.AfterFunc(w.silence, func() { cancel(errSilent) })
	var sent bool
	req, err := c.request(ctx, q, &sent)
	if err != nil {
		w.stop()
		return nil, err
	}
	req.Header.Set("Accept", "text/event-stream")
	res, err := c.http.Do(req)
	if err != nil {
		err = c.lost(ctx, sent, err)
		w.stop()
		return nil, err
	}
	w.body = res.Body
	if res.StatusCode != http.StatusOK {
		defer w.Close()
		return nil, c.refusal(ctx, res)
	}
	if kind, _, _ := mime.ParseMediaType(res.Header.Get("Content-Type")); kind != "text/event-stream" {
		w.Close()
		return nil, fmt.Errorf("%w: %s answered a stream with Content-Type %s", ErrReply, c.base, quote(res.Header.Get("Content-Type")))
	}
	w.timer.Stop()
	return w, nil
}

// watched is a body whose reads fail when one takes longer than silence.
type watched struct {
	body    io.ReadCloser
	ctx     context.Context
	cancel  context.CancelCauseFunc
	timer   *time.Timer
	silence time.Duration
}

// Read times nothing but the read itself: a slow caller is not a silent relay.
func (w *watched) Read(p []byte) (int, error) {
	w.timer.Reset(w.silence)
	n, err := w.body.Read(p)
	w.timer.Stop()
	if err != nil && err != io.EOF {
		if cause := context.Cause(w.ctx); cause != nil {
			err = cause
		}
	}
	return n, err
}

// Close ends the connection.
func (w *watched) Close() error {
	w.stop()
	return w.body.Close()
}

func (w *watched) stop() {
	w.timer.Stop()
	w.cancel(context.Canceled)
}
