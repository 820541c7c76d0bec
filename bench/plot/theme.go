package plot

// The curves are drawn here, not by a library: of those that can do whiskers
// and logarithmic axes at all, gonum.org/v1/plot labels nothing within a
// decade, sets its text in a font that readers may lack, and would bring eight
// modules to the server's go.mod; the chart packages can't do either. What is
// needed are rows and lines, and they are below.

// A theme is what a page in that colour scheme looks like.
type theme struct {
	name                   string
	back, ink, muted, grid string
	series                 []string // at least 4.5:1 on back
}

// themes are GitHub's pages, where the pictures are mostly seen.
var themes = []*theme{
	{name: "light", back: "#ffffff", ink: "#1f2328", muted: "#59636e", grid: "#d8dee4", series: []string{"#0969da", "#6e7781", "#bc4c00", "#1a7f37", "#8250df"}},
	{name: "dark", back: "#0d1117", ink: "#f0f6fc", muted: "#9198a1", grid: "#2f3742", series: []string{"#4493f8", "#9198a1", "#f0883e", "#3fb950", "#ab7df8"}},
}

// Series have a colour and a mark each, so that colour alone tells nothing.
const (
	seriesRelay = iota
	seriesBound
	seriesThird
	seriesFourth
	seriesFifth
)
