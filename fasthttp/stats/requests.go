package stats

import (
	"fmt"
	"io"
	"slices"
	"sync/atomic"
	"time"
)

// statuses is one more than the highest status that is counted by itself.
const statuses = 600

// Operation is one kind of request: a method of a route.
type Operation struct {
	Route, Method string
	// Statuses are those that can occur. They are shown from the start, at 0: a
	// series that begins with its first case hides that case from increase().
	Statuses []int
}

// labels are those that all series of an operation have.
func (o *Operation) labels() string { return fmt.Sprintf("route=%q,method=%q", o.Route, o.Method) }

// Requests counts replies by operation and status, and measures the time to them.
// NewRequests makes it; any goroutine may count. A request is begun once, may be
// moved, and is counted once, in this order.
//
// A copy of each counter for each processor gains nothing on two cores, and costs on
// one (profiles/2026-11-29-poll-counters).
type Requests struct {
	operations []Operation
	// By operation, an index of operations.
	begun   []atomic.Uint64           // requests; Move takes one away
	replies [][statuses]atomic.Uint64 // and by status
	took    []*Histogram
}

// NewRequests counts for these operations.
func NewRequests(operations []Operation) *Requests {
	n := len(operations)
	r := &Requests{operations: operations, begun: make([]atomic.Uint64, n), replies: make([][statuses]atomic.Uint64, n)}
	for range operations {
		r.took = append(r.took, newHistogram(requestBounds, time.Second))
	}
	return r
}

// Begin counts a request that is under way. op is an index of the operations.
func (r *Requests) Begin(op int) { r.begun[op].Add(1) }

// Move has a request that is under way count for another operation.
func (r *Requests) Move(from, to int) {
	r.begun[to].Add(1)
	r.begun[from].Add(^uint64(0))
}

// Count counts a reply to a request that has begun. took is the time from the
// request's header to its reply, negative if nobody knows.
func (r *Requests) Count(op, status int, took time.Duration) {
	r.replies[op][min(max(status, 0), statuses-1)].Add(1)
	if took >= 0 {
		r.took[op].Observe(took)
	}
}

// Families are the families of requests, in their order.
func (r *Requests) Families() []Family {
	return []Family{
		{Info{"cowrelay_http_requests_total", "counter", "Requests answered, by route, method and status. HEAD counts as GET. Pulls that waited have the route long_poll, posts of many events batch_post. Whatever has no handler has the route none, and questions of browsers what they may do (CORS) have preflight."}, r.printReplies},
		{Info{"cowrelay_http_requests_in_flight", "gauge", "Requests whose reply is not ready yet, by route and method. Long polls are among them, streams only until they open."}, r.printInFlight},
		{Info{"cowrelay_http_request_duration_seconds", "histogram", "Time from a request's header to its reply being ready to send, by route and method. Streams count until they open."},
			func(w io.Writer, name string) {
				for i := range r.operations {
					r.took[i].Print(w, name, r.operations[i].labels())
				}
			}},
	}
}

// printReplies prints the statuses that can occur, and those that have occurred all
// the same. All of them would be thousands of series.
func (r *Requests) printReplies(w io.Writer, name string) {
	for i := range r.operations {
		o := &r.operations[i]
		for status := range r.replies[i] {
			if n := r.replies[i][status].Load(); n > 0 || slices.Contains(o.Statuses, status) {
				fmt.Fprintf(w, "%s{%s,status=\"%d\"} %d\n", name, o.labels(), status, n)
			}
		}
	}
}

// printInFlight prints what has begun and was not counted yet. What was counted is
// read first: it has begun, so the difference is never below 0 for that.
func (r *Requests) printInFlight(w io.Writer, name string) {
	for i := range r.operations {
		var done uint64
		for status := range r.replies[i] {
			done += r.replies[i][status].Load()
		}
		fmt.Fprintf(w, "%s{%s} %d\n", name, r.operations[i].labels(), max(0, int64(r.begun[i].Load()-done)))
	}
}

// Refusals counts refusals by reason, and picks those that get a line in the log.
// NewRefusals makes it; any goroutine may count.
type Refusals struct {
	reasons []string // by reason; an empty one is none
	counts  []refusals
}

// refusals are those of one reason. told and left belong together: who moves told
// forward takes what is left.
type refusals struct {
	n    atomic.Uint64
	left atomic.Uint64 // since the last line
	told atomic.Int64  // when the last line was due, in nanoseconds on the caller's clock; 0 for never
}

// NewRefusals counts for the reasons of these names.
func NewRefusals(reasons []string) *Refusals {
	return &Refusals{reasons: reasons, counts: make([]refusals, len(reasons))}
}

// Count counts a refusal. reason is an index of the names.
func (r *Refusals) Count(reason int) { r.counts[reason].n.Add(1) }

// sampleEvery is the time between two lines about refusals of one reason.
const sampleEvery = 10 * time.Second

// Sample says whether this refusal gets a line in the log, and how many had this
// reason since the last line, this one included. Of a crowd one gets it.
func (r *Refusals) Sample(reason int, nowNs int64) (n uint64, due bool) {
	c := &r.counts[reason]
	c.left.Add(1)
	told := c.told.Load()
	if told != 0 && nowNs-told < int64(sampleEvery) || !c.told.CompareAndSwap(told, max(nowNs, 1)) {
		return 0, false
	}
	return c.left.Swap(0), true
}

// Families are its families of metrics.
func (r *Refusals) Families() []Family {
	return []Family{CounterBy("cowrelay_refusals_total", "reason", "Requests refused, by reason: invalid, not_found, token (none, or a wrong one), right_post, right_read, right_slot, right_owner (a good token that lacks this right), blocked, too_large (a body or an event), slot_full, rate (cowrelay_rate_limited_total says which), intros (too many introductions), conflict, slots, streams, stream_share, slot_streams, long_polls, slot_tokens, slot_tickets, tokens, token_share, handles, handle_share, invites, invite_share, pairs, pair_share, connections (limits that were reached; a share is that of one client, slot_ that of one slot), arriving (no memory for what is arriving), busy, log_away (the log that relays share), no_space, draining, fault, other.",
		func(show Show) {
			for i, name := range r.reasons {
				if name != "" {
					show(name, r.counts[i].n.Load())
				}
			}
		})}
}
