package check

import (
	"slices"
	"time"

	"github.com/anishathalye/porcupine"

	"cowrelay/bench/fleet/call"
)

// pulls checks each page against the slot's order. A page may be old, but not
// wrong: it begins where it was asked to, has no gap, and shows at least what its
// relay has shown or acknowledged before.
func (s *slotCheck) pulls(calls []*call.Call) {
	for _, c := range of(calls, call.Pull) {
		if c.Status != 200 {
			continue
		}
		if c.SlotEnd < 0 {
			s.r.wrong("slot %s: %s: %s", s.slot, brief(c), c.Text)
			continue
		}
		begin, sure := s.beginOf(c)
		if c.SlotEnd > int64(len(s.final)) {
			s.r.wrong("slot %s: %s: it ended at %d then, and has %d events now", s.slot, brief(c), c.SlotEnd, len(s.final))
			continue
		}
		if !sure && len(c.Got) > 0 { // either place is right
			if i := slices.Index(s.final, c.Got[0]); i == 0 || i == begin {
				begin = i
			}
		}
		if begin+len(c.Got) > int(c.SlotEnd) && len(c.Got) > 0 {
			s.r.wrong("slot %s: %s: a page from %d with %d events, of a slot that ends at %d", s.slot, brief(c), begin, len(c.Got), c.SlotEnd)
			continue
		}
		for i, text := range c.Got {
			if want := s.final[begin+i]; want != text {
				s.r.wrong("slot %s: %s: position %d shows %s, where %s stands", s.slot, brief(c), begin+i, keyOf(text), keyOf(want))
				break
			}
		}
		if len(c.Got) > 0 && c.Next != int64(begin+len(c.Got)) {
			s.r.wrong("slot %s: %s: a page from %d with %d events says that the next begins at %d", s.slot, brief(c), begin, len(c.Got), c.Next)
		}
	}
	s.forward(calls)
}

// beginOf is where a page must begin. sure is false if the event that it begins
// behind may have been unknown to all relays then: the page may also begin with the
// oldest.
func (s *slotCheck) beginOf(c *call.Call) (begin int, sure bool) {
	if c.From >= 0 {
		return int(c.From), true
	}
	f := s.fates[c.Since]
	if c.Since == "" || f == nil || f.pos < 0 {
		return 0, true
	}
	return f.pos + 1, f.end < c.Begin
}

// forward checks that no relay goes back behind what it has shown or acknowledged.
func (s *slotCheck) forward(calls []*call.Call) {
	type seen struct {
		at  time.Duration
		end int64
		c   *call.Call
	}
	by := map[int][]seen{}
	for _, c := range calls {
		var end int64
		switch {
		case c.Outcome() != call.Done:
			continue
		case c.Op == call.Pull:
			end = c.SlotEnd
		case c.Op == call.Post && s.fates[c.Events[0].Key].pos >= 0:
			end = int64(s.fates[c.Events[0].Key].pos) + 1
		case c.Op == call.Batch:
			end = c.Next
		}
		if end > 0 {
			by[c.Relay] = append(by[c.Relay], seen{c.End, end, c})
		}
	}
	for _, list := range by {
		slices.SortFunc(list, func(a, b seen) int { return int(a.at - b.at) })
		for i := 1; i < len(list); i++ { // the furthest up to then
			if list[i].end < list[i-1].end {
				list[i].end, list[i].c = list[i-1].end, list[i-1].c
			}
		}
		for _, c := range of(calls, call.Pull) {
			if c.Status != 200 {
				continue
			}
			mine := by[c.Relay]
			n, _ := slices.BinarySearchFunc(mine, c.Begin, func(x seen, t time.Duration) int { return int(x.at - t) })
			if n > 0 && n <= len(mine) && mine[n-1].c != c && mine[n-1].end > c.SlotEnd && c.SlotEnd >= 0 {
				s.r.wrong("slot %s: %s: the slot ended at %d, after the same relay had come to %d: %s", s.slot, brief(c), c.SlotEnd, mine[n-1].end, brief(mine[n-1].c))
			}
		}
	}
}

// slotStep is an act on a slot as the search for a linear order takes it. A slot's
// state is how many events it has.
type slotStep struct {
	at, n int // events that come to stand at `at`; n == 0: a read that saw `at` events
}

// consistent looks for a linear order of posts and consistent pulls.
func (s *slotCheck) consistent(w *World, calls []*call.Call) {
	var ops []porcupine.Operation
	add := func(step slotStep, begin, end time.Duration) {
		ops = append(ops, porcupine.Operation{ClientId: len(ops), Input: step, Call: int64(begin), Return: int64(end)})
	}
	reads := 0
	whole := map[int]bool{} // positions that came with a batch
	for _, c := range of(calls, call.Batch) {
		at, all := s.fresh(c)
		if !all || len(at) != len(c.Events) || len(at) == 0 || at[len(at)-1]-at[0] != len(at)-1 {
			continue
		}
		for _, p := range at {
			whole[p] = true
		}
		end := forever
		if c.Outcome() == call.Done {
			end = c.End
		}
		add(slotStep{at[0], len(at)}, c.Begin, end)
	}
	for _, f := range s.fates {
		if f.pos >= 0 && !whole[f.pos] {
			add(slotStep{f.pos, 1}, f.begin, f.end)
		}
	}
	for _, c := range of(calls, call.Pull) {
		if c.Consistent && c.Status == 200 && c.SlotEnd >= 0 {
			reads++
			add(slotStep{int(c.SlotEnd), 0}, c.Begin, c.End)
		}
	}
	if reads == 0 {
		return
	}
	model := porcupine.Model{
		Init: func() any { return 0 },
		Step: func(state, input, _ any) (bool, any) {
			step := input.(slotStep)
			return step.at == state.(int), state.(int) + step.n
		},
	}
	s.r.linear(w, model, ops, "slot "+s.slot+": consistent pulls")
}

// linear looks for a linear order.
func (r *Report) linear(w *World, model porcupine.Model, ops []porcupine.Operation, what string) {
	switch porcupine.CheckOperationsTimeout(model, ops, w.Limit) {
	case porcupine.Ok:
		r.Linear++
	case porcupine.Illegal:
		r.wrong("%s are not linearizable (%d acts)", what, len(ops))
	default:
		r.Undecided = append(r.Undecided, what)
	}
}
