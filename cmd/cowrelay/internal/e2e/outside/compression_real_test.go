//go:build real

package outside

import (
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"cowrelay/cmd/cowrelay/internal/relaytest"
)

// TestReal_CompressedPages: clients that are not ours read compressed pages of many
// pieces to their end, as they read plain ones. That is not sure: many read one member
// of gzip or one frame of zstd alone, and call that all.
func TestReal_CompressedPages(t *testing.T) {
	t.Parallel()
	r := relaytest.Start(t, t.TempDir(), "--cors-origins=*")
	s := r.Allocate()
	const events = 300
	for i := range events {
		r.Post(s, relaytest.Event("e", i, 300))
	}
	url := r.EventsURL(s) + "?limit=1000"
	want := string(s.MustSend(t, http.StatusOK, "GET", url, nil))
	if len(want) < events*300 {
		t.Fatalf("the page has %d bytes", len(want))
	}
	python, modules := foreignPath(t, "venv/bin/python"), foreignPath(t, "node_modules")
	curl := func(coding string) []string {
		// curl before 8 unpacks what it is told to ask for.
		return []string{"curl", "-sS", "--compressed", "-H", "Accept-Encoding: " + coding, "-H", "Authorization: Bearer " + s.Token, "-w", "%{stderr}%header{content-encoding}", url}
	}
	for _, c := range []struct {
		coding string
		args   []string
	}{
		{"gzip", []string{python, "testdata/foreign/page.py", "requests", url}},
		{"gzip", []string{python, "testdata/foreign/page.py", "httpx", url}},
		{"gzip", []string{"node", "testdata/foreign/page.mjs", "node", url}},
		{"gzip", []string{"node", "testdata/foreign/page.mjs", "undici", url}},
		{"gzip", curl("gzip")},
		{"zstd", curl("zstd")},
	} {
		name := strings.ReplaceAll(strings.Join(c.args, " "), s.Token, "…")
		for range 2 { // made, and found made
			cmd := exec.Command(c.args[0], c.args[1:]...)
			cmd.Env = append(os.Environ(), "TOKEN="+s.Token, "MODULES="+filepath.Dir(modules))
			var errs strings.Builder
			cmd.Stderr = &errs
			out, err := cmd.Output()
			if err != nil {
				t.Fatalf("%s: %v: %s", name, err, errs.String())
			}
			coding, page := strings.TrimSpace(errs.String()), string(out)
			if c.args[0] != "curl" {
				coding, page, _ = strings.Cut(page, "\n")
			}
			if coding != c.coding || page != want {
				t.Errorf("%s: coding %q, want %q; %d bytes of %d are the same", name, coding, c.coding, same(page, want), len(want))
			}
		}
	}
	b := startBrowser(t)
	b.open(r.URL + "/")
	got := eval[string](b, fmt.Sprintf(`fetch(%q, {headers: {Authorization: %q}}).then(async (r) => r.headers.get("content-encoding") + "\n" + await r.text())`, url, "Bearer "+s.Token))
	if coding, page, _ := strings.Cut(got, "\n"); coding != "gzip" || page != want {
		t.Errorf("Chromium: coding %q; %d bytes of %d are the same", coding, same(page, want), len(want))
	}
}

// same is how many bytes two texts have in common at their begin.
func same(a, b string) (n int) {
	for n < min(len(a), len(b)) && a[n] == b[n] {
		n++
	}
	return n
}
