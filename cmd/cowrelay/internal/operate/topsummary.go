package operate

import (
	"cmp"
	"math"
	"slices"
	"strings"

	"cowrelay/cmd/cowrelay/internal/human"
)

// row is a line of the summary: a name, up to three cells, and a figure that is
// plotted if there is room.
type row struct {
	name    string
	cells   []cellText
	plotted float64 // NaN: nothing
}

// cellText is a figure and what it is of.
type cellText struct {
	figure, of string
	look       style // plain: bold
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

// summary is the figures of the whole relay: what is now, and what has happened
// since the reading before.
func (c change) summary() []row {
	r := c.to
	rate := func(of, family string, labels ...label) cellText {
		return cellText{figure: perSecond(c.rate(family, labels...)), of: " " + of}
	}
	number := func(of, family string, labels ...label) cellText {
		return cellText{figure: human.Count(r.value(family, labels...)), of: " " + of}
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
		perBatch = human.Digits(batch.sum / batch.n)
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
		{"events", []cellText{number("held", "cowrelay_events"), {figure: human.Bytes(r.value("cowrelay_event_bytes")), of: " held"},
			rate("loads", "cowrelay_loads_total")}, math.NaN()},
		{"meeting", []cellText{number("handles", "cowrelay_handles"), number("invites", "cowrelay_invites"),
			number("pairs", "cowrelay_pairs")}, math.NaN()},
		{"queue", []cellText{number("posts", "cowrelay_queue_posts"), {figure: human.Bytes(r.value("cowrelay_queue_bytes"))},
			{figure: perBatch, of: " posts a commit"}}, r.value("cowrelay_queue_posts")},
		{"memory", []cellText{{figure: human.Bytes(used), of: " of " + human.Bytes(budget)},
			{figure: human.Bytes(r.value("process_resident_memory_bytes")), of: " resident"},
			number("goroutines", "go_goroutines")}, used},
	}
}

// perSecond prints a rate. NaN is not known.
func perSecond(v float64) string {
	if math.IsNaN(v) {
		return "-"
	}
	return human.Rate(v) + "/s"
}

// history is the figures of the last readings, the oldest first.
type history []float64

const maxHistory = 200
