package check

import (
	"time"

	"cowrelay/bench/fleet/call"
)

// deadline is how long after its answer a removal may still be unseen by other
// relays.
const deadline = time.Second

// calm says whether there was no fault from begin to end.
func (w *World) calm(begin, end time.Duration) bool {
	for _, s := range w.Calm {
		if s.Begin <= begin && end <= s.End {
			return true
		}
	}
	return false
}

// checkTokens checks that a token that was made is good on all relays, and one that
// was revoked is dead on all a second later. A rotation makes one slot token and revokes
// another.
func checkTokens(w *World, r *Report, calls []*call.Call) {
	made := byKey(of(calls, call.Make))
	revoked := byKey(of(calls, call.Revoke))
	for _, c := range of(calls, call.Rotate) {
		made[c.Key] = append(made[c.Key], c)
		revoked[c.Old] = append(revoked[c.Old], c)
	}
	for _, c := range of(calls, call.Post, call.Pull) {
		if c.Token == "" {
			continue
		}
		born := forever
		for _, m := range made[c.Token] {
			if m.Outcome() == call.Done {
				born = m.End
			}
		}
		mayBeGone, gone := forever, forever
		for _, v := range revoked[c.Token] {
			mayBeGone = min(mayBeGone, v.Begin)
			if v.Outcome() == call.Done {
				gone = min(gone, v.End)
			}
		}
		switch {
		case c.Outcome() == call.Refused && born <= c.Begin && c.End < mayBeGone:
			r.wrong("a token that was made at %v was refused: %s", born.Round(time.Millisecond), brief(c))
		case c.Outcome() == call.Done && gone < forever && gone+deadline < c.Begin && w.calm(gone, c.End):
			r.wrong("a token that was revoked at %v was taken: %s", gone.Round(time.Millisecond), brief(c))
		}
	}
}

// checkLife checks that a slot is there on all relays once it was allocated, and
// gone once it was deleted. kept says that it was read at the end.
func checkLife(r *Report, slot string, calls []*call.Call, kept bool) {
	born, mayBeGone, gone := forever, forever, forever
	for _, c := range calls {
		switch {
		case c.Op == call.Allocate && c.Outcome() == call.Done:
			born = c.End
		case c.Op == call.Delete:
			mayBeGone = min(mayBeGone, c.Begin)
			if c.Outcome() == call.Done {
				gone = min(gone, c.End)
			}
		}
	}
	for _, c := range of(calls, call.Post, call.Batch, call.Pull, call.Make, call.Rotate) {
		name := slot[:min(8, len(slot))]
		switch {
		case c.Status == 404 && born <= c.Begin && c.End < mayBeGone:
			r.wrong("slot %s was allocated at %v and is unknown: %s", name, born.Round(time.Millisecond), brief(c))
		case (c.Op == call.Post || c.Op == call.Batch) && c.Outcome() == call.Done && gone < c.Begin && (c.Op == call.Post && !c.Duplicate || c.Stored > 0):
			r.wrong("slot %s was deleted at %v and took an event: %s", name, gone.Round(time.Millisecond), brief(c))
		case c.Op == call.Pull && c.Outcome() == call.Done && c.Consistent && gone < c.Begin:
			r.wrong("slot %s was deleted at %v and is there: %s", name, gone.Round(time.Millisecond), brief(c))
		case c.Token == "" && !c.Barred && (c.Status == 401 || c.Status == 403):
			r.wrong("slot %s: its own token was refused: %s", name, brief(c))
		}
	}
	if kept && gone < forever {
		r.wrong("slot %s was deleted and is there at the end", slot[:min(8, len(slot))])
	}
}
