package refusal

import "net/http"

// Reason says why a request is refused, in the terms of operators. It is the label
// of a metric, so there are few.
type Reason uint8

const (
	byStatus Reason = iota // what the status says

	Invalid    // it can't be read, or it is not what its route takes
	NotThere   // no such path, slot, nick, invite or pair, or no more
	NoAccess   // no token, or a wrong one
	LacksRight // a good token that lacks a right
	IsBlocked  // the operator has blocked the slot
	TooLarge   // an event or a body
	FullSlot   // the slot has as many bytes as it may
	Rate       // asked too often
	Taken      // a nick, a pair or a token that is in use
	Slots      // as many as there may be
	Streams    // as many as there may be
	Share      // as many streams as one client may have
	OfSlot     // as many streams and long polls as a slot may have
	LongPolls  // as many as there may be, and none could give way
	Arriving   // no memory for what is arriving
	Overload   // too much waits, the disk hangs, or the store can't be read
	LogAway    // the log that relays share can't be reached
	FullDisk   // too little space is free
	Stopping   // the relay drains
	Fault      // of the relay
	Other

	Reasons // how many there are
)

var reasonNames = [Reasons]string{
	"", "invalid", "not_found", "token", "right", "blocked", "too_large", "slot_full", "rate", "conflict",
	"slots", "streams", "stream_share", "slot_streams", "long_polls", "arriving", "busy", "log_away", "no_space", "draining", "fault", "other",
}

// String returns the name, the label of the metric.
func (r Reason) String() string { return reasonNames[r] }

// AtLimit says whether somebody ran into a limit that an operator sets or has to
// know of, and that has no line in the log but this.
func (r Reason) AtLimit() bool {
	switch r {
	case FullSlot, Slots, Streams, Share, OfSlot, LongPolls:
		return true
	}
	return false
}

// Reason says why the client gets this reply.
func (r *Reply) Reason() Reason {
	if r.why != byStatus {
		return r.why
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
