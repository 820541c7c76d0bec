package main

import (
	"bytes"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// How large files and folders may grow before they have to be split. Files of
// tests don't count.
const (
	mostLines   = 500 // of a file
	medianLines = 150 // of all files
	mostFiles   = 25  // in a folder
)

func TestLayout_FilesAndFoldersAreSmall(t *testing.T) {
	var lines []int
	folders := make(map[string]int)
	root := moduleRoot(t)
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		switch name := d.Name(); {
		case err != nil:
			return err
		case d.IsDir() && path != root && (strings.HasPrefix(name, ".") || slices.Contains(built, name)):
			return filepath.SkipDir
		case d.IsDir() || !strings.HasSuffix(name, ".go") || strings.HasSuffix(name, "_test.go"):
			return nil
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		n := bytes.Count(text, []byte("\n"))
		if n > mostLines {
			t.Errorf("%s has %d lines, at most %d are allowed", path, n, mostLines)
		}
		lines = append(lines, n)
		folders[filepath.Dir(path)]++
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(lines) < 100 {
		t.Fatalf("found only %d files below %s", len(lines), root)
	}
	slices.Sort(lines)
	if median := lines[len(lines)/2]; median > medianLines {
		t.Errorf("half of the files have %d lines or more, at most %d are allowed", median, medianLines)
	}
	for folder, n := range folders {
		if n > mostFiles {
			t.Errorf("%s holds %d files, at most %d are allowed", folder, n, mostFiles)
		}
	}
}

// built is what commands leave at the top. Git ignores it.
var built = []string{"bin", "cowrelay-data", "dist"}

func moduleRoot(t *testing.T) string {
	t.Helper()
	out, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}").Output()
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(out))
}
