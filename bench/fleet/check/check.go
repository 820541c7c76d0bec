package check

import (
	"fmt"
	"slices"
	"time"

	"cowrelay/bench/fleet/call"
)

// A Read is a slot read to its end on one relay, after all was over.
type Read struct {
	Relay  int
	Slot   string
	First  int64    // position of the oldest event: so many have left
	Events []string // in order
}

// A Trail is what one reader got of a slot by streams that moved from relay to
// relay.
type Trail struct {
	Slot   string
	Moves  int
	Frames []call.Frame
	// Positions says that the ids of its frames are positions.
	Positions bool
	// Refused are statuses below 500 that a stream was refused with.
	Refused []int
}

// A World is all that was seen.
type World struct {
	Calls  []*call.Call
	Calm   []call.Span // times without faults
	Reads  []Read
	Trails []Trail
	Sums   []Sum
	Before call.Totals // when the round began
	// Keep is how many bytes of its newest events a slot keeps, at least. 0: all.
	Keep int64
	// Forgets: what killed relays know of pairs goes with them, as no log has it.
	Forgets bool
	// Limit bounds each search for a linear order.
	Limit time.Duration
}

// A Report is what checks found.
type Report struct {
	Violations []string // in no order
	// Undecided are keys for which no linear order was found, nor shown to be
	// impossible, within the limit.
	Undecided []string

	Calls, Done, Refused, Unknown int
	Events                        int // in all slots at the end
	Left                          int // events that had left these slots
	Frames, Moves                 int
	Linear                        int // histories for which an order was found
}

// most is how many violations are told. The first are enough.
const most = 20

func (r *Report) wrong(format string, args ...any) {
	if len(r.Violations) < most {
		r.Violations = append(r.Violations, fmt.Sprintf(format, args...))
	}
}

// Check holds all that was seen against the contract. It drops from w the calls that
// nobody got.
func Check(w *World) *Report {
	r := &Report{}
	sent := make([]*call.Call, 0, len(w.Calls))
	for _, c := range w.Calls {
		if c.Outcome() == call.Unsent {
			continue
		}
		sent = append(sent, c)
		switch c.Outcome() {
		case call.Done:
			r.Done++
		case call.Refused:
			r.Refused++
		default:
			r.Unknown++
		}
	}
	w.Calls, r.Calls = sent, len(sent)
	if w.Limit == 0 {
		w.Limit = 20 * time.Second
	}
	bySlot := map[string][]*call.Call{}
	for _, c := range w.Calls {
		if c.Slot != "" {
			bySlot[c.Slot] = append(bySlot[c.Slot], c)
		}
	}
	read := map[string]bool{}
	for _, rd := range w.Reads {
		if !read[rd.Slot] {
			read[rd.Slot] = true
			if anyLeft(w.Reads, rd.Slot) {
				checkLeft(w, r, rd.Slot, bySlot[rd.Slot])
			} else {
				checkSlot(w, r, rd.Slot, bySlot[rd.Slot])
			}
		}
	}
	for slot, calls := range bySlot {
		checkLife(r, slot, calls, read[slot])
		checkTokens(w, r, calls)
		checkBlocks(w, r, slot, calls)
		checkHealth(w, r, slot, calls)
	}
	checkPairs(w, r)
	checkTotals(w, r)
	checkClaims(w, r)
	checkUses(w, r)
	return r
}

// of returns the calls of some operations.
func of(calls []*call.Call, ops ...call.Op) []*call.Call {
	var out []*call.Call
	for _, c := range calls {
		if slices.Contains(ops, c.Op) {
			out = append(out, c)
		}
	}
	return out
}

// brief is a call for people.
func brief(c *call.Call) string {
	return fmt.Sprintf("%s on relay %d at %v to %v, status %d", c.Op, c.Relay, c.Begin.Round(time.Millisecond), c.End.Round(time.Millisecond), c.Status)
}
