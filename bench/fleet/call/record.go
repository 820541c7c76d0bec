package call

import (
	"slices"
	"sync"
	"time"
)

// An Op is what a call asked for.
type Op uint8

const (
	Post     Op = iota + 1 // one event
	Batch                  // many events in one post
	Pull                   // a page
	Claim                  // of a handle, first or again
	Unclaim                // of a handle
	Lookup                 // of a handle
	Use                    // of an invite
	Make                   // a token
	Revoke                 // a token
	Allocate               // a slot
	Delete                 // a slot
	Rotate                 // the slot token
	Block                  // a slot, by the operator
	Unblock                // it again
	Health                 // set a slot's responder health
	State                  // a slot's state
	Pair                   // one side of a pair
	Look                   // at what the other side of a pair sent
)

var opNames = [...]string{"", "post", "batch", "pull", "claim", "unclaim", "lookup", "use", "make", "revoke", "allocate", "delete", "rotate", "block", "unblock", "health", "state", "pair", "look"}

func (o Op) String() string { return opNames[o] }

// MarshalText makes an operation readable in a record.
func (o Op) MarshalText() ([]byte, error) { return []byte(o.String()), nil }

// An Outcome is what the caller knows after a call.
type Outcome uint8

const (
	// Unknown: it may have happened, may still happen, or never happens. So it is
	// after a 5xx and when no answer came.
	Unknown Outcome = iota
	// Done: the relay has acknowledged it.
	Done
	// Refused: it has not happened and will not.
	Refused
	// Unsent: nobody listened, so it was not even asked.
	Unsent
)

// An Event is what was posted.
type Event struct {
	Key  string // its event_id, or a mark of its own if it has none
	ID   string // "": it has none
	Text string // its JSON, compact
}

// A Call is a request and its answer. Times are since the recorder began.
type Call struct {
	Op         Op
	Relay      int // which relay was asked
	Begin, End time.Duration
	Status     int    // 0: no answer came
	Unsent     bool   // there was no connection to ask over
	Text       string // the answer's begin, or the error, for people
	Slot       string // slot id

	Events []Event // Post and Batch: in order

	Stored     int   // Batch: how many were new; Use: how many uses the invite was made with
	Duplicates int   // Batch: how many were there
	Next       int64 // Batch: the position behind the last one; Pull: where the next page begins
	Duplicate  bool  // Post: it was there

	From       int64    // Pull: first position; -1: by Since
	Since      string   // Pull: id, "" for the oldest
	Consistent bool     // Pull
	Got        []string // Pull: events as they came
	SlotEnd    int64    // Pull: where the slot ended
	Trimmed    int64    // Pull: it points at what has left, and the oldest stands here; else -1
	Stale      bool     // Pull: the relay says that it can't hear of others

	Key    string // nick, invite token, token id or code of a pair; Rotate: the number of the new slot token
	Old    string // Rotate: that of the old one
	DID    string // Claim and Unclaim: of the caller
	Holder string // Claim and Lookup: the DID that holds the nick, as answered
	Again  bool   // Claim: it was a re-claim
	Role   string // Pair and Look
	Value  string // Health: what was set; State and Look: what was there, "" for nothing; Pair: the pair's id
	Barred bool   // the answer says that the operator has blocked the slot
	Token  string // Pull and Post: the id of the made token, or the number of the slot token, that authenticated; "": the slot's own, which stays
}

// Outcome says what the caller knows.
func (c *Call) Outcome() Outcome {
	switch {
	case c.Unsent:
		return Unsent
	case c.Status >= 200 && c.Status < 300:
		return Done
	case c.Status >= 400 && c.Status < 500 && c.Status != 408 && c.Status != 429:
		return Refused
	}
	return Unknown
}

// A Recorder keeps calls.
type Recorder struct {
	began time.Time

	mu    sync.Mutex
	calls []*Call // mu
	calm  []Span  // mu; without a fault
}

// A Span is a time from Begin to End.
type Span struct{ Begin, End time.Duration }

// NewRecorder returns an empty recorder, whose time begins now.
func NewRecorder() *Recorder { return &Recorder{began: time.Now()} }

// Now is the time since the recorder began.
func (r *Recorder) Now() time.Duration { return time.Since(r.began) }

// Keep records a call that has ended.
func (r *Recorder) Keep(c *Call) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.calls = append(r.calls, c)
}

// Calm records a time without faults.
func (r *Recorder) Calm(s Span) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.calm = append(r.calm, s)
}

// Calls returns all that was recorded.
func (r *Recorder) Calls() (calls []*Call, calm []Span) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.calls), slices.Clone(r.calm)
}
