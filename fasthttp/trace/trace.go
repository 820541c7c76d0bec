package trace

import "time"

// Tracer decides which requests are traced, and makes their spans. Any goroutine may
// use it. It never waits.
type Tracer interface {
	// Start begins the span of a request, or returns nil if it is not traced.
	Start(Asked) Span
	// Counts returns what became of spans since the start.
	Counts() Counts
}

// Asked is what a request says of its trace. Its client may be anybody.
type Asked struct {
	Parent string // the traceparent of the W3C, unread; "" if there is none
	State  string // its tracestate, likewise
	Client uint64 // whose request it is, for what is shared out by client
}

// MaxState is the longest tracestate that is kept. The W3C asks for no more, and a span
// keeps it in memory until it is sent.
const MaxState = 512

// Span is a traced request. It is for one goroutine.
type Span interface {
	// TraceID is the id of its trace, for the log: 32 hex digits.
	TraceID() string
	// Part tells of a part of the request, which is over.
	Part(name string, from, to time.Time)
	// End ends the span. Nothing may be called after it.
	End(Outcome)
}

// The names of parts.
const (
	Queue  = "queue"  // of a post: until the commit loop has decided on it
	Commit = "commit" // of a post: from there until it is durable, and answered
	Load   = "load"   // a slot that is not in memory is read
	Wait   = "wait"   // of a long poll
)

// Outcome is what there is to say of a request that is answered. Nothing in it can
// authenticate.
type Outcome struct {
	Method    string // one of HTTP's, or "" for any other word
	Route     string // as metrics call it
	Status    int
	Slot      string // the id of the slot that the client was let into; ""
	RequestID string // if it has one
}

// Counts say what became of spans. Ended less the others are those that wait.
type Counts struct{ Ended, Sent, Failed, Dropped uint64 }
