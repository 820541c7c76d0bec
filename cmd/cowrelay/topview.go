package main

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"
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
		if v.down == nil {
			lines = append(lines, nil, line{{faint, "asking…"}})
		}
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
			left += "  " + printable(version)
		}
		if start := r.value("process_start_time_seconds"); start > 0 {
			left += "  up " + age(now.Sub(time.Unix(int64(start), 0)))
		}
		left += "  every " + v.every.String()
	}
	if v.down != nil {
		left += "  unreachable since " + v.downSince.Format(time.TimeOnly) + " (" + age(now.Sub(v.downSince)) + "): " + why(v.down)
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
	return printable(text)
}

// row is a line of the summary: a name, up to three cells, and what is plotted
// where there is room.
type row struct {
	name    string
	cells   []cellText
	plotted float64
}

// cellText is a figure and what it is of.
type cellText struct {
	figure, of string
	look       style
}

const nameWidth, cellWidth = 10, 23

func (r row) line(past history, width int) line {
	l := line{{faint, pad(r.name, nameWidth)}}
	for _, c := range r.cells {
		l = append(l, span{cmp.Or(c.look, bold), c.figure}, span{plain, pad(c.of, cellWidth-len([]rune(c.figure)))})
	}
	if room := width - nameWidth - 3*cellWidth - 1; room >= 10 && len(past) > 0 {
		l = append(l, span{plain, strings.Repeat(" ", max(width-room-l.width(), 0))}, span{faint, spark(past, room)})
	}
	return l
}

// spark plots the last figures as blocks, each a figure, the newest at the
// right. The highest of them is a full block.
func spark(past history, room int) string {
	blocks := []rune(" ▁▂▃▄▅▆▇█")
	past = past[max(len(past)-room, 0):]
	top := slices.Max(past)
	b := []rune(strings.Repeat(" ", room-len(past)))
	for _, x := range past {
		i := 0
		if top > 0 && x > 0 {
			i = max(int(math.Round(x/top*float64(len(blocks)-1))), 1)
		}
		b = append(b, blocks[i])
	}
	return string(b)
}

func pad(s string, width int) string {
	return s + strings.Repeat(" ", max(width-len([]rune(s)), 0))
}

// summary is the figures of the whole relay.
func (v *topView) summary() []row {
	c, r := v.last, v.last.to
	rate := func(of, family string, labels ...label) cellText {
		return cellText{figure: perSecond(c.rate(family, labels...)), of: " " + of}
	}
	number := func(of, family string, labels ...label) cellText {
		return cellText{figure: count(r.value(family, labels...)), of: " " + of}
	}
	bad := func(t cellText) cellText {
		if t.figure != "0/s" && t.figure != "-" && t.figure != "0" {
			t.look = alarm
		}
		return t
	}
	batch := c.histogram("cowrelay_commit_batch_posts", label{})
	perBatch := "-"
	if batch.n > 0 {
		perBatch = digits(batch.sum / batch.n)
	}
	used, budget := r.value("cowrelay_memory_bytes"), r.value("cowrelay_memory_budget_bytes")
	requests, posts := rate("answered", "cowrelay_http_requests_total"), rate("stored", "cowrelay_posts_stored_total")
	return []row{
		{"requests", []cellText{requests,
			bad(rate("failed (5xx)", "cowrelay_http_requests_total", r.statuses('5'))),
			number("connections", "cowrelay_http_connections")}, c.rate("cowrelay_http_requests_total")},
		{"posts", []cellText{posts, rate("duplicate", "cowrelay_posts_duplicate_total"),
			bad(rate("refused", "cowrelay_posts_refused_total"))}, c.rate("cowrelay_posts_stored_total")},
		{"streams", []cellText{number("open", "cowrelay_streams"), rate("opened", "cowrelay_streams_opened_total"),
			number("long polls", "cowrelay_long_polls")}, r.value("cowrelay_streams")},
		{"slots", []cellText{number("in all", "cowrelay_slots"), number("hot", "cowrelay_slots_hot"),
			number("blocked", "cowrelay_slots_blocked")}, math.NaN()},
		{"events", []cellText{number("held", "cowrelay_events"), {figure: bytesText(r.value("cowrelay_event_bytes")), of: " held"},
			rate("loads", "cowrelay_loads_total")}, math.NaN()},
		{"queue", []cellText{number("posts", "cowrelay_queue_posts"), {figure: bytesText(r.value("cowrelay_queue_bytes"))},
			{figure: perBatch, of: " posts a commit"}}, r.value("cowrelay_queue_posts")},
		{"memory", []cellText{{figure: bytesText(used), of: " of " + bytesText(budget)},
			{figure: bytesText(r.value("process_resident_memory_bytes")), of: " resident"},
			number("goroutines", "go_goroutines")}, used},
	}
}

// perSecond prints a rate that may not be known.
func perSecond(v float64) string {
	if math.IsNaN(v) {
		return "-"
	}
	return rateText(v) + "/s"
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
		l := line{{plain, fmt.Sprintf("%-18s%12s%11s%11s%11s", e.name, perSecond(rate), took(e.b.quantile(.5)), took(e.b.quantile(.9)), took(e.b.quantile(.99)))}}
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
		return append(lines, line{{warning, printable(r.refused.Error())}})
	}
	for i, s := range r.slots {
		if i >= room-1 {
			break
		}
		posts := "-"
		if s.Posts != nil {
			posts = rateText(*s.Posts)
		}
		l := line{{plain, fmt.Sprintf("%-32s%9s%10s%10s%9s  ", printable(s.ID), posts, count(float64(s.Events)), bytesText(float64(s.Bytes)), count(float64(s.Streams)))}}
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
