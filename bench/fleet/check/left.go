package check

import (
	"maps"
	"slices"
	"strconv"
	"time"

	"cowrelay/bench/fleet/call"
)

// leftCheck is the check of a slot whose oldest events have left. Each of its events was
// posted by one call. Where they stood is known from all that was seen of them, and what
// nobody saw in time is a hole.
type leftCheck struct {
	r     *Report
	slot  string
	keep  int64
	first int64 // of the reads
	end   int64
	at    map[int64]string // events by position
	pos   map[string]int64 // positions by key
	posts map[string]*call.Call
	most  int64 // bytes of the largest event
}

func anyLeft(reads []Read, slot string) bool {
	return slices.ContainsFunc(reads, func(rd Read) bool { return rd.Slot == slot && rd.First > 0 })
}

func checkLeft(w *World, r *Report, slot string, calls []*call.Call) {
	s := &leftCheck{
		r: r, slot: slot[:min(8, len(slot))], keep: w.Keep, end: -1,
		at: map[int64]string{}, pos: map[string]int64{}, posts: map[string]*call.Call{},
	}
	for _, c := range of(calls, call.Post) {
		for _, e := range c.Events {
			s.posts[e.Key] = c
			s.most = max(s.most, int64(len(e.Text)))
		}
	}
	for _, rd := range w.Reads {
		if rd.Slot != slot {
			continue
		}
		end := rd.First + int64(len(rd.Events))
		if s.end >= 0 && end != s.end {
			r.wrong("slot %s: relay %d shows %d events, another one %d", s.slot, rd.Relay, end, s.end)
		}
		s.end, s.first = max(s.end, end), max(s.first, rd.First)
		s.see("a read of relay "+strconv.Itoa(rd.Relay), rd.First, rd.Events)
		s.mayLeave("a read of relay "+strconv.Itoa(rd.Relay), rd.First, forever)
	}
	r.Events, r.Left = r.Events+int(s.end-s.first), r.Left+int(s.first)
	pulls := of(calls, call.Pull)
	for _, c := range pulls {
		if c.Status == 200 && c.SlotEnd >= 0 && len(c.Got) > 0 {
			s.see(brief(c), c.Next-int64(len(c.Got)), c.Got)
		}
	}
	trails := slices.DeleteFunc(slices.Clone(w.Trails), func(t Trail) bool { return t.Slot != slot })
	for _, t := range trails {
		for _, f := range t.Frames {
			if p, err := strconv.ParseInt(f.ID, 10, 64); t.Positions && err == nil {
				s.see("a stream", p, []string{f.Data})
			}
		}
	}
	s.account()
	s.order()
	for _, c := range pulls {
		s.pull(c)
	}
	for i := range trails {
		s.trail(&trails[i])
	}
}

// see notes events that somebody saw from a position on.
func (s *leftCheck) see(who string, from int64, events []string) {
	for i, text := range events {
		p, key := from+int64(i), keyOf(text)
		c := s.posts[key]
		was, seen := s.at[p]
		at, placed := s.pos[key]
		switch {
		case c == nil || c.Events[0].Text != text:
			s.r.wrong("slot %s: position %d holds what nobody posted, by %s: %.80s", s.slot, p, who, text)
		case c.Outcome() == call.Refused:
			s.r.wrong("slot %s: event %s was refused, and stands at %d", s.slot, key, p)
		case seen && was != text:
			s.r.wrong("slot %s: position %d shows %s by %s, and %s by others", s.slot, p, key, who, keyOf(was))
		case placed && at != p:
			s.r.wrong("slot %s: event %s stands at %d and at %d", s.slot, key, at, p)
		}
		s.at[p], s.pos[key] = text, p
	}
}

// account checks that all that was acknowledged stands somewhere, or stood in a hole.
func (s *leftCheck) account() {
	holes := 0
	for p := range s.end {
		if _, ok := s.at[p]; !ok {
			if holes++; p >= s.first {
				s.r.wrong("slot %s: nothing stands at %d", s.slot, p)
			}
		}
	}
	var unseen []string
	for key, c := range s.posts {
		if _, ok := s.pos[key]; !ok && c.Outcome() == call.Done {
			unseen = append(unseen, key)
		}
	}
	if len(unseen) > holes {
		slices.Sort(unseen)
		s.r.wrong("slot %s: %d events were acknowledged that nobody saw, and only %d places are unknown, so one is lost: %.300q", s.slot, len(unseen), holes, unseen)
	}
}

