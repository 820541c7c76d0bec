package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"cowrelay/cmd/cowrelay/internal/root"
)

// There is a page for each command, with its flags and their variables.
func TestMan_PageForEachCommand(t *testing.T) {
	t.Setenv("SOURCE_DATE_EPOCH", "0")
	dir := filepath.Join(t.TempDir(), "man1")
	if err := write("v1.2.3", dir); err != nil {
		t.Fatal(err)
	}
	page, err := os.ReadFile(filepath.Join(dir, "cowrelay-serve.1"))
	if err != nil {
		t.Fatal(err)
	}
	for _, part := range []string{"Jan 1970", `--data-dir`, "COWRELAY_DATA_DIR", "cowrelay v1.2.3"} {
		if !strings.Contains(string(page), part) {
			t.Errorf("no %q in:\n%s", part, page)
		}
	}
	names := []string{"completion", "completion-bash", "admin-block"}
	for _, cmd := range root.New("", nil).Commands() {
		names = append(names, cmd.Name())
	}
	for _, name := range names {
		info, err := os.Stat(filepath.Join(dir, "cowrelay-"+name+".1"))
		if err != nil {
			t.Error(err)
		} else if info.Mode() != 0o644 {
			t.Errorf("%s: %v", info.Name(), info.Mode())
		}
	}
}
