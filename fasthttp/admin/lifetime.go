package admin

import (
	"time"

	"cowrelay/cow"
	"cowrelay/cow/retention"
)

// lifetime is what operators see of how long a slot and its events are kept. What has no
// bound is null.
type lifetime struct {
	Slot      *bound  `json:"ttl"`           // after it was used last
	Unused    *bound  `json:"unused_ttl"`    // of a slot that nobody has ever used
	Event     *bound  `json:"event_ttl"`     // of an event
	Ephemeral *bound  `json:"ephemeral_ttl"` // of one of an ephemeral kind
	Keep      *keep   `json:"event_keep"`
	EndsAt    *int64  `json:"ends_unix"` // if nobody uses the slot until then, or an eighth later; null: never
	EndsAs    *string `json:"ends_as"`   // "unused" or "idle"
}

// bound is a time and who has set it: "slot" or "operator".
type bound struct {
	Seconds int64  `json:"seconds"`
	By      string `json:"by"`
}

// keep is what the operator has slots keep of their newest events.
type keep struct {
	Events uint64 `json:"events,omitzero"`
	Bytes  uint64 `json:"bytes,omitzero"`
}

func boundOf(own, operator time.Duration) *bound {
	switch d, asked := retention.Bound(own, operator); {
	case d == 0:
		return nil
	case asked:
		return &bound{int64(d / time.Second), "slot"}
	default:
		return &bound{int64(d / time.Second), "operator"}
	}
}

// lifetime says how long a slot is kept, by what it asks for and what the operator says.
func (s *Server) lifetime(r *attached, slot *cow.Slot) (*lifetime, error) {
	p := s.opts.Policy
	own, err := r.store.Lifetime(slot.ID())
	if err != nil {
		return nil, err
	}
	end, ends, err := p.End(r.store, slot, time.Now())
	if err != nil {
		return nil, err
	}
	l := &lifetime{Slot: boundOf(own.Slot, p.IdleSlot), Event: boundOf(own.Event, p.Event), Ephemeral: boundOf(0, p.Ephemeral)}
	if slot.LastUse() == (cow.Use{}) {
		l.Unused = boundOf(0, p.UnusedSlot)
	}
	if p.KeepEvents > 0 || p.KeepBytes > 0 {
		l.Keep = &keep{p.KeepEvents, p.KeepBytes}
	}
	if ends {
		at, as := end.At.Unix(), "idle"
		if end.Unused {
			as = "unused"
		}
		l.EndsAt, l.EndsAs = &at, &as
	}
	return l, nil
}
