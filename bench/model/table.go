package model

import (
	"fmt"
	"math"
	"strings"
	"time"
)

// Table prints the cells as a table in Markdown.
func Table(cells []Cell) string {
	var b strings.Builder
	b.WriteString("| relays a cell | cells, servers | slots a cell | posts/s a cell | memory, disk of a relay | log | join | fullest | next | load may grow |\n")
	b.WriteString("| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |\n")
	for _, c := range cells {
		fits := fmt.Sprintf("%.1f times", c.Growth)
		if c.Growth < 1 {
			fits = fmt.Sprintf("**does not fit** (%.2f)", c.Growth)
		}
		fmt.Fprintf(&b, "| %.0f | %.0f, %.0f | %s | %s | %s, %s | %s/s, %s kept | %s | %s %.0f %% | %s %.0f %% | %s |\n",
			c.Relays, c.Cells, c.Servers, count(c.Slots), count(c.Posts), bytes(c.Memory), bytes(c.Disk), bytes(c.LogBytes), bytes(c.LogDisk),
			span(c.Join), c.Uses[0].Name, 100*c.Uses[0].Share, c.Uses[1].Name, 100*c.Uses[1].Share, fits)
	}
	return b.String()
}

func count(n float64) string {
	switch {
	case n >= 1e6:
		return fmt.Sprintf("%.1f M", n/1e6)
	case n >= 1e4:
		return fmt.Sprintf("%.0f k", n/1e3)
	}
	return fmt.Sprintf("%.0f", n)
}

func bytes(n float64) string {
	for _, u := range []struct {
		size float64
		name string
	}{{1e12, "TB"}, {1e9, "GB"}, {1e6, "MB"}} {
		if n >= u.size {
			return fmt.Sprintf("%.1f %s", n/u.size, u.name)
		}
	}
	return fmt.Sprintf("%.0f kB", n/1e3)
}

func span(seconds float64) string {
	if math.IsInf(seconds, 1) {
		return "never"
	}
	return time.Duration(seconds * float64(time.Second)).Round(time.Second).String()
}
