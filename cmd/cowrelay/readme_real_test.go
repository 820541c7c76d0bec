//go:build real

package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"cowrelay/cmd/cowrelay/internal/relaytest"
)

// README's tour is followed word by word, in order, in an empty folder, against
// the relay as it is built. Only its address is another, since the one that
// README names may be taken.
func TestReal_ReadmeTour(t *testing.T) {
	data, err := os.ReadFile(readme)
	if err != nil {
		t.Fatal(err)
	}
	_, tour, _ := strings.Cut(string(data), "\n## Five minutes with curl")
	blocks := regexp.MustCompile("(?ms)^```sh\n(.*?)^```$").FindAllStringSubmatch(tour, -1)
	if len(blocks) < 5 {
		t.Fatalf("the tour has %d shell blocks", len(blocks))
	}
	const address = "http://127.0.0.1:8770"
	var script strings.Builder
	for _, b := range blocks {
		script.WriteString(b[1] + "echo '-- next'\n")
	}
	if !strings.Contains(script.String(), address) {
		t.Fatalf("README's blocks don't name %s", address)
	}

	r := relaytest.Start(t, t.TempDir())
	defer r.Stop()
	dir := t.TempDir()
	cmd := exec.Command("sh", "-euc", strings.ReplaceAll(script.String(), address, r.URL))
	cmd.Dir = dir
	// README calls the binary by its name alone.
	cmd.Env = append(relaytest.CleanEnv(), "HOME="+dir, "XDG_CONFIG_HOME="+filepath.Join(dir, "config"),
		"PATH="+filepath.Dir(relaytest.Binary)+string(os.PathListSeparator)+os.Getenv("PATH"), "COWRELAY_RELAY="+r.URL)
	out, errs, code := relaytest.Finish(t, cmd)
	if code != 0 {
		t.Fatalf("exit %d\n%s\n%s", code, out, errs)
	}
	parts := strings.Split(out, "-- next\n")
	relaytest.Contains(t, parts[0], `"slot_token":"`)
	relaytest.Contains(t, out, `"status":"stored"`, `"status":"duplicate"`, "data: ", `"text":"hello"`, `"event_count":`)
	if strings.Contains(out, `"error"`) {
		t.Errorf("a step failed:\n%s", out)
	}
}
