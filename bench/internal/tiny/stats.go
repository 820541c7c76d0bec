package tiny

import (
	"fmt"
	"net/http"
	"runtime"
)

// What the small relay has for idle and churn: statistics, metrics, and faults
// of streams.

func (r *relay) stats(w http.ResponseWriter, _ *http.Request) {
	Answer(w, 200, fmt.Appendf(nil, `{"streams_active":%d}`, r.streams.Load()))
}

func metrics(w http.ResponseWriter, _ *http.Request) {
	// All is in memory.
	fmt.Fprint(w, "cowrelay_loads_total{kind=\"slot\"} 0\ncowrelay_loads_total{kind=\"chunk\"} 0\n")
	fmt.Fprintf(w, "# TYPE go_goroutines gauge\ngo_goroutines %d\n", runtime.NumGoroutine())
}

// Config prints a memory budget, as `cowrelay check-config` does.
func Config([]string) error {
	fmt.Println("sync=always  # default\nmemory-budget=200000B  # default\nconfiguration ok")
	return nil
}

// streamFault counts a stream, or refuses it and returns true. A stream that is
// miscounted stays counted.
func (r *relay) streamFault(w http.ResponseWriter, number int) bool {
	switch {
	case r.fault == "refuse" && number%50 == 0:
		Answer(w, 503, []byte(`{"error":"made to refuse"}`))
		return true
	case r.fault == "miscount" && number%50 == 0:
		r.streams.Add(1)
	case r.fault == "leak":
		go func() { select {} }()
	}
	r.streams.Add(1)
	return false
}

// heartbeat returns what comes now and then on a silent stream.
func heartbeat(fault string) string {
	switch fault {
	case "mute":
		return ""
	case "chatter":
		return "data: {}\n\n"
	}
	return ": beat\n\n"
}
