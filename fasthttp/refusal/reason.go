package refusal

import "net/http"

// Reason says why a request is refused, in the terms of operators. It is the label
// of a metric, so there are few.
type Reason uint8

const (
	byStatus Reason = iota // what the status says

	Invalid      // it can't be read, or it is not what its route takes
	NotThere     // no such path, slot, nick, invite or pair, or no more
	NoAccess     // no token, or a wrong one
	LacksPost    // a good token that lacks a right: this one, and the three that follow
	LacksRead    // in the order of package token
	LacksSlot    //
	LacksOwner   //
	IsBlocked    // the operator has blocked the slot
	TooLarge     // an event or a body
	FullSlot     // the slot has as many bytes as it may
	Rate         // asked too often
	Intros       // too many introductions to a nick, or of an agent
	Taken        // a nick or a side of a pair that is in use
	Slots        // as many as there may be
	Streams      // as many as there may be
	StreamShares // as many streams as one client may have
	OfSlot       // as many streams and long polls as a slot may have
	LongPolls    // as many as there may be, and none could give way
	SlotTokens   // as many as a slot may have
	SlotTickets  // as many as a slot may have
	Tokens       // as many as there may be
	TokenShares  // as many as one client may have
	Handles      // as many as there may be
	HandleShares // as many as one client may have
	Invites      // as many as there may be
	InviteShares // as many as one client may have
	Pairs        // as many as there may be
	PairShares   // as many as one client may have
	Connections  // as many as there may be, and none of them could go
	Arriving     // no memory for what is arriving
	Overload     // too much waits, the disk hangs, or the store can't be read
	LogAway      // the log that relays share can't be reached
	FullDisk     // too little space is free
	Stopping     // the relay drains
	Fault        // of the relay
	Other

	Reasons // how many there are
)

var reasonNames = [Reasons]string{
	Invalid: "invalid", NotThere: "not_found", NoAccess: "token",
	LacksPost: "right_post", LacksRead: "right_read", LacksSlot: "right_slot", LacksOwner: "right_owner",
	IsBlocked: "blocked", TooLarge: "too_large", FullSlot: "slot_full", Rate: "rate", Intros: "intros", Taken: "conflict",
	Slots: "slots", Streams: "streams", StreamShares: "stream_share", OfSlot: "slot_streams", LongPolls: "long_polls",
	SlotTokens: "slot_tokens", SlotTickets: "slot_tickets", Tokens: "tokens", TokenShares: "token_share",
	Handles: "handles", HandleShares: "handle_share", Invites: "invites", InviteShares: "invite_share", Pairs: "pairs", PairShares: "pair_share",
	Connections: "connections", Arriving: "arriving", Overload: "busy", LogAway: "log_away", FullDisk: "no_space", Stopping: "draining", Fault: "fault", Other: "other",
}

// String returns the name, the label of the metric.
func (r Reason) String() string { return reasonNames[r] }

// AtLimit says whether somebody ran into a limit that an operator sets or has to
// know of, and that has no line in the log but this.
func (r Reason) AtLimit() bool {
	return r == FullSlot || r >= Slots && r <= PairShares
}

// Reason says why the client gets this reply.
func (r *Reply) Reason() Reason {
	if r.Why != byStatus {
		return r.Why
	}
	switch r.Status {
	case http.StatusBadRequest, http.StatusMethodNotAllowed, http.StatusRequestTimeout, http.StatusUnsupportedMediaType,
		http.StatusUnprocessableEntity, http.StatusRequestHeaderFieldsTooLarge:
		return Invalid
	case http.StatusUnauthorized, http.StatusForbidden:
		return NoAccess
	case http.StatusNotFound, http.StatusGone:
		return NotThere
	case http.StatusConflict:
		return Taken
	case http.StatusRequestEntityTooLarge:
		return TooLarge
	case http.StatusTooManyRequests:
		return Rate
	case http.StatusInternalServerError:
		return Fault
	case http.StatusServiceUnavailable:
		return Overload
	case http.StatusInsufficientStorage:
		return FullDisk
	}
	return Other
}
