package plot

import (
	"fmt"
	"slices"
	"strings"

	"cowrelay/bench/report"
)

// captionOf says what ran where, as the shown results have it. It says if any
// of them has errors.
func captionOf(rs ...*report.Result) string {
	var parts []string
	add := func(s string) {
		if s != "" && !slices.Contains(parts, s) {
			parts = append(parts, s)
		}
	}
	for _, r := range rs {
		add(r.Machine.Hardware())
	}
	for _, r := range rs {
		add(r.Machine.Go)
	}
	for _, r := range rs {
		add(r.Machine.DataFS)
	}
	for _, r := range rs {
		if r.Machine.Commit != "" {
			add("commit " + r.Machine.Commit)
		}
	}
	wrong := int64(0)
	for _, r := range rs {
		wrong += r.Errors()
	}
	if wrong > 0 {
		add(fmt.Sprintf("NOT VALID: %d answers were wrong or missing", wrong))
	}
	for _, r := range rs {
		date, _, _ := strings.Cut(r.Machine.Date, "T")
		add(date)
	}
	return strings.Join(parts, " · ")
}
