package web

import (
	"bytes"
	"io/fs"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// The table names every embedded file and no other.
func TestTable_NamesEveryFile(t *testing.T) {
	var listed []string
	paths := make(map[string]bool)
	for _, f := range All() {
		listed = append(listed, f.name)
		if paths[f.Path] {
			t.Errorf("%s is served twice", f.Path)
		}
		paths[f.Path] = true
		if len(f.Raw().Body) == 0 || len(f.Gzip().Body) == 0 {
			t.Errorf("%s is empty", f.Path)
		}
	}
	fs.WalkDir(files, ".", func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			t.Fatal(err)
		}
		if !d.IsDir() && !strings.HasSuffix(path, "README.md") && !slices.Contains(listed, path) {
			t.Errorf("%s is embedded and not served", path)
		}
		return nil
	})
}

var (
	anyURL    = regexp.MustCompile(`(?:https?:)?//[A-Za-z0-9.-]+\.[A-Za-z]{2,}[^\s"'<>)]*`)
	attribute = regexp.MustCompile(`(?:src|href|action|srcset|poster)="([^"]*)"`)
	inline    = regexp.MustCompile(`(?i)\son[a-z]+\s*=|\sstyle\s*=|<style|javascript:|<script(?:\s[^>]*)?>[^<]`)
	asksFor   = regexp.MustCompile(`(?:import\b[^"']*|from\s+|fetch\(|json\(|url\(|@import\s+)["'\x60]?([^"'\x60)\s]+)`)
)

// No file names another host but in text and in the licence note of what is not
// ours; pages refer to what is in the table; nothing stands inline that the
// policy forbids.
func TestFiles_AskForNothingElsewhere(t *testing.T) {
	harmless := []string{"https://relay.example", "http://www.w3.org/2000/svg", "https://github.com/leeoniya/uPlot"}
	other := []string{"/", "/openapi.yaml", "/openapi.html", "/manual", "/manual/metrics.html", "#curl", "/healthz", "/readyz", "/stats.json", "/stats.history", "/stats.html", "/phonebook.html", "/v1/handles", "#main"}
	for _, f := range All() {
		text := string(f.Raw().Body)
		for _, url := range anyURL.FindAllString(text, -1) {
			if !slices.Contains(harmless, url) {
				t.Errorf("%s names %s", f.name, url)
			}
		}
		if f.Type == html {
			for _, m := range attribute.FindAllStringSubmatch(text, -1) {
				if Asset([]byte(m[1])) == nil && !slices.Contains(other, m[1]) {
					t.Errorf("%s refers to %q", f.name, m[1])
				}
			}
			if m := inline.FindString(text); m != "" {
				t.Errorf("%s has %q inline", f.name, m)
			}
		}
		if strings.HasPrefix(f.name, "static/") && f.Type != html {
			for _, m := range asksFor.FindAllStringSubmatch(text, -1) {
				if strings.Contains(m[1], ":") || strings.HasPrefix(m[1], "//") {
					t.Errorf("%s asks for %q", f.name, m[1])
				}
			}
			for _, word := range []string{"innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", "Function("} {
				if strings.Contains(text, word) {
					t.Errorf("%s uses %s", f.name, word)
				}
			}
		}
	}
}

// The pages are as small as the manual says (operating.md).
func TestFiles_Weight(t *testing.T) {
	raw, small := 0, 0
	for _, f := range All() {
		raw += len(f.Raw().Body)
		small += len(f.Gzip().Body)
	}
	if raw > 120_000 || small > 48_000 {
		t.Errorf("all files are %d bytes, %d compressed", raw, small)
	}
}

var (
	tag  = regexp.MustCompile(`(?s)<!--.*?-->|<(/?)([a-z0-9]+)((?:\s+[a-z-]+(?:="[^"<>]*")?)*)\s*>`)
	name = regexp.MustCompile(`([a-z-]+)(?:="([^"]*)")?`)
)

// Tags are closed in order, ids are used once and what refers to them finds
// them, and headings skip no level.
func TestPages_WellFormed(t *testing.T) {
	void := []string{"meta", "link", "img", "br", "input"}
	for _, f := range []*File{Landing, Dashboard, Phonebook} {
		body := bytes.TrimPrefix(f.Raw().Body, []byte("<!doctype html>\n"))
		if len(body) == len(f.Raw().Body) {
			t.Errorf("%s has no doctype", f.name)
		}
		if rest := tag.ReplaceAll(body, nil); bytes.ContainsAny(rest, "<>") {
			t.Errorf("%s: stray angle brackets", f.name)
		}
		var open []string
		ids := make(map[string]int)
		var refs []string
		level := byte('0')
		for _, m := range tag.FindAllStringSubmatch(string(body), -1) {
			el := m[2]
			switch {
			case el == "" || slices.Contains(void, el):
			case m[1] == "/":
				if len(open) == 0 || open[len(open)-1] != el {
					t.Fatalf("%s: </%s> closes %v", f.name, el, open)
				}
				open = open[:len(open)-1]
			default:
				open = append(open, el)
			}
			if m[1] == "/" {
				continue
			}
			if len(el) == 2 && el[0] == 'h' && el[1] >= '1' && el[1] <= '6' {
				if el[1] > level+1 {
					t.Errorf("%s: h%c after h%c", f.name, el[1], level)
				}
				level = el[1]
			}
			for _, a := range name.FindAllStringSubmatch(m[3], -1) {
				switch a[1] {
				case "id":
					ids[a[2]]++
				case "aria-labelledby", "aria-describedby":
					refs = append(refs, strings.Fields(a[2])...)
				}
			}
		}
		if len(open) > 0 {
			t.Errorf("%s leaves %v open", f.name, open)
		}
		for id, n := range ids {
			if n > 1 {
				t.Errorf("%s has the id %s %d times", f.name, id, n)
			}
		}
		for _, id := range refs {
			if ids[id] == 0 {
				t.Errorf("%s refers to the id %s", f.name, id)
			}
		}
	}
}
