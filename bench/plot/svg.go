package plot

import (
	"fmt"
	"strings"
)

// plotWidth is the width of all pictures in SVG's units: about that of the
// column of a README.
const plotWidth = 840.0

// An svg is a picture that is being drawn.
type svg struct {
	body strings.Builder
	t    *theme
}

func (s *svg) colour(series int) string { return s.t.series[series%len(s.t.series)] }

func (s *svg) line(x1, y1, x2, y2 float64, colour string, width float64, more string) {
	fmt.Fprintf(&s.body, `<line x1="%.1f" y1="%.1f" x2="%.1f" y2="%.1f" stroke="%s" stroke-width="%g"%s/>`+"\n", x1, y1, x2, y2, colour, width, more)
}

func (s *svg) rect(x, y, w, h float64, colour string) {
	fmt.Fprintf(&s.body, `<rect x="%.1f" y="%.1f" width="%.1f" height="%.1f" rx="2" fill="%s"/>`+"\n", x, y, w, h, colour)
}

func (s *svg) path(points []string, colour string) {
	fmt.Fprintf(&s.body, `<polyline points="%s" fill="none" stroke="%s" stroke-width="2.5" stroke-linejoin="round"/>`+"\n", strings.Join(points, " "), colour)
}

// text writes text at a place. anchor is start, middle or end.
func (s *svg) text(x, y float64, anchor, class, text string) {
	fmt.Fprintf(&s.body, `<text x="%.1f" y="%.1f" text-anchor="%s" class="%s">%s</text>`+"\n", x, y, anchor, class, escape(text))
}

// whisker draws a line from lo to hi with feet, at the height y.
func (s *svg) whisker(lo, hi, y float64, colour string) {
	s.line(lo, y, hi, y, colour, 1.5, "")
	s.line(lo, y-4, lo, y+4, colour, 1.5, "")
	s.line(hi, y-4, hi, y+4, colour, 1.5, "")
}

// mark draws the mark of a series at a place.
func (s *svg) mark(x, y float64, series int) {
	c := s.colour(series)
	ring := fmt.Sprintf(`fill="%s" stroke="%s" stroke-width="1.5"`, c, s.t.back)
	switch series % 4 {
	case seriesRelay:
		fmt.Fprintf(&s.body, `<circle cx="%.1f" cy="%.1f" r="5.5" %s/>`+"\n", x, y, ring)
	case seriesBound:
		fmt.Fprintf(&s.body, `<rect x="%.1f" y="%.1f" width="10" height="10" %s/>`+"\n", x-5, y-5, ring)
	case seriesThird:
		fmt.Fprintf(&s.body, `<path d="M%.1f %.1fl6.5 11h-13z" %s/>`+"\n", x, y-6.5, ring)
	default:
		fmt.Fprintf(&s.body, `<path d="M%.1f %.1fl6.5 6.5l-6.5 6.5l-6.5 -6.5z" %s/>`+"\n", x, y-6.5, ring)
	}
}

// finish returns the picture with its title, what is below that, and the
// caption. height counts one line of caption.
func (s *svg) finish(height float64, title, sub, caption string) []byte {
	height += 17 * float64(len(wrap(caption, captionWidth))-1)
	var b strings.Builder
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %g %g" width="%g" height="%g" role="img" aria-labelledby="title desc">`+"\n", plotWidth, height, plotWidth, height)
	fmt.Fprintf(&b, `<title id="title">%s</title>`+"\n"+`<desc id="desc">%s %s</desc>`+"\n", escape(title), escape(sub), escape(caption))
	fmt.Fprintf(&b, `<style>text{font-family:system-ui,-apple-system,"Segoe UI","Noto Sans",Helvetica,Arial,"DejaVu Sans",sans-serif;font-size:14px;fill:%s}`+
		`.title{font-size:19px;font-weight:600}.strong{font-weight:600}.strong,.halo{paint-order:stroke;stroke:%s;stroke-width:5px;stroke-linejoin:round}.muted,.sub,.small{fill:%s}.small{font-size:12px}.num{font-variant-numeric:tabular-nums}</style>`+"\n", s.t.ink, s.t.back, s.t.muted)
	fmt.Fprintf(&b, `<rect width="%g" height="%g" rx="6" fill="%s"/>`+"\n", plotWidth, height, s.t.back)
	head := svg{t: s.t}
	head.text(plotMargin, 34, "start", "title", title)
	head.text(plotMargin, 57, "start", "sub", sub)
	lines := wrap(caption, captionWidth)
	for i, line := range lines {
		head.text(plotMargin, height-14-17*float64(len(lines)-1-i), "start", "small", line)
	}
	b.WriteString(head.body.String())
	b.WriteString(s.body.String())
	b.WriteString("</svg>\n")
	return []byte(b.String())
}

// plotMargin is the empty space at all edges, and plotTop is where the drawing
// begins.
const (
	plotMargin = 22.0
	plotTop    = 76.0
)

// legend names the series in a line at the height y.
func (s *svg) legend(y float64, names []legendEntry) {
	x := plotMargin + 6
	for _, n := range names {
		s.mark(x, y-5, n.series)
		s.text(x+13, y, "start", "", n.name)
		x += 13 + textWidth(n.name) + 26
	}
}

type legendEntry struct {
	name   string
	series int
}
