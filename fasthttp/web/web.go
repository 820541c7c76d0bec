// Package web holds the relay's pages for browsers. They are embedded, with the
// headers that belong to them. It knows no HTTP server and no relay: the caller
// copies the fields of a File into its reply.
//
// Every file is in a fixed table, so no path of a request reaches a file system, not
// even the embedded one. No file asks for anything from another host, and Headers
// forbids that as well.
package web

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"fmt"
	"sync"
)

// Not named vendor: archives of a module leave folders of that name out.
//
//go:embed static third_party/uplot
var files embed.FS

// Headers go with every reply that is a File. They allow scripts and styles from the
// relay alone, and no string that becomes HTML or code (trusted types). No other site
// may frame or embed a page, or keep a handle to one that it opens.
var Headers = [][2]string{
	{"Content-Security-Policy", "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self'; " +
		"base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'"},
	{"X-Content-Type-Options", "nosniff"},
	{"Referrer-Policy", "no-referrer"},
	{"Cross-Origin-Opener-Policy", "same-origin"},
	{"Cross-Origin-Embedder-Policy", "require-corp"},
	{"Cross-Origin-Resource-Policy", "same-origin"},
	// Browsers keep a file but ask each time whether it changed. So after an
	// upgrade no old script meets a new page.
	{"Cache-Control", "no-cache"},
}

// File is one embedded file. Its bytes are made at the first use and then never
// change.
type File struct {
	Path string // where it is served
	Type string // Content-Type

	name string        // of the embedded file
	make func() []byte // if it is not embedded
	once sync.Once
	raw  Encoding
	gzip Encoding
}

// Encoding is a file's bytes as they are sent, and the strong entity tag of
// just these bytes.
type Encoding struct {
	Body []byte
	ETag string
}

const (
	html       = "text/html; charset=utf-8"
	css        = "text/css; charset=utf-8"
	javascript = "text/javascript; charset=utf-8"
	svg        = "image/svg+xml"
)

// Landing says what the relay is and how to point a client at it. Dashboard
// shows its numbers, Phonebook who is listed in its directory.
var (
	Landing   = &File{Path: "/", Type: html, name: "static/landing.html"}
	Dashboard = &File{Path: "/stats.html", Type: html, name: "static/dashboard.html"}
	Phonebook = &File{Path: "/phonebook.html", Type: html, name: "static/phonebook.html"}
)

// assets are the files that the pages fetch.
var assets = []*File{
	{Path: "/favicon.svg", Type: svg, name: "static/favicon.svg"},
	{Path: "/favicon.ico", Type: svg, name: "static/favicon.svg"}, // for clients that ask without reading the page
	{Path: "/web/style.css", Type: css, name: "static/style.css"},
	{Path: "/web/common.js", Type: javascript, name: "static/common.js"},
	{Path: "/web/landing.js", Type: javascript, name: "static/landing.js"},
	{Path: "/web/dashboard.js", Type: javascript, name: "static/dashboard.js"},
	{Path: "/web/phonebook.js", Type: javascript, name: "static/phonebook.js"},
	{Path: "/web/profile.js", Type: javascript, name: "static/profile.js"},
	{Path: "/web/plots.js", Type: javascript, name: "static/plots.js"},
	{Path: "/web/uplot.js", Type: javascript, name: "third_party/uplot/uPlot.iife.min.js"},
	{Path: "/web/uplot.css", Type: css, name: "third_party/uplot/uPlot.min.css"},
	{Path: "/web/uplot.LICENSE", Type: "text/plain; charset=utf-8", name: "third_party/uplot/LICENSE"},
}

var byPath = func() map[string]*File {
	m := make(map[string]*File, len(assets))
	for _, f := range assets {
		m[f.Path] = f
	}
	return m
}()

// Asset returns the file that a page fetches from the path, or nil.
func Asset(path []byte) *File { return byPath[string(path)] }

// All returns every file, pages first.
func All() []*File { return append([]*File{Landing, Dashboard, Phonebook}, assets...) }

// Made returns a page that is served under the path, and made at the first use. make
// is called once.
func Made(path string, make func() []byte) *File { return &File{Path: path, Type: html, make: make} }

// Raw returns the file as it is.
func (f *File) Raw() Encoding {
	f.once.Do(f.load)
	return f.raw
}

// Gzip returns the file compressed.
func (f *File) Gzip() Encoding {
	f.once.Do(f.load)
	return f.gzip
}

func (f *File) load() {
	body, err := []byte(nil), error(nil)
	if f.make != nil {
		body = f.make()
	} else if body, err = files.ReadFile(f.name); err != nil {
		panic(fmt.Sprintf("BUG: the table of pages names %s: %v", f.name, err))
	}
	var b bytes.Buffer
	z, _ := gzip.NewWriterLevel(&b, gzip.BestCompression) // fails for unknown levels only
	z.Write(body)
	z.Close()
	f.raw, f.gzip = encoding(body), encoding(b.Bytes())
}

func encoding(body []byte) Encoding {
	sum := sha256.Sum256(body)
	return Encoding{Body: body, ETag: `"` + hex.EncodeToString(sum[:16]) + `"`}
}
