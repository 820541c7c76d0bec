package plot

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// checkFiles checks pictures in dir in both themes. Each has the texts of its name, and
// those of all.
func checkFiles(t *testing.T, dir string, texts map[string][]string, all ...string) {
	t.Helper()
	for name, want := range texts {
		for _, theme := range themes {
			file := filepath.Join(dir, name+"-"+theme.name+".svg")
			b, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			texts := checkPicture(t, file, b)
			for _, w := range slices.Concat(want, all) {
				if !strings.Contains(texts, w) {
					t.Errorf("%s lacks %q:\n%s", file, w, texts)
				}
			}
		}
	}
}
