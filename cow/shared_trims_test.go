package cow_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"sync"
	"time"

	"cowrelay/cow"
	"cowrelay/cow/frame"
)

// trimNotes are what is known of the trims of a slot.
type trimNotes struct {
	mu   sync.Mutex
	to   map[uint64]bool // positions that trims were asked for; guarded by mu
	done uint64          // the furthest that was acknowledged; guarded by mu
}

// trim has some of a slot's oldest events leave. Another store may be faster.
func (n *trimNotes) trim(s *cow.Store, slot *cow.Slot, r *rand.Rand) error {
	first, end := slot.Positions()
	if first == end {
		return nil
	}
	to := first + 1 + r.Uint64N(end-first)
	n.mu.Lock()
	n.to[to] = true // readers may see it before Trim returns
	n.mu.Unlock()
	events, _, err := s.Trim(slot, to)
	switch {
	case errors.Is(err, cow.ErrConflict), errors.Is(err, cow.ErrTrimmed):
		return nil
	case err != nil:
		return fmt.Errorf("trim from %d to %d: %w", first, to, err)
	case events == 0: // it has left already
		return nil
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.done = max(n.done, to)
	return nil
}

func (n *trimNotes) asked(to uint64) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.to[to]
}

// trail is a reader of a slot by streams. When a stream ends within a frame whose rest has
// left, it goes on behind the last whole one.
type trail struct {
	store *cow.Store
	slot  *cow.Slot
	notes *trimNotes
	next  uint64 // position
	err   error  // what is wrong
}

// read reads until stop is closed; if it is nil, to the end.
func (tr *trail) read(stop chan struct{}) {
	buf := make([]byte, frame.MaxPiece)
	for tr.err == nil {
		sub, err := tr.store.Subscribe(tr.slot, cow.From(tr.next), frame.Positions, deaf{})
		if err != nil {
			tr.err = err
			return
		}
		sub.Plain()
		over := tr.follow(sub, buf, stop)
		sub.Close()
		if over {
			return
		}
	}
}

// follow reads one stream. False: it ended within a frame.
func (tr *trail) follow(sub *cow.Subscriber, buf []byte, stop chan struct{}) (over bool) {
	var text strings.Builder
	for {
		data, err := sub.Next(buf)
		switch {
		case errors.Is(err, cow.ErrNotResident):
			err = sub.Load()
			if errors.Is(err, cow.ErrBusy) {
				time.Sleep(time.Millisecond)
				err = nil
			}
		case errors.Is(err, cow.ErrTrimmed):
			return false
		}
		if err != nil {
			tr.err = err
			return true
		}
		if data != nil {
			text.Write(data)
			sub.Wrote(len(data))
			rest := tr.take(text.String())
			text.Reset()
			text.WriteString(rest)
			continue
		}
		if first, end := tr.slot.Positions(); stop == nil && (tr.next >= end || first == end) {
			return true
		}
		select {
		case <-stop:
			return true
		case <-time.After(time.Millisecond):
		}
	}
}

// take checks whole frames and returns what is left of the text.
func (tr *trail) take(text string) string {
	for tr.err == nil {
		f, rest, ok := strings.Cut(text, "\n\n")
		if !ok {
			break
		}
		text = rest
		id, _, _ := strings.Cut(strings.TrimPrefix(f, "id: "), "\n")
		pos, err := strconv.ParseUint(id, 10, 64)
		switch {
		case err != nil:
			tr.err = err
		case pos < tr.next, pos > tr.next && !tr.notes.asked(pos):
			tr.err = fmt.Errorf("position %d came where %d was next, or the oldest behind a trim", pos, tr.next)
		}
		tr.next = pos + 1
	}
	return text
}
