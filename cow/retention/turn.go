package retention

import (
	"time"

	"cowrelay/cow"
)

// Relays that share a log all see what is to end. If all acted at once, each act would be
// in the log once for each relay, and all but the first would do nothing. So they act one
// after the other: the first when something is due, each other relay a while later, and
// then only on what is still there. Nobody leads and nothing is agreed on. If the first
// has gone, or is told to keep things for longer, the next one acts, that much later.

// turns is how many sweeps a relay leaves to each relay before it: one may just have
// begun, and one is whole.
const turns = 2

// lateness is how long after something is due this relay acts, where each looks so often.
func (s *Sweeper) lateness(every time.Duration) time.Duration {
	return time.Duration(turns*s.late) * every
}

// fullSlot is a slot that holds more than it may, while another relay has the turn.
type fullSlot struct {
	first uint64 // its oldest event: another one when somebody has trimmed it
	since time.Time
}

// turnFor says whether this relay trims a slot that holds too much now. If not it notes
// the slot in full, which is for the next sweep.
func (s *Sweeper) turnFor(id cow.ID, first uint64, full map[cow.ID]fullSlot) bool {
	if s.late == 0 {
		return true
	}
	f, seen := s.full[id]
	if !seen || f.first != first {
		f = fullSlot{first, time.Now()}
	}
	full[id] = f
	return time.Since(f.since) >= s.lateness(s.every)
}
