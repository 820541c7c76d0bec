package operate

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"cowrelay/cmd/cowrelay/internal/human"
	"cowrelay/cmd/cowrelay/internal/term"
)

// topView is all that top shows.
type topView struct {
	url       string
	every     time.Duration
	by        string // order of the slots
	last      change // to is nil before the first reading
	downSince time.Time
	down      error              // why there is no newer reading
	past      map[string]history // by the name of a summary line
}

// history is the figures of the last readings, the oldest first.
type history []float64

const maxHistory = 200

// take shows a reading.
func (v *topView) take(r *reading) {
	v.last, v.down = r.since(v.last.to), nil
	if !v.last.known() {
		return
	}
	for _, row := range v.summary() {
		if !math.IsNaN(row.plotted) {
			h := append(v.past[row.name], row.plotted)
			v.past[row.name] = h[max(len(h)-maxHistory, 0):]
		}
	}
}

// lose tells that there is no new reading.
func (v *topView) lose(err error, now time.Time) {
	if v.down == nil {
		v.downSince = now
	}
	v.down = err
}

// lines draws the view.
func (v *topView) lines(width, height int, now time.Time) []line {
	lines := []line{v.title(width, now)}
	if v.last.to == nil {
		hint := "asking…"
		if v.down != nil {
			hint = "Does the relay run? --admin names its admin listener. Asking again…"
		}
		lines = append(lines, nil, line{{faint, " " + hint}})
		return v.withKeys(lines, height)
	}
	lines = append(lines, nil)
	for _, row := range v.summary() {
		lines = append(lines, row.line(v.past[row.name], width))
	}
	lines = append(lines, nil)
	// Slots get what the latencies leave, and at least a head and three rows.
	latencies := v.latencies(width)
	lines = append(lines, latencies[:min(len(latencies), max(height-len(lines)-7, 3))]...)
	lines = append(lines, nil)
	lines = append(lines, v.slotLines(width, height-len(lines)-2)...)
	return v.withKeys(lines, height)
}

// withKeys puts the keys at the foot.
func (v *topView) withKeys(lines []line, height int) []line {
	for len(lines) < height-1 {
		lines = append(lines, nil)
	}
	lines = lines[:max(height-1, 1)]
	keys := line{{faint, " q"}, {plain, " quit   "}, {faint, "slots by "}}
	for i, by := range topOrders {
		look := plain
		if by == v.by {
			look = bold
		}
		keys = append(keys, span{look, by[:1]}, span{cmp.Or(look, faint), by[1:]})
		if i < len(topOrders)-1 {
			keys = append(keys, span{plain, "  "})
		}
	}
	return append(lines, keys)
}

// topOrders are what slots are listed by; the first letter is the key.
var topOrders = []string{"posts", "bytes", "events", "streams"}

func (v *topView) title(width int, now time.Time) line {
	left, look := " "+strings.TrimPrefix(v.url, "http://"), bar
	if r := v.last.to; r != nil && v.down == nil {
		left = " cowrelay" + left
		for _, version := range r.values("cowrelay_build_info", "version") {
			left += "  " + term.Printable(version)
		}
		if start := r.value("process_start_time_seconds"); start > 0 {
			left += "  up " + human.Age(now.Sub(time.Unix(int64(start), 0)))
		}
		left += "  every " + v.every.String()
	}
	if v.down != nil {
		left += "  unreachable since " + v.downSince.Format(time.TimeOnly) + " (" + human.Age(now.Sub(v.downSince)) + "): " + why(v.down)
		look = "7;31"
	}
	right := now.Format(time.TimeOnly) + " "
	if room := width - len([]rune(right)) - 1; len([]rune(left)) > room {
		left = string([]rune(left)[:max(room-1, 0)]) + "…"
	}
	return line{{look, left + strings.Repeat(" ", max(width-len([]rune(left))-len([]rune(right)), 1)) + right}}
}

// why is the end of an error's chain, which says what is wrong.
func why(err error) string {
	text := err.Error()
	for _, cut := range []string{"connect: ", "listener): "} {
		if _, after, ok := strings.Cut(text, cut); ok {
			text = after
		}
	}
	return term.Printable(text)
}

// latencies is a table of what took how long since the reading before.
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
	// The disk's rows come first: they must not fall off a small screen.
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

// slotLines is a table of the first slots.
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
