package fasthttp

import (
	"bytes"
	"compress/gzip"
	"io"
	"strings"
	"testing"
	"testing/fstest"

	"cowrelay/fasthttp/manual"
	"cowrelay/fasthttp/web"
)

// Every file comes with its type, its length and the headers that keep a page
// to itself, plain and compressed.
func TestPages_EveryFile(t *testing.T) {
	g := newRig(t)
	for _, f := range web.All() {
		plain := g.call("GET", f.Path, "", nil, "Accept-Encoding", "identity").want(t, 200)
		small := g.call("GET", f.Path, "", nil, "Accept-Encoding", "gzip, deflate, br").want(t, 200)
		if plain.body != string(f.Raw().Body) || plain.header.Get("Content-Encoding") != "" {
			t.Errorf("%s: %d bytes are not the file's %d (%v)", f.Path, len(plain.body), len(f.Raw().Body), plain.header)
		}
		if got := gunzip(t, small.body); got != plain.body || small.header.Get("Content-Encoding") != "gzip" {
			t.Errorf("%s: compressed, it is another file", f.Path)
		}
		if a, b := plain.header.Get("ETag"), small.header.Get("ETag"); a == b || len(a) != 34 || len(b) != 34 || a[0] != '"' {
			t.Errorf("%s: tags %s and %s: each encoding has one strong tag", f.Path, a, b)
		}
		for _, r := range []reply{plain, small} {
			for _, h := range web.Headers {
				if r.header.Get(h[0]) != h[1] {
					t.Errorf("%s: %s is %q", f.Path, h[0], r.header.Get(h[0]))
				}
			}
			if r.header.Get("Content-Type") != f.Type || !strings.Contains(strings.Join(r.header.Values("Vary"), ","), "Accept-Encoding") {
				t.Errorf("%s: %v", f.Path, r.header)
			}
			head := g.call("HEAD", f.Path, "", nil, "Accept-Encoding", encodingOf(r)).want(t, 200)
			for _, name := range []string{"Content-Length", "ETag", "Content-Type", "Content-Encoding"} {
				if head.header.Get(name) != r.header.Get(name) {
					t.Errorf("HEAD %s: %s is %q, GET's is %q", f.Path, name, head.header.Get(name), r.header.Get(name))
				}
			}
		}
	}
}

func encodingOf(r reply) string {
	if e := r.header.Get("Content-Encoding"); e != "" {
		return e
	}
	return "identity"
}

func gunzip(t *testing.T, body string) string {
	t.Helper()
	z, err := gzip.NewReader(strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	if _, err := io.Copy(&b, z); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// A browser that has the page is told so; the tag of another encoding or of
// another file says nothing.
func TestPages_NotModified(t *testing.T) {
	g := newRig(t)
	for _, f := range []*web.File{web.Landing, web.Dashboard, web.Asset([]byte("/web/style.css"))} {
		raw, small := f.Raw().ETag, f.Gzip().ETag
		for _, c := range []struct {
			accept, tags string
			status       int
		}{
			{"identity", raw, 304}, {"gzip", small, 304}, {"gzip", "W/" + small, 304}, {"identity", `"x", ` + raw, 304}, {"identity", "*", 304},
			{"identity", small, 200}, {"gzip", raw, 200}, {"identity", strings.Trim(raw, `"`), 200}, {"identity", `"x"`, 200}, {"identity", "", 200},
		} {
			for _, method := range []string{"GET", "HEAD"} {
				r := g.call(method, f.Path, "", nil, "Accept-Encoding", c.accept, "If-None-Match", c.tags).want(t, c.status)
				if c.status == 304 && (r.body != "" || r.header.Get("ETag") == "" || r.header.Get("Cache-Control") == "") {
					t.Errorf("%s: 304 with %q, %v", f.Path, r.body, r.header)
				}
			}
		}
	}
	if a := g.call("GET", "/", "", nil).header.Get("ETag"); a == g.call("GET", "/stats.html", "", nil).header.Get("ETag") {
		t.Error("two pages have one tag")
	}
}

// What is no page stays what programs read: JSON errors without a page's headers.
func TestPages_ErrorsAreJSON(t *testing.T) {
	g := newRig(t)
	for _, path := range []string{"/nope", "/web/nope.js", "/stats.htm"} {
		r := g.call("GET", path, "", nil, "Accept", "text/html").want(t, 404)
		if r.header.Get("Content-Type") != "application/json" {
			t.Errorf("%s: %v", path, r.header)
		}
	}
	g.call("POST", "/stats.html", "", "{}", "Accept", "text/html").want(t, 405)
}

// What is made of texts is served as the other pages are. Without a manual there is
// none.
func TestPages_MadeOfTexts(t *testing.T) {
	book, err := manual.New(fstest.MapFS{"using.md": {Data: []byte("# Use the relay\n")}})
	if err != nil {
		t.Fatal(err)
	}
	g := newRig(t, func(o *rigOptions) { o.relay.Manual = book })
	for path, want := range map[string]string{"/openapi.html": `<div id="pullEvents">`, "/manual": `<a href="/manual/using.html">`, "/manual/using.html": "<h1 id=\"use-the-relay\">"} {
		r := g.call("GET", path, "", nil, "Accept-Encoding", "identity").want(t, 200)
		if !strings.Contains(r.body, want) || r.header.Get("Content-Type") != "text/html; charset=utf-8" {
			t.Errorf("%s: %v\n%.2000s", path, r.header, r.body)
		}
		for _, h := range web.Headers {
			if r.header.Get(h[0]) != h[1] {
				t.Errorf("%s: %s is %q", path, h[0], r.header.Get(h[0]))
			}
		}
		g.call("HEAD", path, "", nil).want(t, 200)
		g.call("GET", path, "", nil, "Accept-Encoding", "identity", "If-None-Match", r.header.Get("ETag")).want(t, 304)
		g.call("POST", path, "", "{}").want(t, 405)
	}
	for _, path := range []string{"/manual/", "/manual/none.html", "/manual/using.md", "/manual/using.html/x", "/manual/..%2fusing.html"} {
		g.call("GET", path, "", nil).want(t, 404)
	}
	newRig(t).call("GET", "/manual", "", nil).want(t, 404)
}
