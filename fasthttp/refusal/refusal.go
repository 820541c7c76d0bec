// Package refusal is what clients hear when they do not get what they asked for:
// the statuses and texts of both listeners, and which error of the core means
// which.
//
// It knows no HTTP server. Whoever replies writes a Reply in its server's way.
package refusal

import (
	"errors"
	"math/bits"
	"net/http"
	"strconv"

	"cowrelay/cow"
	"cowrelay/cow/event"
	"cowrelay/cow/token"

	"github.com/go-json-experiment/json/jsontext"
)

// Reply is an error reply. Its texts hold no free-standing "404" or "410" and
// none of "connection refused", "operation timed out" and "certificate": clients
// look for these words.
//
// A Reply is shared by all requests that get it. Nobody changes it.
type Reply struct {
	Status     int
	Text       string
	Extra      string // further members of the JSON object, from the comma on
	RetryAfter int    // seconds; 0 sends no header
	Allow      string // for 405
	Plain      bool   // for 415: only bodies without a coding are taken
	Why        Reason // where the status does not say it; see Reason
}

// Error implements error.
func (r *Reply) Error() string { return r.Text }

// Body returns the JSON object that is sent. id is the request's, "" if it has none:
// text that JSON takes as it is.
func (r *Reply) Body(id string) []byte {
	body, err := jsontext.AppendQuote([]byte(`{"error":`), r.Text)
	if err != nil { // the text is not UTF-8
		body = []byte(`{"error":"bad request"`)
	}
	body = append(body, r.Extra...)
	if id != "" {
		body = append(append(append(body, `,"request_id":"`...), id...), '"')
	}
	return append(body, '}')
}

var (
	NotFound     = &Reply{Status: http.StatusNotFound, Text: "no such path"}
	NoBearer     = &Reply{Status: http.StatusUnauthorized, Text: "missing bearer token: send Authorization: Bearer <slot_token>"}
	UnknownSlot  = &Reply{Status: http.StatusNotFound, Text: "unknown slot"}
	WrongToken   = &Reply{Status: http.StatusForbidden, Text: "the token is not this slot's"}
	Blocked      = &Reply{Status: http.StatusForbidden, Text: "this slot is blocked by the relay's operator", Extra: `,"blocked":true`, Why: IsBlocked}
	SlotShape    = &Reply{Status: http.StatusBadRequest, Text: "a slot id is 32 lowercase hex digits"}
	ContentType  = &Reply{Status: http.StatusUnsupportedMediaType, Text: "send Content-Type: application/json"}
	LinesType    = &Reply{Status: http.StatusUnsupportedMediaType, Text: "send Content-Type: application/json, or application/x-ndjson for an event a line"}
	Compressed   = &Reply{Status: http.StatusUnsupportedMediaType, Text: "the body is compressed: send it as it is, without Content-Encoding", Plain: true}
	BodyTooLarge = &Reply{Status: http.StatusRequestEntityTooLarge, Text: "the request body is too large"}
	Framing      = &Reply{Status: http.StatusBadRequest, Text: "the request's header leaves open where the request ends"}
	Timeout      = &Reply{Status: http.StatusRequestTimeout, Text: "the request did not arrive in time"}
	CutBody      = &Reply{Status: http.StatusBadRequest, Text: "the request body ended early"}
	Internal     = &Reply{Status: http.StatusInternalServerError, Text: "internal error"}
	Busy         = &Reply{Status: http.StatusServiceUnavailable, Text: "too much waits; try again", RetryAfter: 1}
	ManyBytes    = &Reply{Status: http.StatusServiceUnavailable, Text: "too much of other requests is on its way; try again", RetryAfter: 1, Why: Arriving}
	ManyFields   = &Reply{Status: http.StatusRequestHeaderFieldsTooLarge, Text: "the request header has too many fields"}
	NoSpace      = &Reply{Status: http.StatusInsufficientStorage, Text: "the relay's disk is nearly full; nothing was stored", RetryAfter: 10}
	Draining     = &Reply{Status: http.StatusServiceUnavailable, Text: "the relay is shutting down; try again", RetryAfter: 1, Why: Stopping}
	ManySlots    = &Reply{Status: http.StatusServiceUnavailable, Text: "the relay has as many slots as it may", RetryAfter: 60, Why: Slots}
	ManyStreams  = &Reply{Status: http.StatusServiceUnavailable, Text: "too many streams", RetryAfter: 5, Why: Streams}
	StreamShare  = &Reply{Status: http.StatusServiceUnavailable, Text: "too many streams from your address", RetryAfter: 5, Why: StreamShares}
	SlotStreams  = &Reply{Status: http.StatusServiceUnavailable, Text: "this slot has as many streams and long polls as it may", RetryAfter: 5, Why: OfSlot}
	ManyPolls    = &Reply{Status: http.StatusServiceUnavailable, Text: "too many long polls", RetryAfter: 5, Why: LongPolls}
	ManyConns    = &Reply{Status: http.StatusServiceUnavailable, Text: "too many connections", RetryAfter: 1, Why: Connections}
	Query        = &Reply{Status: http.StatusBadRequest, Text: "bad query: limit, wait, from, last and hours are whole numbers from 0 up, each parameter given once"}
	QueryStart   = &Reply{Status: http.StatusBadRequest, Text: "bad query: since, from and last say where to begin; give one of them"}
	QueryCurrent = &Reply{Status: http.StatusBadRequest, Text: "bad query: consistent can be 1 or 0"}
	Away         = &Reply{Status: http.StatusServiceUnavailable, Text: "the relay can't reach the log that it shares with others; what was asked for may still happen, so send the same again", RetryAfter: 2, Why: LogAway}
	QueryIDs     = &Reply{Status: http.StatusBadRequest, Text: "bad query: ids can be position, or be left out"}
)

