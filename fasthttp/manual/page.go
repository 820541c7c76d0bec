package manual

import (
	"html"
	"regexp"
	"strings"

	"github.com/russross/blackfriday/v2"
)

// page writes one page.
type page struct{ strings.Builder }

// put writes parts as they are: markup, or text that was escaped.
func (p *page) put(parts ...string) {
	for _, s := range parts {
		p.WriteString(s)
	}
}

// begin writes a page's head. current is the path that the navigation marks.
func (p *page) begin(title, current string) {
	p.put("<!doctype html>\n", `<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>`, html.EscapeString(title), ` · cowrelay</title>
<link rel="icon" href="/favicon.svg" type="image/svg+xml">
<link rel="stylesheet" href="/web/style.css">
</head>
<body class="narrow text">
<a class="skip" href="#main">Skip to the content</a>
<header class="top">
  <a class="brand" href="/"><img src="/favicon.svg" width="24" height="24" alt=""><span>cowrelay</span></a>
  <nav aria-label="Pages">
`)
	for _, l := range [][2]string{{"/phonebook.html", "Phonebook"}, {"/stats.html", "Statistics"}, {APIPath, "API"}, {Path, "Manual"}} {
		mark := ""
		if l[0] == current {
			mark = ` aria-current="page"`
		}
		p.put(`    <a href="`, l[0], `"`, mark, `>`, l[1], "</a>\n")
	}
	p.put("  </nav>\n</header>\n<main id=\"main\" tabindex=\"-1\">\n")
}

// end writes a page's end and returns the page.
func (p *page) end() []byte {
	p.put("</main>\n</body>\n</html>\n")
	return []byte(p.String())
}

const extensions = blackfriday.NoIntraEmphasis | blackfriday.Tables | blackfriday.FencedCode | blackfriday.SpaceHeadings | blackfriday.BackslashLineBreak

// markdown writes a text. link says where a link of it leads to, "" for nowhere.
func (p *page) markdown(text []byte, link func(to string) string) {
	root := blackfriday.New(blackfriday.WithExtensions(extensions)).Parse(text)
	r := blackfriday.NewHTMLRenderer(blackfriday.HTMLRendererParameters{Flags: blackfriday.SkipHTML | blackfriday.SkipImages})
	root.Walk(func(n *blackfriday.Node, entering bool) blackfriday.WalkStatus {
		switch n.Type {
		case blackfriday.Heading:
			n.HeadingID = anchor(words(n))
		case blackfriday.Link:
			if entering {
				n.Destination = []byte(link(string(n.Destination)))
			}
			if len(n.Destination) == 0 {
				return blackfriday.GoToNext // its text alone
			}
		case blackfriday.Table: // wide ones scroll by themselves
			if entering {
				p.put(`<div class="wide" tabindex="0" role="group" aria-label="Table">`)
				return r.RenderNode(p, n, entering)
			}
			status := r.RenderNode(p, n, entering)
			p.put("</div>\n")
			return status
		case blackfriday.CodeBlock:
			p.put(`<div class="shell"><pre tabindex="0"><code>`, html.EscapeString(string(n.Literal)), "</code></pre></div>\n")
			return blackfriday.GoToNext
		}
		return r.RenderNode(p, n, entering)
	})
}

// words is the text of a node without markup.
func words(n *blackfriday.Node) string {
	var b strings.Builder
	n.Walk(func(n *blackfriday.Node, entering bool) blackfriday.WalkStatus {
		if entering && (n.Type == blackfriday.Text || n.Type == blackfriday.Code) {
			b.Write(n.Literal)
		}
		return blackfriday.GoToNext
	})
	return b.String()
}

var unlinked = regexp.MustCompile(`[^\p{L}\p{N} _-]`)

// anchor is the name of a heading in links, as hosts of Markdown make it.
func anchor(heading string) string {
	return strings.ReplaceAll(unlinked.ReplaceAllString(strings.ToLower(heading), ""), " ", "-")
}
