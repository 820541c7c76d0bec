package client

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// What errors.Is finds in an *Error.
var (
	ErrBadRequest   = errors.New("client: refused as it is")    // 400, 415, 422: sending it again won't help
	ErrUnauthorized = errors.New("client: no token")            // 401
	ErrForbidden    = errors.New("client: wrong token")         // 403
	ErrBlocked      = errors.New("client: slot blocked")        // 403, because the relay's operator blocked the slot
	ErrMissingRight = errors.New("client: token lacks a right") // 403, because the token may do less; Fields["needs"] names the right
	ErrGone         = errors.New("client: no such slot")        // 404, 410, said by a relay
	ErrTooLarge     = errors.New("client: event too large")     // 413
	ErrSlotFull     = errors.New("client: slot full")           // 413, because of the slot
	ErrRateLimited  = errors.New("client: too many requests")   // 429
	ErrUnavailable  = errors.New("client: relay can't do now")  // 502, 503, 504, 507
)

// Other errors of this package.
var (
	// ErrReply is an answer that a relay does not give: something else listens there.
	ErrReply = errors.New("client: not the reply of a relay")
	// ErrNotJSON is an event that is not one JSON value. It was not sent.
	ErrNotJSON = errors.New("client: the event is not one JSON value")
	// ErrNoCursor is a place in a slot that can't be asked for; see NoCursorError.
	ErrNoCursor = errors.New("client: no event_id to go on from")
	// ErrNotOffered is what the relay at hand does not have: it lacks positions,
	// batches or tokens.
	ErrNotOffered = errors.New("client: the relay does not offer this")
	// ErrNoToken is the id of a token that the slot does not have.
	ErrNoToken = errors.New("client: no such token")
	// ErrUnreachable matches every LostError.
	ErrUnreachable = errors.New("client: no answer")
)

// Error is a relay's refusal.
type Error struct {
	Status     int                        // of HTTP
	Message    string                     // what the relay says about it
	RetryAfter time.Duration              // how long it asks to wait; 0: it does not say
	Fields     map[string]json.RawMessage // what else the reply holds, such as max_bytes

	// Foreign: the reply is not JSON with an error in it. So it came from a proxy
	// before the relay, or from something that is not a relay.
	Foreign bool
}

func (e *Error) Error() string {
	text := e.Message
	if e.Foreign {
		text = "not a relay's reply: " + text
	}
	return fmt.Sprintf("%s (%d)", text, e.Status)
}

// Is finds the sentinel of the status.
func (e *Error) Is(target error) bool {
	switch target {
	case ErrBadRequest:
		return e.Status == 400 || e.Status == 415 || e.Status == 422
	case ErrUnauthorized:
		return e.Status == 401
	case ErrBlocked:
		return e.Status == 403 && e.Fields["blocked"] != nil
	case ErrForbidden:
		return e.Status == 403 && e.Fields["blocked"] == nil && e.Fields["needs"] == nil
	case ErrMissingRight:
		return e.Status == 403 && e.Fields["needs"] != nil
	case ErrGone:
		return (e.Status == 404 || e.Status == 410) && !e.Foreign
	case ErrSlotFull:
		return e.Status == 413 && e.Fields["slot_bytes_max"] != nil
	case ErrTooLarge:
		return e.Status == 413 && e.Fields["slot_bytes_max"] == nil
	case ErrRateLimited:
		return e.Status == 429
	case ErrUnavailable:
		return e.Status == 502 || e.Status == 503 || e.Status == 504 || e.Status == 507
	case ErrReply:
		return e.Foreign
	}
	return false
}

// notNow reports whether the relay did nothing, and may do it later.
func (e *Error) notNow() bool { return e.Status == 429 || e.Status == 503 || e.Status == 507 }

// newError reads a refusal.
func newError(status int, header http.Header, body []byte) *Error {
	e := &Error{Status: status, RetryAfter: retryAfter(header.Get("Retry-After"), time.Now())}
	if json.Unmarshal(body, &e.Fields) == nil && json.Unmarshal(e.Fields["error"], &e.Message) == nil && e.Message != "" {
		delete(e.Fields, "error")
		return e
	}
	e.Fields, e.Foreign = nil, true
	if to := header.Get("Location"); status >= 300 && status < 400 && to != "" {
		e.Message = "it redirects to " + quote(to) + "; if that is the relay, use its URL"
		return e
	}
	e.Message = http.StatusText(status)
	if text := strings.TrimSpace(string(body)); text != "" {
		e.Message += ": " + quote(text)
	}
	return e
}

// quote makes a foreign text fit into a line of a log or a terminal.
func quote(text string) string {
	const most = 120
	if len(text) > most {
		cut := most
		for cut > 0 && !utf8.RuneStart(text[cut]) {
			cut--
		}
		text = text[:cut] + "..."
	}
	return strconv.Quote(text)
}

// retryAfter reads the header: seconds, or a date.
func retryAfter(text string, now time.Time) time.Duration {
	if n, err := strconv.ParseUint(text, 10, 31); err == nil {
		return time.Duration(n) * time.Second
	}
	if at, err := http.ParseTime(text); err == nil {
		return max(at.Sub(now), 0)
	}
	return 0
}

// LostError is a request without an answer.
type LostError struct {
	Relay string // its URL
	Sent  bool   // there was a connection, so the relay may have acted
	Err   error

	// GaveUp: the call was tried again until Options.RetryFor was over.
	GaveUp bool
}

func (e *LostError) Error() string {
	if e.Sent {
		return fmt.Sprintf("the relay at %s gave no answer: %v", e.Relay, e.Err)
	}
	return fmt.Sprintf("cannot reach the relay at %s: %v", e.Relay, e.Err)
}

func (e *LostError) Unwrap() error { return e.Err }

// Is finds ErrUnreachable.
func (e *LostError) Is(target error) bool { return target == ErrUnreachable }

// NoCursorError says that a reader can't go on. Either the relay has no positions,
// and too many events without an event_id follow each other; or the slot ends before
// the cursor. What was read until then is complete.
type NoCursorError struct {
	At     Cursor // behind the last event that was read
	Reason string
}

func (e *NoCursorError) Error() string {
	return fmt.Sprintf("cannot go on behind %s: %s", e.At, e.Reason)
}

// Is finds ErrNoCursor.
func (e *NoCursorError) Is(target error) bool { return target == ErrNoCursor }
