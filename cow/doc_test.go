package cow_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// The ways that doc.go tells pass real files: each that it names is there. A name
// stands for a file here, or for one of fasthttp when it begins so.
func TestDoc_NamesFilesThatAreThere(t *testing.T) {
	doc, err := os.ReadFile("doc.go")
	if err != nil {
		t.Fatal(err)
	}
	names := regexp.MustCompile(`[a-z_/]+\.go\b`).FindAllString(string(doc), -1)
	if len(names) < 30 {
		t.Fatalf("doc.go names %d files", len(names))
	}
	for _, name := range names {
		path := filepath.FromSlash(name)
		if strings.HasPrefix(name, "fasthttp/") {
			path = filepath.Join("..", path)
		}
		if _, err := os.Stat(path); err != nil {
			t.Errorf("doc.go: %v", err)
		}
	}
}
