package manual

import (
	"bytes"
	"html"
	"io/fs"
	"slices"
	"strings"
)

// Path is where the manual's contents are served. Its chapters stand below.
const Path = "/manual"

// Book is the chapters of the manual. New makes it. It never changes, so that any
// goroutine may read it.
type Book struct {
	chapters map[string][]byte // Markdown, by name: "using"
}

// first are the chapters that the contents begin with, in this order.
var first = []string{"using", "configuration", "operating", "deploying", "fleet", "security", "metrics"}

// New reads the chapters: the files *.md of a folder.
func New(folder fs.FS) (*Book, error) {
	b := &Book{chapters: make(map[string][]byte)}
	files, err := fs.Glob(folder, "*.md")
	if err != nil {
		return nil, err
	}
	for _, f := range files {
		if b.chapters[strings.TrimSuffix(f, ".md")], err = fs.ReadFile(folder, f); err != nil {
			return nil, err
		}
	}
	return b, nil
}

// Names returns the names of the chapters in the order of the contents.
func (b *Book) Names() []string {
	var names []string
	for _, n := range first {
		if b.chapters[n] != nil {
			names = append(names, n)
		}
	}
	var rest []string
	for n := range b.chapters {
		if !slices.Contains(first, n) {
			rest = append(rest, n)
		}
	}
	slices.Sort(rest)
	return append(names, rest...)
}

// ChapterPath is where a chapter is served.
func ChapterPath(name string) string { return Path + "/" + name + ".html" }

// Contents returns the page that lists the chapters.
func (b *Book) Contents() []byte {
	var p page
	p.begin("Manual", Path)
	p.put("<h1>Manual</h1>\n<ul class=\"links\">\n")
	for _, n := range b.Names() {
		p.put(`  <li><a href="`, ChapterPath(n), `">`, html.EscapeString(b.title(n)), "</a></li>\n")
	}
	p.put(`  <li><a href="`, APIPath, `">Every route, its replies and errors</a></li>`, "\n</ul>\n")
	return p.end()
}

// Chapter returns the page of a chapter that is there.
func (b *Book) Chapter(name string) []byte {
	var p page
	p.begin(b.title(name), Path)
	p.markdown(b.chapters[name], b.link)
	return p.end()
}

// title is the first heading of a chapter.
func (b *Book) title(name string) string {
	line, _, _ := bytes.Cut(b.chapters[name], []byte("\n"))
	return string(bytes.TrimLeft(line, "# "))
}

// link leads from chapter to chapter. What lies elsewhere in the source is not
// served.
func (b *Book) link(to string) string {
	if strings.HasPrefix(to, "#") {
		return to
	}
	file, part, _ := strings.Cut(to, "#")
	name, ok := strings.CutSuffix(file, ".md")
	if !ok || b.chapters[name] == nil {
		return ""
	}
	if part != "" {
		part = "#" + part
	}
	return ChapterPath(name) + part
}
