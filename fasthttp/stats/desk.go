package stats

import (
	"slices"

	"cowrelay/cow/rendezvous"
)

// DeskFamilies are the families of handles, introductions, invites and pairs, in
// their order.
func DeskFamilies(desk *rendezvous.Desk) []Family {
	return slices.Concat(handleFamilies(desk), introFamilies(desk), inviteFamilies(desk), pairFamilies(desk))
}

func handleFamilies(desk *rendezvous.Desk) []Family {
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

func inviteFamilies(desk *rendezvous.Desk) []Family {
	return []Family{
		Gauge("cowrelay_invites", "Invites that can be used.", func() int64 { return int64(desk.Invites.Len()) }),
		Gauge("cowrelay_invites_max", "Invites that may be there at once; beyond that new ones get 503.", func() int64 { return int64(desk.Invites.Most()) }),
		Counter("cowrelay_invites_registered_total", "Invites registered.", func() uint64 { return desk.Invites.Stats.Registered.Load() }),
		Counter("cowrelay_invites_refused_total", "Invites refused: too many, or too many of one source.", func() uint64 { return desk.Invites.Stats.Refused.Load() }),
		CounterBy("cowrelay_invite_fetches_total", "outcome", "Requests for invites, by outcome: served, over (expired, used up or revoked), unknown.", func(show Show) {
			st := &desk.Invites.Stats
			show("served", st.Fetched.Load())
			show("over", st.Gone.Load())
			show("unknown", st.Unknown.Load())
		}),
		Counter("cowrelay_invites_revoked_total", "Invites that the operator revoked.", func() uint64 { return desk.Invites.Stats.Revoked.Load() }),
		Counter("cowrelay_invites_swept_total", "Records of invites that were over and have been dropped.", func() uint64 { return desk.Invites.Stats.Swept.Load() }),
	}
}

func introFamilies(desk *rendezvous.Desk) []Family {
	return []Family{CounterBy("cowrelay_introductions_total", "outcome", "Introductions to nicks, by outcome: dropped (into the nick's slot), duplicate, invalid (not an introduction, or it does not verify), source, did, nick (refused by the limit of one address, of one agent, or of the nick).",
		func(show Show) {
			st := &desk.Intros.Stats
			show("dropped", st.Dropped.Load())
			show("duplicate", st.Duplicate.Load())
			show("invalid", st.Invalid.Load())
			show("source", st.BySource.Load())
			show("did", st.ByDID.Load())
			show("nick", st.Total.Load())
		})}
}

func pairFamilies(desk *rendezvous.Desk) []Family {
	return []Family{
		Gauge("cowrelay_pairs", "Pairs that meet now.", func() int64 { return int64(desk.Pairs.Len()) }),
		Gauge("cowrelay_pairs_max", "Pairs that may meet at once; beyond that new ones get 503.", func() int64 { return int64(desk.Pairs.Most()) }),
		Counter("cowrelay_pairs_opened_total", "Pairs opened since the start.", func() uint64 { return desk.Pairs.Opened() }),
		Counter("cowrelay_pairs_refused_total", "Requests to pairs that were refused: too many pairs or bytes, or too many of one source.", func() uint64 { return desk.Pairs.Refused() }),
	}
}
