package manual

import (
	"encoding/xml"
	"io"
	"os"
	"regexp"
	"strings"
	"testing"
	"testing/fstest"
)

// void are the tags that need no end.
var void = regexp.MustCompile(`(<(?:meta|link|img|br|hr)\b[^>]*?)\s*/?>`)

// wellFormed fails if the tags of a page are not closed in order, if an id occurs
// twice, or if a link within the page leads nowhere.
func wellFormed(t *testing.T, name string, page []byte) {
	t.Helper()
	body, ok := strings.CutPrefix(string(page), "<!doctype html>\n")
	if !ok {
		t.Errorf("%s: no doctype", name)
	}
	d := xml.NewDecoder(strings.NewReader(void.ReplaceAllString(body, "$1/>")))
	d.Entity = xml.HTMLEntity
	ids, links := map[string]int{}, []string{}
	for {
		tok, err := d.Token()
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if el, ok := tok.(xml.StartElement); ok {
			for _, a := range el.Attr {
				switch {
				case a.Name.Local == "id":
					ids[a.Value]++
				case a.Name.Local == "href" && strings.HasPrefix(a.Value, "#"):
					links = append(links, a.Value[1:])
				case strings.HasPrefix(a.Name.Local, "on"), a.Name.Local == "style", a.Name.Local == "src" && a.Value != "/favicon.svg":
					t.Errorf("%s: %s=%q, which the policy forbids", name, a.Name.Local, a.Value)
				}
			}
			if el.Name.Local == "script" {
				t.Errorf("%s has a script", name)
			}
		}
	}
	for id, n := range ids {
		if n > 1 {
			t.Errorf("%s: the id %s occurs %d times", name, id, n)
		}
	}
	for _, l := range links {
		if ids[l] == 0 {
			t.Errorf("%s: a link leads to #%s, which is not there", name, l)
		}
	}
}

// The relay's own description becomes a page with every operation and schema, and
// with the texts of its parts.
func TestAPI_ShowsTheDescription(t *testing.T) {
	source, err := os.ReadFile("../openapi.yaml")
	if err != nil {
		t.Fatal(err)
	}
	got, err := API(source)
	if err != nil {
		t.Fatal(err)
	}
	wellFormed(t, "the API", got)
	page := string(got)
	operations := 0
	for _, m := range regexp.MustCompile(`operationId: (\w+)`).FindAllStringSubmatch(string(source), -1) {
		if strings.HasSuffix(m[1], "Head") {
			continue
		}
		operations++
		if !strings.Contains(page, `<div id="`+m[1]+`">`) {
			t.Errorf("the operation %s is not on the page", m[1])
		}
	}
	if operations < 30 {
		t.Errorf("the description has %d operations", operations)
	}
	for _, want := range []string{
		"<code>/v1/events/{slot}</code> <span>Pull a page</span>",
		`<code>bearer</code>: One of the slot&#39;s tokens.`, // of a security scheme
		`<a href="#schema-Allocated">Allocated</a>`,          // a reference
		`&#34;slot_id&#34;:&#34;0123456789abcdef`,            // of an example
		"<code>since</code>",                                 // a parameter by reference
		"array of <a href=\"#schema-Event\">Event</a>",
		"The relay&#39;s disk is nearly full.", // a reply by reference
	} {
		if !strings.Contains(page, want) && !strings.Contains(page, strings.ReplaceAll(want, "&#39;", "’")) && !strings.Contains(page, strings.ReplaceAll(want, "&#39;", "'")) {
			t.Errorf("the page does not hold %s", want)
		}
	}
}

func TestAPI_RefusesWhatIsNone(t *testing.T) {
	for _, text := range []string{"", "[]", "a: {", "info: {}", "openapi: 3.1.0\npaths: {}"} {
		if _, err := API([]byte(text)); err == nil {
			t.Errorf("%q passes for a description", text)
		}
	}
	// A reference to itself ends.
	circle := "info: {title: a}\npaths: {/a: {get: {operationId: a, tags: [b], responses: {'200': {$ref: '#/c'}}}}}\ntags: [{name: b}]\nc: {$ref: '#/c'}"
	if _, err := API([]byte(circle)); err != nil {
		t.Error(err)
	}
}

// Chapters become pages, their links lead to each other, and what is not served is
// text. Markup in a chapter stays out.
func TestBook_Chapters(t *testing.T) {
	b, err := New(fstest.MapFS{
		"using.md":     {Data: []byte("# Use it\n\n- [b](#what-it-isnt)\n\n[Ops](operating.md#a-b), [out](../README.md)<script>x</script>\n\n## What it isn't\n\n| a | b |\n| --- | --- |\n| `x<y` | 2 |\n\n```sh\na < b && c\n```\n")},
		"operating.md": {Data: []byte("# Operate\n\n## A: b\n")}, "zz.md": {Data: []byte("# Last\n")}, "notes.txt": {Data: []byte("no")},
	})
	if err != nil {
		t.Fatal(err)
	}
	if got := strings.Join(b.Names(), " "); got != "using operating zz" {
		t.Errorf("the chapters are %s", got)
	}
	page := b.Chapter("using")
	wellFormed(t, "using", page)
	for _, want := range []string{`<a href="/manual/operating.html#a-b">Ops</a>, out`, `<h2 id="what-it-isnt">`, "<code>x&lt;y</code>", "a &lt; b &amp;&amp; c", `class="wide"`, "<title>Use it · cowrelay</title>"} {
		if !strings.Contains(string(page), want) {
			t.Errorf("the page does not hold %s:\n%s", want, page)
		}
	}
	if strings.Contains(string(page), "<script") || strings.Contains(string(page), "README") {
		t.Errorf("the page holds markup or a link to what is not served:\n%s", page)
	}
	wellFormed(t, "the contents", b.Contents())
	if !strings.Contains(string(b.Contents()), `<a href="/manual/zz.html">Last</a>`) {
		t.Errorf("the contents lack a chapter:\n%s", b.Contents())
	}
}

// The manual as it is: every link between its chapters leads somewhere.
func TestBook_TheManual(t *testing.T) {
	b, err := New(os.DirFS("../../cmd/cowrelay/docs"))
	if err != nil {
		t.Fatal(err)
	}
	if len(b.Names()) < 8 {
		t.Fatalf("the chapters are %v", b.Names())
	}
	pages := map[string]string{}
	for _, n := range b.Names() {
		pages[ChapterPath(n)] = string(b.Chapter(n))
		wellFormed(t, n, []byte(pages[ChapterPath(n)]))
	}
	links := 0
	for from, page := range pages {
		for _, m := range regexp.MustCompile(`href="(/manual/[^"#]+)(?:#([^"]+))?"`).FindAllStringSubmatch(page, -1) {
			links++
			if to := pages[m[1]]; to == "" || m[2] != "" && !strings.Contains(to, `id="`+m[2]+`"`) {
				t.Errorf("%s links to %s#%s, which is not there", from, m[1], m[2])
			}
		}
	}
	if links < 20 {
		t.Errorf("%d links between chapters", links)
	}
}
