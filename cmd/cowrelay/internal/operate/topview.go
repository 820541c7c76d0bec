package operate

import (
	"cmp"
	"math"
	"strings"
	"time"

	"cowrelay/cmd/cowrelay/internal/human"
	"cowrelay/cmd/cowrelay/internal/term"
)

// topView is all that top shows. It asks nothing and draws no terminal: it is given
// readings by take and lose, and makes lines.
type topView struct {
	url       string
	every     time.Duration
	by        string // order of the slots
	last      change // to is nil before the first reading
	downSince time.Time
	down      error              // why there is no newer reading
	past      map[string]history // by the name of a summary line
	help      bool               // the keys and colours are explained instead
}

// take has the view show a reading.
func (v *topView) take(r *reading) {
	v.last, v.down = r.since(v.last.to), nil
	if !v.last.known() {
		return
	}
	for _, row := range v.last.summary() {
		if !math.IsNaN(row.plotted) {
			h := append(v.past[row.name], row.plotted)
			v.past[row.name] = h[max(len(h)-maxHistory, 0):]
		}
	}
}

// lose has the view say why there is no new reading.
func (v *topView) lose(err error, now time.Time) {
	if v.down == nil {
		v.downSince = now
	}
	v.down = err
}

// lines is the view on a screen of so many columns and rows.
func (v *topView) lines(width, height int, now time.Time) []line {
	lines := []line{v.title(width, now)}
	if v.help {
		return v.withKeys(append(lines, helpLines(width)...), height)
	}
	if v.last.to == nil {
		hint := "asking…"
		if v.down != nil {
			hint = "Does the relay run? --admin names its admin listener. Asking again…"
		}
		lines = append(lines, nil, line{{faint, " " + hint}})
		return v.withKeys(lines, height)
	}
	lines = append(lines, nil)
	for _, row := range v.last.summary() {
		if !row.spare || height >= 28 {
			lines = append(lines, row.line(v.past[row.name], width))
		}
	}
	lines = append(lines, nil)
	// Slots get what the latencies leave, and at least a head and three rows.
	latencies := v.latencies(width)
	lines = append(lines, latencies[:min(len(latencies), max(height-len(lines)-7, 3))]...)
	lines = append(lines, nil)
	lines = append(lines, v.fleetLines(max(height-len(lines)-7, 3))...)
	lines = append(lines, v.slotLines(width, height-len(lines)-2)...)
	return v.withKeys(lines, height)
}

// withKeys fills the screen, with the keys in its last row.
func (v *topView) withKeys(lines []line, height int) []line {
	for len(lines) < height-1 {
		lines = append(lines, nil)
	}
	lines = lines[:max(height-1, 1)]
	keys := line{{bold, " q"}, {faint, "uit  "}, {bold, "?"}, {faint, " help   slots by "}}
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

// helpLines explain what the screen shows.
func helpLines(width int) []line {
	lines := []line{nil}
	for _, l := range [][2]string{
		{"KEYS", ""},
		{"q, Ctrl-C", "end"},
		{"?", "this help, and back"},
		{"p b e s", "order of the slots: posts, bytes, events, streams"},
		{"", ""},
		{"FIGURES", ""},
		{"pulls", "answered at once; long polls stand beside them"},
		{"latency", "between the last two looks, from histograms"},
		{"errors", "replies with a status of 400 or more"},
		{"disk", "below the reserve posts are refused"},
		{"retention", "what leaves by itself; garbage is not freed yet"},
		{"", ""},
		{"COLOURS", ""},
	} {
		look := plain
		if l[1] == "" {
			look = bold
		}
		lines = append(lines, line{{look, " " + pad(l[0], nameWidth+1)}, {plain, l[1]}})
	}
	for _, l := range []struct {
		look style
		name string
		of   string
	}{{alarm, "red", "posts or requests fail, or a limit is reached"}, {warning, "yellow", "clients are turned away, or a limit is near"}} {
		lines = append(lines, line{{plain, " "}, {l.look, pad(l.name, nameWidth+1)}, {plain, l.of}})
	}
	return lines
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
