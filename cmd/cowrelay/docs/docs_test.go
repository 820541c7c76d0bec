// Package docs_test holds the manual, README and bench/README.md against the
// tree: links, commands, flags, files and metrics exist, tables are what the
// code says, and every shell block runs.
package docs_test

import (
	"flag"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"cowrelay/cmd/cowrelay/internal/relaytest"
)

const root = "../../.." // of the repository, from here

var update = flag.Bool("update", false, "write the pages' generated tables")

func TestMain(m *testing.M) { relaytest.Main(m) }

// page is one document.
type page struct {
	path  string // from the root of the repository
	text  string
	prose string // text without its fenced blocks
	fence []fence
}

// fence is a fenced block.
type fence struct {
	language, text string
	line           int // where it begins
}

var fenced = regexp.MustCompile("(?ms)^[ ]*```([a-z.]*)\n(.*?)^[ ]*```$")

func readPage(t *testing.T, path string) *page {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(root, path))
	if err != nil {
		t.Fatal(err)
	}
	p := &page{path: path, text: string(data)}
	for _, m := range fenced.FindAllStringSubmatchIndex(p.text, -1) {
		p.fence = append(p.fence, fence{
			language: p.text[m[2]:m[3]], text: p.text[m[4]:m[5]], line: 1 + strings.Count(p.text[:m[0]], "\n"),
		})
	}
	p.prose = fenced.ReplaceAllString(p.text, "")
	return p
}

// pages returns README, the pages of the manual, and those of bench.
func pages(t *testing.T) (list []*page) {
	t.Helper()
	manual, err := filepath.Glob("*.md")
	if err != nil || len(manual) < 8 {
		t.Fatalf("%d pages of the manual: %v", len(manual), err)
	}
	paths := []string{"README.md", "bench/README.md", "bench/results/README.md"}
	for _, name := range manual {
		paths = append(paths, "cmd/cowrelay/docs/"+name)
	}
	for _, path := range paths {
		list = append(list, readPage(t, path))
	}
	return list
}

var codeSpan = regexp.MustCompile("`([^`\n]+)`")

// code returns what stands in code spans and in blocks of commands.
func (p *page) code() (list []string) {
	for _, m := range codeSpan.FindAllStringSubmatch(p.prose, -1) {
		list = append(list, m[1])
	}
	for _, f := range p.fence {
		if f.isShell() {
			list = append(list, f.lines()...)
		}
	}
	return list
}

// isShell says whether the block holds commands. Those of "sh" are run by the
// tests; those of "console" need what a test has not (docker, systemd, make).
func (f fence) isShell() bool { return f.language == "sh" || f.language == "console" }

// lines returns the block's commands, with continued lines joined and comments
// left out.
func (f fence) lines() (list []string) {
	text := strings.ReplaceAll(f.text, "\\\n", " ")
	for line := range strings.Lines(text) {
		line, _, _ = strings.Cut(strings.TrimSpace(line), " #")
		if line != "" && !strings.HasPrefix(line, "#") {
			list = append(list, strings.TrimSpace(line))
		}
	}
	return list
}
