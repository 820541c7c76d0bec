package stats

import (
	"strings"
	"sync"
	"testing"
	"time"
)

// What many goroutines count at once is all there: replies of statuses that are
// known, of others, and times.
func TestRequests_AtOnce(t *testing.T) {
	r := NewRequests([]Operation{{Route: "a", Method: "GET", Statuses: []int{200, 503}}, {Route: "b", Method: "POST", Statuses: []int{201}}})
	var wg sync.WaitGroup
	for range 32 {
		wg.Go(func() {
			for range 1000 {
				r.Begin(0)
				r.Count(0, 200, 20*time.Microsecond)
				r.Begin(0)
				r.Move(0, 1)
				r.Count(1, 418, time.Hour)
				r.Begin(1)
				r.Count(1, 201, -1)
			}
			r.Begin(1)
		})
	}
	wg.Wait()
	var b strings.Builder
	for _, f := range r.Families() {
		f.Print(&b, f.Name)
	}
	for _, line := range []string{
		`cowrelay_http_requests_total{route="a",method="GET",status="200"} 32000`, `cowrelay_http_requests_total{route="a",method="GET",status="503"} 0`,
		`cowrelay_http_requests_total{route="b",method="POST",status="418"} 32000`, `cowrelay_http_requests_total{route="b",method="POST",status="201"} 32000`,
		`cowrelay_http_requests_in_flight{route="a",method="GET"} 0`, `cowrelay_http_requests_in_flight{route="b",method="POST"} 32`,
		`cowrelay_http_request_duration_seconds_bucket{route="a",method="GET",le="1e-05"} 0`, `cowrelay_http_request_duration_seconds_bucket{route="a",method="GET",le="2.5e-05"} 32000`,
		`cowrelay_http_request_duration_seconds_sum{route="a",method="GET"} 0.64`, `cowrelay_http_request_duration_seconds_count{route="b",method="POST"} 32000`,
	} {
		if !strings.Contains(b.String(), line+"\n") {
			t.Errorf("no line %s in\n%s", line, b.String())
		}
	}
	if strings.Contains(b.String(), `status="201"} 0`) || strings.Count(b.String(), "status=") != 4 {
		t.Errorf("statuses that can't occur are shown:\n%s", b.String())
	}
}

func BenchmarkRequests(b *testing.B) {
	r := NewRequests([]Operation{{Route: "a", Method: "GET", Statuses: []int{200}}})
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			r.Begin(0)
			r.Count(0, 200, 20*time.Microsecond)
		}
	})
}
