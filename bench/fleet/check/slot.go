package check

import (
	"encoding/json"
	"slices"
	"strconv"
	"time"

	"cowrelay/bench/fleet/call"
)

// forever is the end of what may happen at any time.
const forever = time.Duration(1<<62 - 1)

// fate is what is known of one event of a slot.
type fate struct {
	key    string
	texts  []string      // as posted; calls may post one id with other members
	begin  time.Duration // it can't be stored before: the first call's begin
	end    time.Duration // it is stored then: the first acknowledgement, or forever
	acked  bool
	calls  int
	stored []*call.Call // posts of one event that were answered "stored"
	maybe  bool         // some call's outcome is unknown
	pos    int          // in the slot, or -1
}

// slotCheck is the check of one slot.
type slotCheck struct {
	r     *Report
	slot  string
	final []string // the slot's events in order
	fates map[string]*fate
}

func checkSlot(w *World, r *Report, slot string, calls []*call.Call) {
	s := &slotCheck{r: r, slot: slot[:min(8, len(slot))], fates: map[string]*fate{}}
	if !s.agree(w.Reads, slot) {
		return
	}
	r.Events += len(s.final)
	s.collect(calls)
	s.place()
	s.batches(calls)
	s.order()
	s.pulls(calls)
	s.consistent(w, calls)
	for i := range w.Trails {
		if w.Trails[i].Slot == slot {
			s.trail(&w.Trails[i])
		}
	}
}

// agree takes the slot's order from a full read. All relays must show the same.
func (s *slotCheck) agree(reads []Read, slot string) bool {
	first := -1
	for i, rd := range reads {
		if rd.Slot != slot {
			continue
		}
		if first < 0 {
			first, s.final = i, rd.Events
			continue
		}
		if at := differ(s.final, rd.Events); at >= 0 {
			s.r.wrong("slot %s: relays %d and %d differ at position %d (%d and %d events)",
				s.slot, reads[first].Relay, rd.Relay, at, len(s.final), len(rd.Events))
			return false
		}
	}
	return true
}

// differ returns the first place where both differ, or -1.
func differ(a, b []string) int {
	for i := range max(len(a), len(b)) {
		if i >= len(a) || i >= len(b) || a[i] != b[i] {
			return i
		}
	}
	return -1
}

// collect gathers what was posted.
func (s *slotCheck) collect(calls []*call.Call) {
	for _, c := range of(calls, call.Post, call.Batch) {
		for _, e := range c.Events {
			f := s.fates[e.Key]
			if f == nil {
				f = &fate{key: e.Key, begin: c.Begin, end: forever, pos: -1}
				s.fates[e.Key] = f
			}
			f.calls++
			f.begin = min(f.begin, c.Begin)
			if !slices.Contains(f.texts, e.Text) {
				f.texts = append(f.texts, e.Text)
			}
			switch c.Outcome() {
			case call.Done:
				f.acked, f.end = true, min(f.end, c.End)
				if c.Op == call.Post && !c.Duplicate {
					f.stored = append(f.stored, c)
				}
			case call.Unknown:
				f.maybe = true
			}
		}
	}
	for _, f := range s.fates {
		if len(f.stored) > 1 {
			s.r.wrong("slot %s: event %s was answered as stored twice: %s, and %s", s.slot, f.key, brief(f.stored[0]), brief(f.stored[1]))
		}
	}
}

// place finds each event in the slot's order.
func (s *slotCheck) place() {
	for i, text := range s.final {
		f := s.fates[keyOf(text)]
		switch {
		case f == nil || !slices.Contains(f.texts, text):
			s.r.wrong("slot %s: position %d holds what nobody posted: %.80s", s.slot, i, text)
		case f.pos >= 0:
			s.r.wrong("slot %s: event %s stands at %d and at %d", s.slot, f.key, f.pos, i)
		case !f.acked && !f.maybe:
			s.r.wrong("slot %s: event %s was refused, and stands at %d", s.slot, f.key, i)
			f.pos = i
		default:
			f.pos = i
		}
	}
	for _, f := range s.fates {
		if f.acked && f.pos < 0 {
			s.r.wrong("slot %s: event %s was acknowledged at %v and is lost", s.slot, f.key, f.end.Round(time.Millisecond))
		}
	}
}

