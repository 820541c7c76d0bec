package journaltest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"

	"cowrelay/cow"
	"cowrelay/cow/event"
	"cowrelay/cow/frame"
)

// trimmed is the slot that events leave. Each event there is posted once.
func (h *crowd) trimmed() cow.ID { return h.slots[2] }

// trim has some of the oldest events leave, or all, and keeps them for judge.
func (a *actor) trim(slot *cow.Slot) error {
	a.trimming.Lock()
	defer a.trimming.Unlock()
	first, end := slot.Positions()
	if first != uint64(len(a.left)) {
		return fmt.Errorf("I2: a slot begins at position %d, and %d events have left", first, len(a.left))
	}
	if first == end {
		return nil
	}
	to := first + 1 + a.r.Uint64N(end-first)
	if a.r.IntN(6) == 0 {
		to = end
	}
	var gone []string
	size := 0
	for pos := first; pos < to; {
		var w cow.Window
		if err := a.s.Window(slot, cow.From(pos), int(to-pos), &w); err != nil {
			return err
		}
		var b bytes.Buffer
		var events []json.RawMessage
		if _, err := w.WriteTo(&b); err != nil {
			return err
		}
		if err := json.Unmarshal(b.Bytes(), &events); err != nil || len(events) == 0 || w.Next() != pos+uint64(len(events)) {
			return fmt.Errorf("a window of %d events from %d says that %d comes next: %v", len(events), pos, w.Next(), err)
		}
		for _, e := range events {
			gone = append(gone, string(e))
			size += len(e)
		}
		pos = w.Next()
	}
	a.trimMu.Lock()
	a.trims[int(to)] = true // readers may see it before Trim returns
	a.trimMu.Unlock()
	n, bytes, err := a.s.Trim(slot, to)
	if err == nil && (n != uint64(len(gone)) || bytes != uint64(size)) {
		err = fmt.Errorf("a trim from %d to %d took %d events of %d bytes, want %d bytes", first, to, n, bytes, size)
	}
	a.left = append(a.left, gone...)
	return err
}

// begin notes where a page of the slot that events leave begins. newest: it was asked for
// by how many events there are behind it.
func (v *view) begin(w *cow.Window, newest bool) {
	oldest, left := w.Trimmed()
	switch at := int(w.Next()) - w.Events(); {
	case left:
		v.left, v.asked, v.since, v.start = true, v.since, "", int(oldest)
	case newest && at > v.start: // there are fewer
		v.left, v.start = true, at
	case v.since == "" && v.start == 0 && at > 0: // from the oldest
		v.left, v.start = true, at
	}
}

// whole puts what has left in front of what a load gives of the slot that events leave.
func (h *crowd) whole(rest []event.Event) []event.Event {
	h.Helper()
	from, err := load(h.j, h.trimmed(), uint64(len(h.left)))
	if err != nil || len(from) != len(rest) {
		h.fatal("I2: %d events have left; a load from there gives %d, one of all %d: %v", len(h.left), len(from), len(rest), err)
	}
	var all []event.Event
	for _, text := range h.left {
		all = append(all, event.Event{JSON: []byte(text), IDOff: uint32(len(`{"event_id":`))})
	}
	return append(all, rest...)
}

// judgeBegin checks a view that begins at the oldest event, as what it was to begin behind
// has left.
func (h *crowd) judgeBegin(n int, v view, at map[string]int) {
	h.Helper()
	if !v.left {
		return
	}
	if !h.trims[v.start] {
		h.fatal("actor %d saw the slot begin at %d, and no trim said so: %v", n, v.start, h.trims)
	}
	if pos, ok := at[v.asked]; ok && v.asked != "" && pos >= v.start {
		h.fatal("actor %d asked for what is behind %s, at %d, and began at %d", n, v.asked, pos, v.start)
	}
}

// judgeTrail checks a stream of the slot that events leave: it goes on with the next event,
// or with the oldest that a trim has left.
func (h *crowd) judgeTrail(n int, v view, at map[string]int, text []string) {
	h.Helper()
	h.judgeBegin(n, v, at)
	next := v.start
	switch pos, ok := at[v.behind]; {
	case v.since != "":
		next = at[v.since] + 1
	case v.live && ok && v.behind != "":
		next = pos + 1
	}
	for i, f := range strings.Split(strings.TrimSuffix(v.text, "\n\n"), "\n\n") {
		id, data, _ := strings.Cut(strings.TrimPrefix(f, "id: "), "\ndata: ")
		pos, ok := at[id]
		if v.ids == frame.Positions {
			p, err := strconv.Atoi(id)
			pos, ok = p, err == nil && p < len(text)
		}
		if !ok || text[pos] != data {
			h.fatal("I6: actor %d got a frame with the id %s, which does not stand there: %.100s", n, id, data)
		}
		if pos < next || pos > next && !h.trims[pos] && !(v.live && i == 0) {
			h.fatal("I6: actor %d got position %d of a stream where %d came next, or the oldest behind a trim: %v", n, pos, next, h.trims)
		}
		next = pos + 1
	}
}
