//go:build real

package docs_test

import (
	"strings"
	"testing"
)

// README's tour is followed word by word, in order, in an empty folder, against
// the relay as it is built.
func TestReal_ReadmeTour(t *testing.T) {
	p := readPage(t, "README.md")
	blocks := 0
	for _, f := range p.fence {
		if f.language == "sh" {
			blocks++
		}
	}
	if blocks < 5 || !strings.Contains(p.text, pageRelay) {
		t.Fatalf("the tour has %d shell blocks", blocks)
	}
	outs := runPage(t, p)
	all := strings.Join(outs, "")
	for text, where := range map[string]string{
		`"slot_token":"`: outs[0], `"status":"stored"`: all, `"status":"duplicate"`: all,
		"data: ": all, `"text":"hello"`: all, `"event_count":`: all,
	} {
		if !strings.Contains(where, text) {
			t.Errorf("no %q in:\n%s", text, where)
		}
	}
	if strings.Contains(all, `"error"`) {
		t.Errorf("a step failed:\n%s", all)
	}
}

// The blocks of all other pages that call curl.
func TestReal_ShellBlocksWithCurl(t *testing.T) {
	n := 0
	for _, p := range pages(t) {
		if p.path != "README.md" && p.needs("curl ") {
			n++
			for _, out := range runPage(t, p) {
				if out == "" || strings.Contains(out, `"error"`) {
					t.Errorf("%s: a block printed %q", p.path, out)
				}
			}
		}
	}
	if n == 0 {
		t.Error("no page but README calls curl")
	}
}
