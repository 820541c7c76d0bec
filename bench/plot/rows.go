package plot

import "slices"

// A rowChart has a row for each value: a bar from zero, or a dot with a line
// through it. Dots may be on a logarithmic axis.
type rowChart struct {
	title, sub, caption string
	axisName            string
	unit                unit
	dots                bool
	legend              []legendEntry
	// reference is a value at which a line is drawn; 0: none.
	reference     float64
	referenceName string
	rows          []row
}

// A row is a value with its spread from lo to hi. Without a spread both are 0.
type row struct {
	group  string // written once for neighbours that share it
	name   string
	value  float64
	lo, hi float64
	note   string // at the right edge
	series int
}

const (
	rowHeight = 30.0
	groupGap  = 12.0
	// If a label is wider than labelMost, all labels are above their bars.
	labelMost  = 330.0
	labelAbove = 22.0
)

// label returns what is written left of row i.
func (c *rowChart) label(i int) string {
	r := &c.rows[i]
	switch {
	case r.group == "":
		return r.name
	case i == 0 || c.rows[i-1].group != r.group:
		return r.group
	}
	return ""
}

func (c *rowChart) draw(t *theme) []byte {
	s := &svg{t: t}
	left, right := 0.0, 0.0
	values := []float64{c.reference}
	if c.dots {
		values = nil
	}
	for i, r := range c.rows {
		left = max(left, textWidth(c.label(i)))
		right = max(right, textWidth(r.note))
		values = append(values, r.value)
		if r.hi > 0 {
			values = append(values, r.lo, r.hi)
		}
	}
	top := plotTop
	if len(c.legend) > 0 {
		s.legend(top+8, c.legend)
		top += 26
	}
	if c.reference > 0 {
		top += 14 // its name is above it
	}
	valueRoom := 0.0
	for _, r := range c.rows {
		valueRoom = max(valueRoom, textWidth(c.unit(r.value))+14)
	}
	above := 0.0
	if left > labelMost {
		left, above = -10, labelAbove
	}
	a := newAxis(values, !c.dots, plotMargin+left+16, plotWidth-plotMargin-right-valueRoom-14)

	bottom := top
	for i := range c.rows {
		bottom += above + rowHeight
		if i > 0 && c.rows[i].group != c.rows[i-1].group {
			bottom += groupGap
		}
	}
	for _, v := range a.ticks {
		s.line(a.place(v), top, a.place(v), bottom, t.grid, 1, "")
		s.text(a.place(v), bottom+19, "middle", "small num", c.unit(v))
	}
	s.text((a.from+a.to)/2, bottom+40, "middle", "muted", c.axisName)

	mids := make([]float64, len(c.rows))
	y := top
	for i, r := range c.rows {
		if i > 0 && r.group != c.rows[i-1].group {
			y += groupGap
		}
		y += above + rowHeight
		mids[i] = y - rowHeight/2
		if !c.dots {
			s.rect(a.from, mids[i]-9, max(1, a.place(r.value)-a.from), 18, s.colour(r.series))
		}
	}
	// The line is over the bars and under what is written beside them.
	if c.reference > 0 {
		x := a.place(c.reference)
		s.line(x, top-4, x, bottom, t.ink, 1.5, ` stroke-dasharray="5 4"`)
		s.text(x, top-10, "middle", "small", c.referenceName)
	}
	for i, r := range c.rows {
		if above > 0 {
			s.text(a.from, mids[i]-labelAbove/2-5, "start", "halo", c.label(i))
		} else {
			s.text(a.from-12, mids[i]+5, "end", "", c.label(i))
		}
		end := c.drawSpread(s, a, r, mids[i])
		s.text(end+9, mids[i]+5, "start", "strong num", c.unit(r.value))
		if r.note != "" {
			s.text(plotWidth-plotMargin, mids[i]+5, "end", "muted num", r.note)
		}
	}
	return s.finish(bottom+78, c.title, c.sub, c.caption)
}

// drawSpread draws a row's dot and spread, and returns where they end.
func (c *rowChart) drawSpread(s *svg, a *axis, r row, mid float64) float64 {
	x := a.place(r.value)
	end := x
	if c.dots {
		if r.hi > 0 {
			s.line(a.place(r.lo), mid, a.place(r.hi), mid, s.colour(r.series), 3, ` stroke-linecap="round" opacity="0.55"`)
			end = max(end, a.place(r.hi))
		}
		s.mark(x, mid, r.series)
		return end + 3
	}
	if r.lo < r.hi {
		s.whisker(a.place(r.lo), a.place(r.hi), mid, s.t.ink)
		end = max(end, a.place(r.hi))
	}
	return end
}

// seriesIn makes the legend of the series that the rows have, in order.
func (c *rowChart) seriesIn(names map[int]string) {
	for i := range seriesFifth + 1 {
		if slices.ContainsFunc(c.rows, func(r row) bool { return r.series == i }) {
			c.legend = append(c.legend, legendEntry{names[i], i})
		}
	}
}
