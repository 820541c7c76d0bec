package doctor

import (
	"context"
	"fmt"
	"net/http"
	"strconv"
	"strings"

	"cowrelay/cmd/cowrelay/internal/human"
)

// How full something may be before it is told of, in parts of its limit.
const (
	nearLimit = 0.8
	atLimit   = 0.95
)

// limited are the figures that have a limit, NAME_max, with the setting that raises it.
var limited = []struct{ name, what, do string }{
	{"cowrelay_http_connections", "connections", "raise --max-connections and the limit of open files"},
	{"cowrelay_streams", "streams", "raise --max-streams"},
	{"cowrelay_long_polls", "long polls", "raise --max-long-polls"},
	{"cowrelay_slots", "slots", "raise --max-slots, or remove slots: cowrelay admin slots --by pulled"},
	{"cowrelay_handles", "handles", "raise --max-handles"},
	{"cowrelay_invites", "invites", "raise --max-invites"},
	{"cowrelay_pairs", "pairs", "raise --max-pairs"},
	{"cowrelay_request_bytes", "bytes of arriving requests", "raise --request-budget"},
	{"cowrelay_queue_posts", "posts that wait", "look at the disk: it is too slow for this load"},
	{"cowrelay_queue_bytes", "bytes of posts that wait", "look at the disk: it is too slow for this load"},
	{"cowrelay_backlog_bytes", "bytes that the store is behind", "look at the disk: it is too slow for this load"},
	{"cowrelay_admin_connections", "connections of operators", "look who asks the admin listener so often"},
}

// counted are counts that should be 0.
var counted = []struct {
	name, what, do string
	status         status
}{
	{"cowrelay_journal_errors_total", "flushes and compactions failed, or damage was found", "look at the relay's log and the disk; stop the relay and run cowrelay verify", trouble},
	{"cowrelay_load_errors_total", "loads from the store failed", "look at the relay's log and the disk; stop the relay and run cowrelay verify", trouble},
	{"cowrelay_stats_write_errors_total", "writes of the statistics failed", "look at the relay's log and the disk", warning},
	{"cowrelay_journal_torn_bytes", "bytes at the end of the log were dropped at the start", "nothing, if the machine or the relay had crashed; else look at the disk", warning},
	{"cowrelay_journal_slow_writes_total", "operations of the disk took seconds", "look at the disk", warning},
	{"cowrelay_journal_stalls_total", "times the store could take no more", "look at the disk: it is too slow for this load", warning},
	{"cowrelay_panics_total", "requests met a fault of the relay", "report what its log says about it", trouble},
	{"cowrelay_http_accept_errors_total", "errors of accept were waited out", "look at the limit of open files", warning},
	{"cowrelay_log_lines_dropped_total", "lines of the log were dropped", "look at what reads the relay's log", warning},
}

// slowSync is a mean time of a sync, in seconds, that posts feel.
const slowSync = 0.05

// figures reads the metrics of a relay's admin listener, and looks at limits and store.
func (e *examination) figures(ctx context.Context, admin string) {
	if admin == "" {
		return
	}
	a, err := e.get(ctx, admin+"/metrics")
	if err == nil && a.status != http.StatusOK {
		err = fmt.Errorf("status %d", a.status)
	}
	values := readMetrics(a.body)
	if _, relay := values["cowrelay_ready"]; err == nil && !relay {
		err = fmt.Errorf("these are no figures of a relay")
	}
	if err != nil {
		e.add("figures", trouble, "look at --admin; without it limits and store can't be looked at", "%s/metrics: %v", admin, err)
		return
	}
	e.limits(values)
	e.store(values)
	e.fleet(values)
}

// limits tells of the limits that are near.
func (e *examination) limits(values map[string]float64) {
	near, fullest, fullestName := 0, -1.0, ""
	tell := func(what, do string, value, most float64) {
		if most <= 0 {
			return
		}
		part := value / most
		if part > fullest {
			fullest, fullestName = part, what
		}
		s := warning
		switch {
		case part >= atLimit:
			s = trouble
		case part < nearLimit:
			return
		}
		near++
		e.add("limits", s, do, "%s: %s of %s", what, human.Count(value), human.Count(most))
	}
	for _, l := range limited {
		tell(l.what, l.do, values[l.name], values[l.name+"_max"])
	}
	tell("open files", "raise the limit of open files", values["process_open_fds"], values["process_max_fds"])
	if near == 0 {
		e.add("limits", ok, "", "none is near; the nearest is %s, at %.0f %%", fullestName, 100*max(fullest, 0))
	}
}

// store tells how the disk and the store are.
func (e *examination) store(values map[string]float64) {
	if free, known := values["cowrelay_disk_free_bytes"]; known && e.url != "" {
		e.space(free, 0, values["cowrelay_disk_reserve_bytes"])
	}
	bad := 0
	for _, c := range counted {
		if n := values[c.name]; n > 0 {
			bad++
			e.add("store and log", c.status, c.do, "%s %s (%s)", human.Count(n), c.what, c.name)
		}
	}
	const sync = "cowrelay_journal_sync_duration_seconds"
	if n := values[sync+"_count"]; n > 0 && values[sync+"_sum"]/n > slowSync {
		bad++
		e.add("store and log", warning, "use a faster disk: each post waits for a sync", "a sync takes %s in the mean", human.Took(values[sync+"_sum"]/n))
	}
	if bad == 0 {
		e.add("store and log", ok, "", "no errors since the start; %s on disk", human.Bytes(values["cowrelay_store_bytes"]))
	}
}

// readMetrics reads the text of /metrics. Series of one name count together.
func readMetrics(text string) map[string]float64 {
	values := make(map[string]float64)
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		at := strings.LastIndexByte(line, ' ')
		if at < 0 || line[0] == '#' {
			continue
		}
		name, _, _ := strings.Cut(line[:at], "{")
		if v, err := strconv.ParseFloat(line[at+1:], 64); err == nil {
			values[strings.TrimSpace(name)] += v
		}
	}
	return values
}
