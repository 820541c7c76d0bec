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
		l := label{"route", []string{name}}
		if b := c.histogram(requests, l); b.n > 0 {
			list = append(list, entry{name, b,
				c.rate("cowrelay_http_requests_total", l, r.statuses('4')), c.rate("cowrelay_http_requests_total", l, r.statuses('5')), true})
		}
	}
	slices.SortStableFunc(list, func(a, b entry) int { return cmp.Compare(b.b.n, a.b.n) })
	disk := []entry{
		{name: "commit", b: c.histogram("cowrelay_commit_duration_seconds", label{})},
		{name: "disk sync", b: c.histogram("cowrelay_journal_sync_duration_seconds", label{})},
		{name: "stream lag", b: c.histogram("cowrelay_stream_lag_seconds", label{})},
	}
	// The rows of the disk stand behind the two busiest routes, so that a small
	// screen has them.
	list = slices.Concat(list[:min(len(list), 2)], disk, list[min(len(list), 2):])
	head := fmt.Sprintf("%-18s%12s%11s%11s%11s%9s", "latency", "rate", "p50", "p90", "p99", "errors")
	lines := []line{{{bold, strings.ToUpper(head)}}}
	for _, e := range list {
		rate := math.NaN()
		if c.known() {
			rate = e.b.n / c.seconds()
		}
		l := line{{plain, fmt.Sprintf("%-18s%12s%11s%11s%11s", e.name, perSecond(rate), human.Took(e.b.quantile(.5)), human.Took(e.b.quantile(.9)), human.Took(e.b.quantile(.99)))}}
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
	mark := func(by string) string {
		if by == v.by {
			return "▾" + by
		}
		return by
	}
	head := fmt.Sprintf("%-32s%9s%10s%10s%9s  %-7s", "slot", mark("posts")+"/s", mark("events"), mark("bytes"), mark("streams"), "state")
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
		l := line{{plain, fmt.Sprintf("%-32s%9s%10s%10s%9s  ", term.Printable(s.ID), posts, human.Count(float64(s.Events)), human.Bytes(float64(s.Bytes)), human.Count(float64(s.Streams)))}}
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