// keyOf is the key of an event: its id, or its mark.
func keyOf(text string) string {
	var e struct {
		ID   string `json:"event_id"`
		Mark string `json:"mark"`
	}
	_ = json.Unmarshal([]byte(text), &e) // then it has no key, and nobody posted it
	if e.ID != "" {
		return e.ID
	}
	return e.Mark
}

// fresh are the events of a batch that no other call posted, as positions. all says
// that none is missing.
func (s *slotCheck) fresh(c *call.Call) (at []int, all bool) {
	all = true
	for _, e := range c.Events {
		if f := s.fates[e.Key]; f.calls == 1 {
			at = append(at, f.pos)
			all = all && f.pos >= 0
		}
	}
	return at, all
}

// beside says whether b follows a with nothing but events of the batch between them:
// such as others posted, too.
func (s *slotCheck) beside(c *call.Call, a, b int) bool {
	for i := a + 1; i < b; i++ {
		key := keyOf(s.final[i])
		if !slices.ContainsFunc(c.Events, func(e call.Event) bool { return e.Key == key }) {
			return false
		}
	}
	return a < b
}

// batches checks that each was stored as a whole and side by side.
func (s *slotCheck) batches(calls []*call.Call) {
	for _, c := range of(calls, call.Batch) {
		at, all := s.fresh(c)
		for i := 1; i < len(at); i++ {
			if at[0] < 0 != (at[i] < 0) {
				s.r.wrong("slot %s: half a batch was stored: %s", s.slot, brief(c))
				break
			}
			if at[i] >= 0 && !s.beside(c, at[i-1], at[i]) {
				s.r.wrong("slot %s: events of a batch stand at %d and %d: %s", s.slot, at[i-1], at[i], brief(c))
				break
			}
		}
		if c.Outcome() != call.Done {
			continue
		}
		if c.Stored+c.Duplicates != len(c.Events) || c.Stored < len(at) {
			s.r.wrong("slot %s: a batch of %d events, %d of them new to all, was answered as %d stored and %d duplicates", s.slot, len(c.Events), len(at), c.Stored, c.Duplicates)
		}
		if all && len(at) == len(c.Events) && c.Next != int64(at[len(at)-1])+1 {
			s.r.wrong("slot %s: a batch ends at %d and was answered with next %d", s.slot, at[len(at)-1], c.Next)
		}
	}
}

// order checks that what was acknowledged before a post began stands before it.
func (s *slotCheck) order() {
	var last *fate // of those so far, the one that began last
	for _, text := range s.final {
		f := s.fates[keyOf(text)]
		if f == nil {
			continue
		}
		if last != nil && f.end < last.begin {
			s.r.wrong("slot %s: event %s was acknowledged at %v; %s began only at %v, and stands before it",
				s.slot, f.key, f.end.Round(time.Millisecond), last.key, last.begin.Round(time.Millisecond))
			return
		}
		if last == nil || f.begin > last.begin {
			last = f
		}
	}
}

// trail checks that a reader that moved missed and repeated nothing.
func (s *slotCheck) trail(t *Trail) {
	s.r.Frames += len(t.Frames)
	s.r.Moves += t.Moves
	got := make([]string, len(t.Frames))
	for i, f := range t.Frames {
		got[i] = f.Data
	}
	if len(t.Refused) > 0 {
		s.r.wrong("slot %s: a stream was refused with status %d", s.slot, t.Refused[0])
	}
	at := differ(got, s.final)
	if at < 0 {
		return
	}
	switch {
	case at == len(got):
		s.r.wrong("slot %s: a stream got %d of %d events after %d moves", s.slot, at, len(s.final), t.Moves)
	case slices.Contains(got[:at], got[at]):
		s.r.wrong("slot %s: a stream got event %s twice, after %d others and %d moves", s.slot, keyOf(got[at]), at, t.Moves)
	case slices.Contains(s.final, got[at]):
		s.r.wrong("slot %s: a stream got %s where %s stands at %s", s.slot, keyOf(got[at]), s.keyAt(at), strconv.Itoa(at))
	default:
		s.r.wrong("slot %s: a stream got %s, which is not stored", s.slot, keyOf(got[at]))
	}
}

func (s *slotCheck) keyAt(i int) string {
	if i < len(s.final) {
		return keyOf(s.final[i])
	}
	return "nothing"
}
