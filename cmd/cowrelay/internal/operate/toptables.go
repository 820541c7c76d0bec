package operate

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strings"

	"cowrelay/cmd/cowrelay/internal/human"
	"cowrelay/cmd/cowrelay/internal/term"
)

// latencies is the table of how long requests, commits, syncs and frames took since
// the reading before.
func (v *topView) latencies(width int) []line {
	c, r := v.last, v.last.to
	const requests = "cowrelay_http_request_duration_seconds"
	type entry struct {
		name   string
		b      buckets
		e4, e5 float64
		route  bool
	}
	var list []entry
	for _, name := range r.values(requests, "route") {
		for _, method := range r.values(requests, "method") {
			l, of := label{"route", []string{name}}, label{"method", []string{method}}
			if b := c.histogram(requests, l, of); b.n > 0 {
				list = append(list, entry{name + " " + method, b,
					c.rate("cowrelay_http_requests_total", l, of, r.statuses('4')), c.rate("cowrelay_http_requests_total", l, of, r.statuses('5')), true})
			}
		}
	}
	slices.SortStableFunc(list, func(a, b entry) int { return cmp.Compare(b.b.n, a.b.n) })
	disk := []entry{
		{name: "commit", b: c.histogram("cowrelay_commit_duration_seconds")},
		{name: "disk sync", b: c.histogram("cowrelay_journal_sync_duration_seconds")},
		{name: "stream lag", b: c.histogram("cowrelay_stream_lag_seconds")},
	}
	// The rows of the disk stand behind the two busiest routes, so that a small
	// screen has them.
	list = slices.Concat(list[:min(len(list), 2)], disk, list[min(len(list), 2):])
	// A narrow screen goes without p90.
	columns := func(name, rate, p50, p90, p99 string) string {
		if width < 72 {
			return fmt.Sprintf("%-22s%9s%9s%9s", name, rate, p50, p99)
		}
		return fmt.Sprintf("%-22s%8s%11s%11s%11s", name, rate, p50, p90, p99)
	}
	head := columns("latency", "rate", "p50", "p90", "p99") + fmt.Sprintf("%9s", "errors")
	lines := []line{{{bold, strings.ToUpper(head)}}}
	for _, e := range list {
		rate := math.NaN()
		if c.known() {
			rate = e.b.n / c.seconds()
		}
		l := line{{plain, columns(e.name, perSecond(rate), human.Took(e.b.quantile(.5)), human.Took(e.b.quantile(.9)), human.Took(e.b.quantile(.99)))}}
		if e.route {
			look := plain
			if e.e5 > 0 {
				look = alarm
			} else if e.e4 > 0 {
				look = warning
			}
			l = append(l, span{look, fmt.Sprintf("%9s", perSecond(e.e4+e.e5))})
		}
		lines = append(lines, l)
	}
	return lines
}

// slotLines is the table of the first slots, in at most so many rows. A wide screen
// has one more column.
func (v *topView) slotLines(width, room int) []line {
	r := v.last.to
	wide := width >= 92
	// A narrow screen shows the beginning of the ids.
	id := min(max(width-47, 8), 32)
	mark := func(by string) string {
		if by == v.by {
			return "▾" + by
		}
		return by
	}
	head := fmt.Sprintf("%-*s%9s%10s%10s%9s  %-7s", id, "slot", mark("posts")+"/s", mark("events"), mark("bytes"), mark("streams"), "state")
	if wide {
		head += "  pulled"
	}
	lines := []line{{{bold, strings.ToUpper(head)}}}
	if r.refused != nil {
		return append(lines, line{{warning, term.Printable(r.refused.Error())}})
	}
	for i, s := range r.slots {
		if i >= room-1 {
			break
		}
		posts := "-"
		if s.Posts != nil {
			posts = human.Rate(*s.Posts)
		}
		l := line{{plain, fmt.Sprintf("%-*s%9s%10s%10s%9s  ", id, beginning(term.Printable(s.ID), id-1), posts, human.Count(float64(s.Events)), human.Bytes(float64(s.Bytes)), human.Count(float64(s.Streams)))}}
		look := plain
		if s.Blocked {
			look = warning
		}
		l = append(l, span{look, pad(s.state(), 7)})
		if wide {
			l = append(l, span{plain, "  " + s.pulled(r.at)})
		}
		lines = append(lines, l)
	}
	return lines
}

// beginning is a text, cut if it is longer than so many characters. An id of 32 fits
// into 31 and the blank behind it.
func beginning(s string, most int) string {
	r := []rune(s)
	if len(r) <= most+1 {
		return s
	}
	return string(r[:max(most-1, 0)]) + "…"
}
