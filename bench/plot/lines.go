package plot

import (
	"cmp"
	"fmt"
	"slices"
)

// A lineChart draws values over a size.
type lineChart struct {
	title, sub, caption string
	xName, yName        string
	xUnit, yUnit        unit
	reference           float64
	referenceName       string
	lines               []curve
	linear              bool // x is a time: never logarithmic
}

// markedPoints is how many points of a line have a mark each, at most. Of a longer
// one, the last has it.
const markedPoints = 30

type curve struct {
	name   string
	series int
	points []curvePoint
}

// A curvePoint is a value with its spread from lo to hi. Without a spread both
// are 0.
type curvePoint struct{ x, y, lo, hi float64 }

const linesHeight = 300.0

func (c *lineChart) draw(t *theme) []byte {
	s := &svg{t: t}
	var xs []float64
	ys := []float64{}
	if c.reference > 0 {
		ys = append(ys, c.reference)
	}
	names := make([]legendEntry, len(c.lines))
	for i, l := range c.lines {
		names[i] = legendEntry{l.name, l.series}
		for _, p := range l.points {
			xs, ys = append(xs, p.x), append(ys, p.y)
			if p.hi > 0 {
				ys = append(ys, p.lo, p.hi)
			}
		}
	}
	top := plotTop
	if len(c.lines) > 1 {
		s.legend(top+8, names)
		top += 26
	}
	s.text(plotMargin, top+8, "start", "muted", c.yName)
	top += 22
	if c.reference > 0 {
		top += 16 // its name may be above the highest line
	}
	bottom := top + linesHeight
	y := newAxis(ys, false, bottom, top)
	left, right := 0.0, 0.0
	for _, l := range c.lines {
		right = max(right, textWidth(c.yUnit(l.points[len(l.points)-1].y))+18)
	}
	for _, v := range y.ticks {
		left = max(left, textWidth(c.yUnit(v)))
	}
	x := newAxis(xs, c.linear, plotMargin+left+24, plotWidth-plotMargin-right)
	if x.log { // the sizes that were measured are better ticks than round ones
		x.min, x.max, x.ticks = xs[0], xs[0], nil
		for _, v := range xs {
			x.min, x.max = min(x.min, v), max(x.max, v)
		}
		x.ticks = apart(xs, x)
	}
	for _, v := range y.ticks {
		s.line(x.from-10, y.place(v), x.to+10, y.place(v), t.grid, 1, "")
		s.text(x.from-18, y.place(v)+5, "end", "small num", c.yUnit(v))
	}
	for _, v := range x.ticks {
		s.line(x.place(v), bottom, x.place(v), bottom+5, t.muted, 1, "")
		s.text(x.place(v), bottom+21, "middle", "small num", c.xUnit(v))
	}
	s.text((x.from+x.to)/2, bottom+43, "middle", "muted", c.xName)
	if c.reference > 0 {
		s.line(x.from-10, y.place(c.reference), x.to+10, y.place(c.reference), t.ink, 1.5, ` stroke-dasharray="5 4"`)
		s.text(x.from-4, y.place(c.reference)-7, "start", "small", c.referenceName)
	}
	for _, l := range c.lines {
		var path []string
		for _, p := range l.points {
			path = append(path, fmt.Sprintf("%.1f,%.1f", x.place(p.x), y.place(p.y)))
		}
		s.path(path, s.colour(l.series))
	}
	for _, l := range c.lines {
		for i, p := range l.points {
			if p.hi > 0 {
				px := x.place(p.x)
				for _, v := range []float64{p.lo, p.hi} {
					s.line(px-4, y.place(v), px+4, y.place(v), s.colour(l.series), 1.5, "")
				}
				s.line(px, y.place(p.lo), px, y.place(p.hi), s.colour(l.series), 1.5, "")
			}
			if len(l.points) <= markedPoints || i == len(l.points)-1 {
				s.mark(x.place(p.x), y.place(p.y), l.series)
			}
		}
	}
	c.nameEnds(s, x, y)
	return s.finish(bottom+82, c.title, c.sub, c.caption)
}

// nameEnds writes the last value of each line beside it. If two would touch,
// the lower one is moved down.
func (c *lineChart) nameEnds(s *svg, x, y *axis) {
	var ends []curvePoint
	for _, l := range c.lines {
		ends = append(ends, l.points[len(l.points)-1])
	}
	slices.SortFunc(ends, func(a, b curvePoint) int { return cmp.Compare(b.y, a.y) })
	free := 0.0
	for _, p := range ends {
		at := max(y.place(p.y)-8, free)
		s.text(x.place(p.x)+11, at, "start", "strong num", c.yUnit(p.y))
		free = at + 17
	}
}

// apart returns the distinct values of v that are far enough from each other to
// have a label each. The largest is always among them.
func apart(v []float64, x *axis) []float64 {
	var out []float64
	add := func(f float64) {
		for _, o := range out {
			if d := x.place(o) - x.place(f); d < 34 && d > -34 {
				return
			}
		}
		out = append(out, f)
	}
	add(x.max)
	for _, f := range v {
		add(f)
	}
	return out
}