// order checks that what was acknowledged before a post began stands before it.
func (s *leftCheck) order() {
	var last *call.Call // of those so far, the one that began last
	for _, p := range slices.Sorted(maps.Keys(s.at)) {
		c := s.posts[keyOf(s.at[p])]
		if c == nil {
			continue
		}
		if last != nil && c.Outcome() == call.Done && c.End < last.Begin {
			s.r.wrong("slot %s: position %d was acknowledged at %v; an event that began only at %v stands before it", s.slot, p, c.End.Round(time.Millisecond), last.Begin.Round(time.Millisecond))
			return
		}
		if last == nil || c.Begin > last.Begin {
			last = c
		}
	}
}

// mayLeave checks that the events before a position may have left by a time: a slot keeps
// its newest, so with the one before it there must have been more than that.
func (s *leftCheck) mayLeave(who string, oldest int64, by time.Duration) {
	if oldest == 0 {
		return
	}
	size := int64(0)
	for p := oldest - 1; p < s.end || p < oldest; p++ {
		text, ok := s.at[p]
		if !ok {
			size += s.most
			continue
		}
		if c := s.posts[keyOf(text)]; c != nil && c.Begin > by {
			continue // it came later
		}
		size += int64(len(text))
	}
	if size <= s.keep {
		s.r.wrong("slot %s: the events before %d have left by %s, and with one more there are %d bytes, of %d that stay", s.slot, oldest, who, size, s.keep)
	}
}

// pull checks that a page begins where it must. One that says where the oldest stands, as
// what it points at has left, begins there.
func (s *leftCheck) pull(c *call.Call) {
	if c.Status != 200 {
		return
	}
	if c.SlotEnd < 0 || c.SlotEnd > s.end {
		s.r.wrong("slot %s: %s: it ended at %d then, and ends at %d now: %s", s.slot, brief(c), c.SlotEnd, s.end, c.Text)
		return
	}
	if c.Trimmed >= 0 {
		s.mayLeave(brief(c), c.Trimmed, c.End)
	}
	if len(c.Got) == 0 {
		return
	}
	begin, want := c.Next-int64(len(c.Got)), c.From
	if c.From < 0 {
		p, ok := s.pos[c.Since]
		if !ok || s.posts[c.Since] == nil || s.posts[c.Since].Outcome() != call.Done || s.posts[c.Since].End > c.Begin {
			return // it may have been unknown then
		}
		want = p + 1
	}
	switch {
	case c.Trimmed < 0 && begin != want, c.Trimmed >= 0 && (begin != c.Trimmed || begin < want):
		s.r.wrong("slot %s: %s: a page that must begin at %d begins at %d; what has left ends at %d", s.slot, brief(c), want, begin, c.Trimmed)
	}
}

// trail checks that what a reader got is the slot's order, without what had left when it
// came there.
func (s *leftCheck) trail(t *Trail) {
	s.r.Frames += len(t.Frames)
	s.r.Moves += t.Moves
	if len(t.Refused) > 0 {
		s.r.wrong("slot %s: a stream was refused with status %d", s.slot, t.Refused[0])
	}
	next, sure := int64(0), true
	for i, f := range t.Frames {
		p, ok := s.pos[keyOf(f.Data)]
		if !ok { // nobody else saw where it stood
			if s.posts[keyOf(f.Data)] == nil {
				s.r.wrong("slot %s: a stream got what nobody posted: %.80s", s.slot, f.Data)
				return
			}
			next, sure = next+1, false
			continue
		}
		switch {
		case p < next:
			s.r.wrong("slot %s: a stream got position %d, after %d others and %d moves, where %d came next", s.slot, p, i, t.Moves, next)
			return
		case p > next && sure:
			s.mayLeave("a stream", p, f.At)
		}
		next, sure = p+1, true
	}
	if len(t.Frames) == 0 || next != s.end {
		s.r.wrong("slot %s: a stream came to position %d of %d after %d moves", s.slot, next, s.end, t.Moves)
	}
}
