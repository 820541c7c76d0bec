package fasthttp

import (
	"errors"
	"strconv"

	"cowrelay/cow"
	"cowrelay/cow/event"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/valyala/fasthttp"
)

var contentTypeJSON = []byte("application/json")

// failure is an error reply: its status, its text, and what else the JSON
// object holds. Texts hold no free-standing "404" or "410" and none of
// "connection refused", "operation timed out" and "certificate": clients look
// for these words.
type failure struct {
	status     int
	text       string
	extra      string // further members, from the comma on
	retryAfter int    // seconds; 0 sends no header
	allow      string // for 405
}

func (f *failure) Error() string { return f.text }

var (
	errNotFound     = &failure{status: fasthttp.StatusNotFound, text: "no such path"}
	errNoBearer     = &failure{status: fasthttp.StatusUnauthorized, text: "missing bearer token: send Authorization: Bearer <slot_token>"}
	errUnknownSlot  = &failure{status: fasthttp.StatusNotFound, text: "unknown slot"}
	errWrongToken   = &failure{status: fasthttp.StatusForbidden, text: "the token is not this slot's"}
	errBlocked      = &failure{status: fasthttp.StatusForbidden, text: "this slot is blocked by the relay's operator", extra: `,"blocked":true`}
	errSlotShape    = &failure{status: fasthttp.StatusBadRequest, text: "a slot id is 32 lowercase hex digits"}
	errContentType  = &failure{status: fasthttp.StatusUnsupportedMediaType, text: "send Content-Type: application/json"}
	errBodyTooLarge = &failure{status: fasthttp.StatusRequestEntityTooLarge, text: "the request body is too large"}
	errFraming      = &failure{status: fasthttp.StatusBadRequest, text: "the request's header leaves open where the request ends"}
	errTimeout      = &failure{status: fasthttp.StatusRequestTimeout, text: "the request did not arrive in time"}
	errCutBody      = &failure{status: fasthttp.StatusBadRequest, text: "the request body ended early"}
	errInternal     = &failure{status: fasthttp.StatusInternalServerError, text: "internal error"}
	errBusy         = &failure{status: fasthttp.StatusServiceUnavailable, text: "too much waits; try again", retryAfter: 1}
	errManyBytes    = &failure{status: fasthttp.StatusServiceUnavailable, text: "too much of other requests is on its way; try again", retryAfter: 1}
	errManyFields   = &failure{status: fasthttp.StatusRequestHeaderFieldsTooLarge, text: "the request header has too many fields"}
	errNoSpace      = &failure{status: fasthttp.StatusInsufficientStorage, text: "the relay's disk is nearly full; nothing was stored", retryAfter: 10}
	errDraining     = &failure{status: fasthttp.StatusServiceUnavailable, text: "the relay is shutting down; try again", retryAfter: 1}
	errManySlots    = &failure{status: fasthttp.StatusServiceUnavailable, text: "the relay has as many slots as it may", retryAfter: 60}
	errManyStreams  = &failure{status: fasthttp.StatusServiceUnavailable, text: "too many streams", retryAfter: 5}
	errStreamShare  = &failure{status: fasthttp.StatusServiceUnavailable, text: "too many streams from your address", retryAfter: 5}
	errSlotStreams  = &failure{status: fasthttp.StatusServiceUnavailable, text: "this slot has as many streams and long polls as it may", retryAfter: 5}
	errManyPolls    = &failure{status: fasthttp.StatusServiceUnavailable, text: "too many long polls", retryAfter: 5}
	errManyConns    = &failure{status: fasthttp.StatusServiceUnavailable, text: "too many connections", retryAfter: 1}
	errQuery        = &failure{status: fasthttp.StatusBadRequest, text: "bad query: limit, wait and hours are whole numbers from 0 up, each parameter given once"}
)

// asFailure says what a client hears of err. It is the one place that maps
// errors of the core to statuses.
func (r *Relay) asFailure(err error) *failure {
	var f *failure
	var bad *event.Error
	switch {
	case errors.As(err, &f):
		return f
	case errors.As(err, &bad):
		return acceptFailure(bad)
	case errors.Is(err, cow.ErrNoSlot):
		return errUnknownSlot
	case errors.Is(err, cow.ErrBusy):
		return errBusy
	case errors.Is(err, cow.ErrNoSpace):
		return errNoSpace
	case errors.Is(err, cow.ErrClosed):
		return errDraining
	case errors.Is(err, cow.ErrTooManySlots):
		return errManySlots
	case errors.Is(err, cow.ErrTooManyStreams):
		return errSlotStreams
	}
	r.opts.Logger.Error("request failed", "error", err)
	return &failure{status: fasthttp.StatusServiceUnavailable, text: "the relay can't serve this slot now; try again", retryAfter: 1}
}

func acceptFailure(bad *event.Error) *failure {
	switch bad.Class {
	case event.ErrTooLarge:
		return &failure{
			status: fasthttp.StatusRequestEntityTooLarge, text: bad.Error(),
			extra: `,"max_bytes":` + strconv.Itoa(event.MaxBytes),
		}
	case event.ErrShape:
		return &failure{status: fasthttp.StatusUnprocessableEntity, text: bad.Error()}
	}
	return &failure{status: fasthttp.StatusBadRequest, text: bad.Error()}
}

// slotFull is the reply to a post over a slot's quota.
func slotFull(used uint64) *failure {
	return &failure{
		status: fasthttp.StatusRequestEntityTooLarge, text: "the slot is full",
		extra: `,"slot_bytes_used":` + strconv.FormatUint(used, 10) +
			`,"slot_bytes_max":` + strconv.Itoa(cow.MaxSlotBytes) +
			`,"remediation":"the receiver allocates a new slot and tells its peers; this one keeps its events until it is deleted"`,
	}
}

// write fills the response. It does not send it.
func (f *failure) write(res *fasthttp.Response) {
	res.ResetBody()
	res.SetStatusCode(f.status)
	res.Header.SetContentTypeBytes(contentTypeJSON)
	body, err := jsontext.AppendQuote([]byte(`{"error":`), f.text)
	if err != nil { // the text holds what is no UTF-8
		body = []byte(`{"error":"bad request"`)
	}
	body = append(body, f.extra...)
	body = append(body, '}')
	res.SetBody(body)
	if f.retryAfter > 0 {
		res.Header.Set(fasthttp.HeaderRetryAfter, strconv.Itoa(f.retryAfter))
	}
	if f.allow != "" {
		res.Header.Set(fasthttp.HeaderAllow, f.allow)
	}
	if f.status == fasthttp.StatusUnauthorized {
		res.Header.Set(fasthttp.HeaderWWWAuthenticate, "Bearer")
	}
}
