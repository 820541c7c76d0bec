package check

import (
	"maps"
	"slices"
	"time"

	"cowrelay/bench/fleet/call"
)

// A Sum is what a relay shows after all was over: what it counts, and the responder health
// of the shared slots.
type Sum struct {
	Relay  int
	Totals call.Totals
	Health map[string]string
}

// Same says whether two relays show the same.
func (s *Sum) Same(o *Sum) bool { return s.Totals == o.Totals && maps.Equal(s.Health, o.Health) }

// checkTotals checks that all relays count the same, and what was acknowledged, once. What
// is unknown may count. The last pairs before a crash may not.
func checkTotals(w *World, r *Report) {
	if len(w.Sums) == 0 {
		return
	}
	for i := range w.Sums {
		if a, b := &w.Sums[0], &w.Sums[i]; !a.Same(b) {
			r.wrong("relays %d and %d show different sums: %+v and %+v", a.Relay, b.Relay, *a, *b)
			return
		}
	}
	var least, perhaps call.Totals
	add := func(c *call.Call, n *int, maybe *int, done, unknown int) {
		switch c.Outcome() {
		case call.Done:
			*n += done
		case call.Unknown:
			*maybe += unknown
		}
	}
	codes := map[string]bool{}
	for _, c := range w.Calls {
		switch c.Op {
		case call.Allocate:
			add(c, &least.Slots, &perhaps.Slots, 1, 1)
		case call.Post:
			done := 1
			if c.Duplicate {
				done = 0
			}
			add(c, &least.Events, &perhaps.Events, done, 1)
		case call.Batch:
			add(c, &least.Events, &perhaps.Events, c.Stored, len(c.Events))
		case call.Claim:
			add(c, &least.Claims, &perhaps.Claims, 1, 1)
			first := 1
			if c.Again {
				first = 0
			}
			add(c, &least.FirstClaims, &perhaps.FirstClaims, first, 1)
		case call.Pair:
			codes[c.Key] = true
		}
	}
	perhaps.Pairs = len(codes)
	now := w.Sums[0].Totals
	for _, t := range []struct {
		what                        string
		before, now, least, perhaps int
	}{
		{"slots", w.Before.Slots, now.Slots, least.Slots, perhaps.Slots},
		{"events", w.Before.Events, now.Events, least.Events, perhaps.Events},
		{"claims", w.Before.Claims, now.Claims, least.Claims, perhaps.Claims},
		{"first claims", w.Before.FirstClaims, now.FirstClaims, least.FirstClaims, perhaps.FirstClaims},
		{"pairs", w.Before.Pairs, now.Pairs, least.Pairs, perhaps.Pairs},
	} {
		if n := t.now - t.before; n < t.least || n > t.least+t.perhaps {
			r.wrong("the total of %s grew by %d; %d are acknowledged, and %d more may have happened", t.what, n, t.least, t.perhaps)
		}
	}
}

// checkBlocks checks that a block holds on all relays a second later, and so does its end.
func checkBlocks(w *World, r *Report, slot string, calls []*call.Call) {
	blocked, lifted, mayBeBlocked, mayBeLifted := forever, forever, forever, forever
	for _, c := range of(calls, call.Block, call.Unblock) {
		began, done := &mayBeBlocked, &blocked
		if c.Op == call.Unblock {
			began, done = &mayBeLifted, &lifted
		}
		*began = min(*began, c.Begin)
		if c.Outcome() == call.Done {
			*done = min(*done, c.End)
		}
	}
	for _, c := range of(calls, call.Post, call.Pull) {
		name := slot[:min(8, len(slot))]
		switch {
		case c.Barred && c.End < mayBeBlocked:
			r.wrong("slot %s is not blocked, and refuses as if it were: %s", name, brief(c))
		case c.Barred && lifted < forever && lifted+deadline < c.Begin && w.calm(lifted, c.End):
			r.wrong("the block of slot %s was lifted at %v and holds: %s", name, lifted.Round(time.Millisecond), brief(c))
		case c.Outcome() == call.Done && blocked < forever && blocked+deadline < c.Begin && c.End < mayBeLifted && w.calm(blocked, c.End):
			r.wrong("slot %s was blocked at %v and serves: %s", name, blocked.Round(time.Millisecond), brief(c))
		}
	}
}

// checkHealth checks that a state shows a responder health that was set, and no older one
// than a second ago.
func checkHealth(w *World, r *Report, slot string, calls []*call.Call) {
	set := map[string]*call.Call{}
	sets := of(calls, call.Health)
	for _, c := range sets {
		set[c.Value] = c
	}
	name := slot[:min(8, len(slot))]
	for _, c := range of(calls, call.State) {
		if c.Outcome() != call.Done {
			continue
		}
		was := set[c.Value]
		end := time.Duration(-1) // of the act that set what was read
		switch {
		case c.Value == "":
		case was == nil || was.Begin > c.End || was.Outcome() == call.Refused:
			r.wrong("slot %s: its state shows a health that nobody had set: %s", name, brief(c))
			continue
		case was.Outcome() == call.Unknown:
			continue // it may have come last
		default:
			end = was.End
		}
		for _, s := range sets {
			if s.Outcome() == call.Done && s.Begin > end && s.End+deadline < c.Begin && w.calm(s.End, c.End) {
				r.wrong("slot %s: its health was set at %v, and its state shows an older one: %s", name, s.End.Round(time.Millisecond), brief(c))
				break
			}
		}
	}
}

// span is from the beginning of the first call to the end of the last.
func span(calls []*call.Call) (begin, end time.Duration) {
	begin = calls[0].Begin
	for _, c := range calls {
		begin, end = min(begin, c.Begin), max(end, c.End)
	}
	return begin, end
}

// checkPairs checks that the two sides of a code meet in one pair, that a side comes once,
// and that each sees what the other sent.
func checkPairs(w *World, r *Report) {
	all := byKey(of(w.Calls, call.Pair, call.Look))
	for _, code := range slices.Sorted(maps.Keys(all)) {
		if w.Forgets && !w.calm(span(all[code])) {
			continue
		}
		came := map[string][]*call.Call{}
		var first *call.Call
		for _, c := range of(all[code], call.Pair) {
			if c.Outcome() != call.Done {
				continue
			}
			if came[c.Role] = append(came[c.Role], c); len(came[c.Role]) > 1 {
				r.wrong("the %s of a pair came twice: %s, and %s", c.Role, brief(came[c.Role][0]), brief(c))
			}
			if first == nil {
				first = c
			} else if c.Value != first.Value {
				r.wrong("two sides of a code are in different pairs: %s, and %s", brief(first), brief(c))
			}
		}
		for _, c := range of(all[code], call.Look) {
			other := "host"
			if c.Role == other {
				other = "guest"
			}
			switch want := call.PairMessage(code, other); {
			case c.Status == 404:
				r.wrong("a pair that was opened is unknown: %s", brief(c))
			case c.Outcome() != call.Done || c.Value == want:
			case c.Value != "":
				r.wrong("a side of a pair sees %q, and not what the other sent: %s", c.Value, brief(c))
			case len(came[other]) > 0 && came[other][0].End+deadline < c.Begin && w.calm(came[other][0].End, c.End):
				r.wrong("a side of a pair does not see what the other sent at %v: %s", came[other][0].End.Round(time.Millisecond), brief(c))
			}
		}
	}
}
