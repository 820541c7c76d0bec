package stats

import (
	"fmt"
	"io"
	"sync/atomic"
	"time"
)

// statuses is one more than the highest status that is counted by itself.
const statuses = 600

// Requests counts replies by route and status, and measures the time to them.
// NewRequests makes it; any goroutine may count.
type Requests struct {
	routes []string
	// By route, an index of routes.
	replies [][statuses]atomic.Uint64 // and by status
	took    []*Histogram
}

// NewRequests counts for the routes of these names.
func NewRequests(routes []string) *Requests {
	r := &Requests{routes: routes, replies: make([][statuses]atomic.Uint64, len(routes))}
	for range routes {
		r.took = append(r.took, newHistogram(requestBounds, time.Second))
	}
	return r
}

// Count counts a reply. route is an index of the names; took is the time from
// the request's header to its reply, negative if nobody knows.
func (r *Requests) Count(route, status int, took time.Duration) {
	r.replies[route][min(max(status, 0), statuses-1)].Add(1)
	if took >= 0 {
		r.took[route].Observe(took)
	}
}

// Families are the families of requests, in their order.
func (r *Requests) Families() []Family {
	return []Family{
		{Info{"cowrelay_http_requests_total", "counter", "Requests answered, by route and status."}, r.printReplies},
		{Info{"cowrelay_http_request_duration_seconds", "histogram", "Time from a request's header to its reply being ready to send, by route. Streams count until they open."},
			func(w io.Writer, name string) {
				for i, route := range r.routes {
					r.took[i].Print(w, name, `route="`+route+`"`)
				}
			}},
	}
}

// printReplies prints the statuses that were there. All of them would be
// thousands of series.
func (r *Requests) printReplies(w io.Writer, name string) {
	for i, route := range r.routes {
		for status := range r.replies[i] {
			if n := r.replies[i][status].Load(); n > 0 {
				fmt.Fprintf(w, "%s{route=%q,status=\"%d\"} %d\n", name, route, status, n)
			}
		}
	}
}
