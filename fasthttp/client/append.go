package client

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"hash/maphash"
	"time"
)

// settle is how long an Appender looks for a batch whose answer was lost before it
// takes it for not stored. The relay may still be at work on it.
const settle = 2 * time.Second

// Appender posts batches to a slot one after the other, so that each event is stored
// once and in order even if answers are lost and events have no ids.
//
// It knows the position behind the last batch that was acknowledged. If the answer
// to a batch is lost, it reads what stands behind that position. A batch is stored
// side by side or not at all, so it is there as a whole, with events of other
// writers before and behind it, or it is not there. If it is there, that is the
// result. If not, the Appender sends it again.
//
//	post ─▶ answer ───────────────────────────────▶ result
//	  ▲ └─▶ none ─▶ read behind the last position ─┬▶ found: result
//	  └──────────── not found ─────────────────────┘
//
// Two things it can't know. An equal run of events without ids that another writer
// stored in that time counts as this one's. And a post that is held up on its way for
// longer than two seconds after its connection broke may be stored after its repetition.
// Events with ids are safe from both: the relay stores an id once, so they are sent
// again whenever they were not found.
//
// An Appender belongs to one goroutine.
type Appender struct {
	slot  *Slot
	next  uint64 // no event of the batches to come lies before it
	known bool   // next is known
}

// Appender returns an Appender that begins at the slot's present end. It asks the
// relay for it. A token that may only post gets no answer to that: what was lost can't
// be looked for then.
func (s *Slot) Appender(ctx context.Context) (*Appender, error) {
	a := &Appender{slot: s}
	var err error
	if a.next, a.known, err = s.end(ctx); errors.Is(err, ErrMissingRight) {
		err = nil
	}
	return a, err
}

// Next returns the position behind the last batch that was acknowledged, and whether
// it is known. Before the first batch it is where the slot ended.
func (a *Appender) Next() (uint64, bool) { return a.next, a.known }

// PostLines stores a batch of lines, as [Slot.PostLines] does.
//
// If the answer is lost and it can't be found out whether the batch is stored, the
// error is a LostError whose Sent is true.
func (a *Appender) PostLines(ctx context.Context, lines []byte) (Batch, error) {
	got, err := a.slot.postLines(ctx, lines, false)
	if err == nil {
		a.next, a.known = got.Next, true
	}
	if !unknown(err) || ctx.Err() != nil {
		return got, err
	}
	sent, b := readLines(lines), a.slot.client.newBackoff()
	for {
		found, err2 := a.find(ctx, sent)
		if found != nil || err2 != nil && !sent.ids || !b.wait(ctx, err) {
			if found == nil {
				return Batch{Repeated: true}, a.gaveUp(err, err2)
			}
			return *found, err2
		}
		if got, err = a.slot.postLines(ctx, lines, sent.ids); err == nil {
			a.next, a.known = got.Next, true
			b.back()
		}
		if got.Repeated = true; !unknown(err) || ctx.Err() != nil {
			return got, err
		}
	}
}

// unknown says that a batch may be stored or not: the answer was lost, or a proxy
// answered in place of the relay.
func unknown(err error) bool {
	var lost *LostError
	var no *Error
	if errors.As(err, &lost) {
		return lost.Sent
	}
	return errors.As(err, &no) && no.Status >= 500 && !no.notNow()
}

// gaveUp returns the error of a batch that may be stored. looked is why that can't be
// found out, or nil: there was no time left to send it again.
func (a *Appender) gaveUp(err, looked error) error {
	out := &LostError{Relay: a.slot.client.base, Sent: true, Err: err, GaveUp: true}
	var lost *LostError
	if errors.As(err, &lost) {
		out.Err = lost.Err
	}
	if looked != nil {
		out.Err = fmt.Errorf("%w; whether it stored the events can't be found out: %w", out.Err, looked)
		out.GaveUp = errors.Is(looked, ErrUnreachable)
	}
	return out
}

var errUnknownPlace = errors.New("where the slot ended is not known")

