package plot

// A theme is the colours of a page.
type theme struct {
	name                   string
	back, ink, muted, grid string
	series                 []string // by series; at least 3:1 on back
}

// themes are those of GitHub's pages, where the pictures are mostly seen.
var themes = []*theme{
	{name: "light", back: "#ffffff", ink: "#1f2328", muted: "#59636e", grid: "#d8dee4", series: []string{"#0969da", "#6e7781", "#bc4c00", "#1a7f37", "#8250df"}},
	{name: "dark", back: "#0d1117", ink: "#f0f6fc", muted: "#9198a1", grid: "#2f3742", series: []string{"#4493f8", "#9198a1", "#f0883e", "#3fb950", "#ab7df8"}},
}

// Each series has a colour and a mark, so that nobody has to tell colours apart.
const (
	seriesRelay = iota
	seriesBound
	seriesThird
	seriesFourth
	seriesFifth
)