// missing are the replies to a token that lacks a right, by the place of its bit.
var missing = func() (list [8]*Reply) {
	for i, needs := range token.Names() {
		list[i] = &Reply{
			Status: http.StatusForbidden, Text: "this token may not do that: it lacks the right \"" + needs + "\"",
			Extra: `,"needs":"` + needs + `"`, Why: LacksPost + Reason(i),
		}
	}
	return list
}()

// Missing is the reply to a token that is good but lacks a right.
func Missing(needs token.Right) *Reply { return missing[bits.TrailingZeros8(uint8(needs))] }

// Of returns what a client hears of err. It is the one place that maps errors of
// the core to statuses. known is false for an error that no client caused: the
// caller logs it.
func Of(err error) (reply *Reply, known bool) {
	var f *Reply
	var bad *event.Error
	var line *event.LineError
	switch {
	case errors.As(err, &f):
		return f, true
	case errors.As(err, &line):
		return ofLine(line), true
	case errors.As(err, &bad):
		return ofEvent(bad), true
	case errors.Is(err, cow.ErrNoSlot):
		return UnknownSlot, true
	case errors.Is(err, cow.ErrBusy):
		return Busy, true
	case errors.Is(err, cow.ErrAway):
		return Away, true
	case errors.Is(err, cow.ErrNoSpace):
		return NoSpace, true
	case errors.Is(err, cow.ErrClosed):
		return Draining, true
	case errors.Is(err, cow.ErrTooManySlots):
		return ManySlots, true
	case errors.Is(err, cow.ErrTooManyStreams):
		return SlotStreams, true
	}
	return unavailable, false
}

var unavailable = &Reply{Status: http.StatusServiceUnavailable, Text: "the relay can't serve this slot now; try again", RetryAfter: 1}

// ofEvent is the reply to an event that the door did not let in.
func ofEvent(bad *event.Error) *Reply {
	switch bad.Class {
	case event.ErrTooLarge:
		return &Reply{
			Status: http.StatusRequestEntityTooLarge, Text: bad.Error(),
			Extra: `,"max_bytes":` + strconv.Itoa(event.MaxBytes),
		}
	case event.ErrShape:
		return &Reply{Status: http.StatusUnprocessableEntity, Text: bad.Error()}
	}
	return &Reply{Status: http.StatusBadRequest, Text: bad.Error()}
}

// ofLine is the reply to a body of many events that the door did not let in.
func ofLine(bad *event.LineError) *Reply {
	reply := ofEvent(bad.Err)
	reply.Text = bad.Error()
	if bad.Err.Class == event.ErrTooMany {
		reply.Status = http.StatusRequestEntityTooLarge
		reply.Extra = `,"max_events":` + strconv.Itoa(event.MaxLines) + `,"max_bytes":` + strconv.Itoa(event.MaxLinesBytes)
	}
	reply.Extra += `,"line":` + strconv.Itoa(bad.Line)
	return reply
}

// SlotFull is the reply to a post over the quota of a slot that holds so many
// bytes.
func SlotFull(usedBytes uint64) *Reply {
	return &Reply{
		Status: http.StatusRequestEntityTooLarge, Text: "the slot is full", Why: FullSlot,
		Extra: `,"slot_bytes_used":` + strconv.FormatUint(usedBytes, 10) +
			`,"slot_bytes_max":` + strconv.Itoa(cow.MaxSlotBytes) +
			`,"remediation":"the receiver allocates a new slot and tells its peers; this one keeps its events until it is deleted"`,
	}
}