// find looks for a batch behind the last known position. Without an error it returns
// nil if the batch is not there.
func (a *Appender) find(ctx context.Context, sent *sentLines) (*Batch, error) {
	if !a.known {
		return nil, errUnknownPlace
	}
	for end := time.Now().Add(settle); ; {
		run := sent.search()
		for e, err := range a.slot.Pull(ctx, At(a.next), 0) {
			if err != nil {
				return nil, err
			}
			pos, _ := e.Cursor.Position()
			if run.add(e.JSON, pos); run.whole() {
				break
			}
		}
		best := run.end()
		switch {
		case best.n == len(sent.lines):
			a.next = best.next
			return &Batch{Stored: best.n, Next: a.next, Repeated: true}, nil
		case sent.ids: // it may be sent again even while the relay is still at work on it
			return nil, nil
		case best.n > 0:
			a.next = best.next
			return a.rest(ctx, sent, best)
		case time.Now().After(end):
			return nil, nil
		}
		select {
		case <-time.After(settle / 8):
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// rest completes a batch that was found but for events with ids. They were
// duplicates, or the run is another writer's: sending them again is right in both
// cases.
func (a *Appender) rest(ctx context.Context, sent *sentLines, found openRun) (*Batch, error) {
	var lines []byte
	for _, n := range found.missing {
		lines = append(append(lines, sent.lines[n].text...), '\n')
	}
	b, err := a.slot.postLines(ctx, lines, true)
	if err == nil && b.Stored > 0 {
		a.next = b.Next
	}
	b.Stored, b.Next, b.Repeated = b.Stored+found.n, a.next, true
	return &b, err
}

// sentLines is a batch as the relay would store it.
type sentLines struct {
	seed  maphash.Seed
	lines []sentLine
	ids   bool // each has an id
}

// sentLine is one event of the batch.
type sentLine struct {
	text  []byte // as it was sent
	sum   uint64 // of the bytes that would be stored
	hasID bool   // so it may be a duplicate, which is not stored
}

func readLines(text []byte) *sentLines {
	s := &sentLines{seed: maphash.MakeSeed(), ids: true}
	var event bytes.Buffer
	for line := range bytes.Lines(text) {
		if line = bytes.TrimSpace(line); len(line) == 0 {
			continue
		}
		event.Reset()
		if json.Compact(&event, line) != nil {
			event.Reset() // the relay will refuse it
		}
		l := sentLine{line, maphash.Bytes(s.seed, event.Bytes()), EventID(event.Bytes()) != ""}
		s.lines = append(s.lines, l)
		s.ids = s.ids && l.hasID
	}
	return s
}

// search returns a search for the batch.
func (s *sentLines) search() *runSearch { return &runSearch{sentLines: s} }

// runSearch looks for a batch among the events of a slot, which it is given one by
// one. Of a batch that is stored, only events with an id may be missing, because they
// were duplicates.
type runSearch struct {
	*sentLines
	open []openRun // runs that may go on
	best openRun   // the longest that holds all that must be there
}

// openRun is events that stand side by side and are the beginning of the batch.
type openRun struct {
	line    int    // the line that comes next
	n       int    // events of it so far
	next    uint64 // the position behind the last of them
	missing []int  // lines that were passed over
}

// add takes the next event of the slot. next is the position behind it.
func (r *runSearch) add(event []byte, next uint64) {
	sum := maphash.Bytes(r.seed, event)
	r.open = append(r.open, openRun{}) // a run may begin here
	kept := r.open[:0]
	for _, o := range r.open {
		before := o
		for o.line < len(r.lines) && r.lines[o.line].sum != sum && r.lines[o.line].hasID {
			o.missing = append(o.missing, o.line)
			o.line++
		}
		switch {
		case o.line == len(r.lines):
			r.complete(before) // it ended before this event
		case r.lines[o.line].sum == sum:
			o.line, o.n, o.next = o.line+1, o.n+1, next
			kept = append(kept, o)
		}
	}
	r.open = kept
}

// complete takes a run that has ended, if nothing is missing but what has an id.
func (r *runSearch) complete(o openRun) {
	for ; o.line < len(r.lines); o.line++ {
		if !r.lines[o.line].hasID {
			return
		}
		o.missing = append(o.missing, o.line)
	}
	if o.n > r.best.n {
		r.best = o
	}
}

// whole says that the whole batch was found. It is looked for after each event.
func (r *runSearch) whole() bool {
	return len(r.open) > 0 && r.open[0].n == len(r.lines)
}

// end returns the longest run, after the last event of the slot. Its n is 0 if there
// is none.
func (r *runSearch) end() openRun {
	for _, o := range r.open {
		r.complete(o)
	}
	return r.best
}
