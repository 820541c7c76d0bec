package stats

import "cowrelay/cow/rendezvous"

// DeskFamilies are the families of handles, in their order.
func DeskFamilies(desk *rendezvous.Desk) []Family {
	return []Family{
		Gauge("cowrelay_handles", "Handles that are claimed.", func() int64 { return int64(desk.Handles.Len()) }),
		Gauge("cowrelay_handles_max", "Handles that may be claimed; beyond that new claims get 503.", func() int64 { return int64(desk.Handles.Most()) }),
		Gauge("cowrelay_handles_row_bytes", "Bytes that the directory's rows take in memory.", func() int64 { return desk.Handles.RowBytes() }),
		CounterBy("cowrelay_claims_total", "outcome", "Claims of handles, by outcome: first (nobody had it), again (its holder renewed it), invalid (the nick, the relay's address or the card), taken (another has it), in_use (a move away from a slot that is read), full (too many handles, or too many of one source).",
			func(show Show) {
				st := &desk.Handles.Stats
				show("first", st.First.Load())
				show("again", st.Again.Load())
				show("invalid", st.Invalid.Load())
				show("taken", st.Taken.Load())
				show("in_use", st.Kept.Load())
				show("full", st.Full.Load())
			}),
		Counter("cowrelay_handle_moves_total", "Handles that their holders moved to another slot.", func() uint64 { return desk.Handles.Stats.Moves.Load() }),
		Counter("cowrelay_handles_unclaimed_total", "Handles given back by their holders, or taken by the operator.", func() uint64 { return desk.Handles.Stats.Unclaimed.Load() }),
	}
}
