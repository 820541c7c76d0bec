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
	spare   bool    // a low screen goes without it
}

// cellText is a figure and what it is of.
type cellText struct {
	figure, of string
	look       style // plain: bold
}

const nameWidth, cellWidth = 10, 23

func (r row) line(past history, width int) line {
	l := line{{faint, pad(r.name, nameWidth)}}
	for _, c := range r.fitting(width) {
		l = append(l, span{cmp.Or(c.look, bold), c.figure}, span{plain, pad(c.of, cellWidth-len([]rune(c.figure)))})
	}
	if room := width - nameWidth - 3*cellWidth - 1; room >= 10 && len(past) > 0 {
		l = append(l, span{plain, strings.Repeat(" ", max(width-room-l.width(), 0))}, span{faint, spark(past, room)})
	}
	return l
}

// fitting returns as many cells as a screen has room for. What tells of trouble is
// kept, in the place of the last that does not.
func (r row) fitting(width int) []cellText {
	fit := max((width-nameWidth+1)/cellWidth, 1)
	if fit >= len(r.cells) {
		return r.cells
	}
	cells := slices.Clone(r.cells[:fit])
	place := fit - 1
	for _, c := range r.cells[fit:] {
		for place >= 0 && cells[place].look != plain {
			place--
		}
		if c.look != plain && place >= 0 {
			cells[place] = c
		}
	}
	return cells
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
	// marked colours a figure that is not 0.
	marked := func(look style, t cellText) cellText {
		if t.figure != "0/s" && t.figure != "-" && t.figure != "0" {
			t.look = look
		}
		return t
	}
	// near colours a figure that comes near its limit.
	near := func(t cellText, value, limit float64) cellText {
		if limit > 0 && value >= limit {
			t.look = alarm
		} else if limit > 0 && value >= 0.9*limit {
			t.look = warning
		}
		return t
	}
	upTo := func(of, family, limit string) cellText {
		return near(number(of, family), r.value(family), r.value(limit))
	}
	batch := c.histogram("cowrelay_commit_batch_posts")
	perBatch := "-"
	if batch.n > 0 {
		perBatch = human.Digits(batch.sum / batch.n)
	}
	used, budget := r.value("cowrelay_memory_bytes"), r.value("cowrelay_memory_budget_bytes")
	pulls := c.pulls()
	rows := []row{
		{"requests", []cellText{rate("answered", "cowrelay_http_requests_total"),
			marked(alarm, rate("failed (5xx)", "cowrelay_http_requests_total", r.statuses('5'))),
			marked(warning, rate("limited (429)", "cowrelay_http_requests_total", label{"status", []string{"429"}}))}, c.rate("cowrelay_http_requests_total"), false},
		{"posts", []cellText{rate("stored", "cowrelay_posts_stored_total"), rate("duplicate", "cowrelay_posts_duplicate_total"),
			marked(alarm, rate("refused", "cowrelay_posts_refused_total"))}, c.rate("cowrelay_posts_stored_total"), false},
		{"pulls", []cellText{{figure: perSecond(pulls), of: " at once"}, rate("polls ended", "cowrelay_long_polls_ended_total"),
			upTo("polls wait", "cowrelay_long_polls", "cowrelay_long_polls_max")}, pulls, false},
		{"streams", []cellText{upTo("open", "cowrelay_streams", "cowrelay_streams_max"), rate("opened", "cowrelay_streams_opened_total"),
			upTo("connections", "cowrelay_http_connections", "cowrelay_http_connections_max")}, r.value("cowrelay_streams"), false},
		{"slots", []cellText{upTo("in all", "cowrelay_slots", "cowrelay_slots_max"), number("hot", "cowrelay_slots_hot"),
			marked(warning, number("blocked", "cowrelay_slots_blocked"))}, math.NaN(), true},
		{"events", []cellText{number("held", "cowrelay_events"), {figure: human.Bytes(r.value("cowrelay_event_bytes")), of: " held"},
			rate("loads", "cowrelay_loads_total")}, math.NaN(), false},
		{"meeting", []cellText{number("handles", "cowrelay_handles"), number("invites", "cowrelay_invites"),
			number("pairs", "cowrelay_pairs")}, math.NaN(), true},
		{"queue", []cellText{upTo("posts", "cowrelay_queue_posts", "cowrelay_queue_posts_max"), {figure: human.Bytes(r.value("cowrelay_queue_bytes"))},
			{figure: perBatch, of: " posts a commit"}}, r.value("cowrelay_queue_posts"), false},
		{"memory", []cellText{{figure: human.Bytes(used), of: " of " + human.Bytes(budget)},
			{figure: human.Bytes(r.value("process_resident_memory_bytes")), of: " resident"},
			number("goroutines", "go_goroutines")}, used, false},
		r.disk(),
	}
	if left, ok := c.retention(); ok {
		rows = append(rows, left)
	}
	return rows
}

// retention is the row of what leaves by itself. There is none if nothing does, or the
// relay is older. A low screen has it once something has left.
func (c change) retention() (row, bool) {
	const events, slots = "cowrelay_retention_events_total", "cowrelay_retention_slots_total"
	r := c.to
	if r.value("cowrelay_retention_last_sweep_seconds") == 0 && r.value(events) == 0 {
		return row{}, false
	}
	cells := []cellText{{figure: perSecond(c.rate(events)), of: " events left"}, {figure: perSecond(c.rate(slots)), of: " slots ended"}}
	if r.families["cowrelay_store_garbage_bytes"] != nil {
		cells = append(cells, cellText{figure: human.Bytes(r.value("cowrelay_store_garbage_bytes")), of: " garbage"})
	}
	return row{"retention", cells, c.rate(events), r.value(events)+r.value(slots) == 0}, true
}

// pulls is the rate of the pulls that were answered at once, NaN if it is not known.
// A relay that counts requests by method counts long polls apart. One that does not
// counts duplicates among them, which are answered 200 too.
func (c change) pulls() float64 {
	all := c.rate("cowrelay_http_requests_total", label{"route", []string{"events"}}, label{"method", []string{"GET", ""}}, label{"status", []string{"200"}})
	if !slices.Contains(c.to.values("cowrelay_http_requests_total", "method"), "GET") {
		all = max(all-c.rate("cowrelay_posts_duplicate_total"), 0)
	}
	return all
}

// disk is the row of the store's disk. Below the reserve posts are refused.
func (r *reading) disk() row {
	reserve := r.value("cowrelay_disk_reserve_bytes")
	free := cellText{figure: "-", of: " free"}
	if r.families["cowrelay_disk_free_bytes"] != nil {
		left := r.value("cowrelay_disk_free_bytes")
		free.figure = human.Bytes(left)
		if left < reserve {
			free.look = alarm
		} else if left < 2*reserve {
			free.look = warning
		}
	}
	return row{"disk", []cellText{free, {figure: human.Bytes(reserve), of: " reserve"},
		{figure: human.Bytes(r.value("cowrelay_store_bytes")), of: " of the store"}}, math.NaN(), false}
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
