package fasthttp

import (
	"math"
	"runtime/pprof"
	"time"

	"cowrelay/cow"
	"cowrelay/cow/frame"
	"cowrelay/cow/token"
	"cowrelay/fasthttp/conn"
	"cowrelay/fasthttp/limit"
	"cowrelay/fasthttp/refusal"
	"cowrelay/fasthttp/trace"

	"github.com/valyala/fasthttp"
)

// route is one row of the table of paths.
type route struct {
	name              string // the label of its metrics
	get, post, delete method // HEAD is answered as GET is, without the body
	bearer            bool   // the slot's token is asked for
	anyBearer         bool   // a bearer is asked for; whose it must be, the body says
	// shapeFirst answers 400 to a text that is not a slot id, before anything else.
	shapeFirst bool
	// noBody lets a post come without a body, and then without a content type.
	noBody bool
	// evenBlocked serves slots that the operator has blocked.
	evenBlocked bool
	// unlimited requests count for no limit, whatever their method.
	unlimited bool
	// local routes are served in local-only mode, and at a Unix socket.
	local bool
	// lines serves a post that has an event a line. Without it the route takes JSON
	// alone.
	lines   handler
	maxBody int    // bytes of a post's body, 0 if it has none
	allow   string // for 405; made from the methods
}

// method is what a route does for a method. Without serve the route does not have
// it.
type method struct {
	serve handler
	op    int         // which operation it is; set by init
	also  []int       // statuses that its operation can have beside the usual ones
	class limit.Class // the limit that it counts for
	needs token.Right // of a route with a bearer: what the token must allow
	// evenBlocked serves slots that the operator has blocked, as the route's does.
	evenBlocked bool
	ticket      bool // the token may stand in the query
}

// handler answers a request that was let in. An error is answered by refusalOf.
type handler func(*Relay, request) error

// method returns what the route does for the request's method.
func (rt *route) method(h *fasthttp.RequestHeader) method {
	switch {
	case h.IsGet(), h.IsHead():
		return rt.get
	case h.IsPost():
		return rt.post
	case h.IsDelete():
		return rt.delete
	}
	return method{}
}

// request is what routing and authentication found out about a request.
type request struct {
	ctx      *fasthttp.RequestCtx
	route    *route
	op       int        // an index of operations
	slot     *cow.Slot  // of a route with a bearer
	grant    cow.Grant  // what its token allows there
	head     bool       // HEAD: the body is not sent
	conn     *conn.Conn // nil if it is not one of the listener's
	withheld bool       // the header said that the body is not to be read
	startNs  int64      // on the store's clock
	begun    bool       // it is in flight: begun, and not counted yet
	id       string     // ""; or what the log, the reply and errors call the request
	span     trace.Span // nil: the request is not traced
}

// idOf returns the id that the client has given its request, if that may be its name.
func idOf(h *fasthttp.RequestHeader) string {
	if id := h.PeekBytes(requestID); len(id) > 0 {
		return trace.ClientID(id, bearer(h), h.RequestURI())
	}
	return ""
}

// name returns the request's id, and makes one if there is none yet.
func (req *request) name() string {
	if req.id == "" {
		req.id = trace.NewID()
	}
	return req.id
}

// waits is the user value of a pull that waits for an event.
const waits = "waits"

// waited has a pull count as one that waits.
func (req request) waited(r *Relay) {
	r.requests.Move(req.op, opLongPoll)
	req.ctx.SetUserValue(waits, true)
	pprof.SetGoroutineLabels(r.labels[opLongPoll])
}

// counts is the operation that the request counts for.
func (req request) counts() int {
	if req.ctx.UserValue(waits) != nil {
		return opLongPoll
	}
	return req.op
}

// reply fills the response with a JSON body.
func (req request) reply(status int, body []byte) {
	res := &req.ctx.Response
	res.SetStatusCode(status)
	res.Header.SetContentTypeBytes(contentTypeJSON)
	res.SetBody(body)
}

// reading is what the query of a pull or a stream asks for.
type reading struct {
	start cow.Start // an id in it is valid while the request is
	limit int       // of a pull
	wait  time.Duration
	ids   frame.IDs // of a stream
	// consistent: a pull shows all that any relay acknowledged before it.
	consistent bool
}

// The parameters of a reading, as bits.
const (
	hasSince = 1 << iota
	hasFrom
	hasLast
	hasLimit
	hasWait
	hasIDs
	hasConsistent
	hasStart = hasSince | hasFrom | hasLast
)

// reading reads the query. Parameters that belong to the other of the two, and
// those that nobody knows, are passed over.
func (req request) reading(stream bool) (reading, error) {
	q := reading{limit: defaultLimit}
	if stream {
		q.start = cow.Newest()
	}
	seen, last := 0, maxLimit
	for key, value := range req.ctx.QueryArgs().All() {
		var n int
		var err error
		is := 0
		switch string(key) {
		case "since":
			is, q.start = hasSince, cow.After(value)
		case "from":
			var pos uint64
			is = hasFrom
			pos, err = position(value)
			q.start = cow.From(pos)
		case "last":
			is = hasLast
			n, err = number(value)
			last = min(n, maxLimit)
			q.start = cow.Last(last)
		case "limit":
			if !stream {
				is = hasLimit
				n, err = number(value)
				q.limit = min(n, maxLimit)
			}
		case "wait":
			if !stream {
				is = hasWait
				n, err = number(value)
				q.wait = min(time.Duration(n)*time.Second, maxWait)
			}
		case "consistent":
			if !stream {
				is, q.consistent = hasConsistent, string(value) == "1"
				if !q.consistent && string(value) != "0" {
					err = refusal.QueryCurrent
				}
			}
		case "ids":
			if stream {
				if is, q.ids = hasIDs, frame.Positions; string(value) != "position" {
					err = refusal.QueryIDs
				}
			}
		}
		switch {
		case err != nil:
			return q, err
		case seen&is != 0:
			return q, refusal.Query
		case is&hasStart != 0 && seen&hasStart != 0:
			return q, refusal.QueryStart
		}
		seen |= is
	}
	if seen&hasLast != 0 { // of that many the default limit would show the older ones
		if seen&hasLimit == 0 {
			q.limit = last
		}
		q.limit = min(q.limit, last)
	}
	if ids := req.ctx.Request.Header.PeekAll("Last-Event-ID"); stream && len(ids) > 0 {
		q.start = resumed(ids[0], q.ids)
	}
	return q, nil
}

// resumed is where a stream goes on behind the id line that its client saw last. A
// text that is none of this stream's reads from the oldest, as an unknown id does.
func resumed(id []byte, ids frame.IDs) cow.Start {
	if ids == frame.EventIDs {
		return cow.After(id)
	}
	pos, err := position(id)
	if err != nil {
		return cow.Oldest()
	}
	return cow.From(pos + min(1, math.MaxUint64-pos))
}

// number reads a whole number from 0 up. Anything above a thousand million is read
// as that.
func number(text []byte) (int, error) {
	n, err := position(text)
	return int(min(n, 1_000_000_000)), err
}

// position reads a whole number from 0 up. Anything above the greatest uint64 is
// read as that.
func position(text []byte) (n uint64, err error) {
	if len(text) == 0 {
		return 0, refusal.Query
	}
	for _, c := range text {
		digit := uint64(c - '0')
		if digit > 9 {
			return 0, refusal.Query
		}
		if n > (math.MaxUint64-digit)/10 {
			n = math.MaxUint64
		} else {
			n = n*10 + digit
		}
	}
	return n, nil
}
