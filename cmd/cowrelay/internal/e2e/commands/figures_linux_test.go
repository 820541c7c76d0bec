package commands

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"os/exec"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"cowrelay/cmd/cowrelay/internal/relaytest"
	"cowrelay/cow/card/cardtest"
)

// The metrics say what the folder takes as du does, and how the journal syncs.
func TestMetrics_DiskAndSync(t *testing.T) {
	for _, sync := range []string{"always", "off"} {
		dir := t.TempDir()
		r := relaytest.Start(t, dir, "--sync="+sync)
		m := r.Allocate()
		for i := range 20 {
			r.Post(m, relaytest.Event("w", i, 50_000))
		}
		var stats struct{ Version string }
		if err := json.Unmarshal(m.MustSend(t, http.StatusOK, "GET", r.URL+"/stats.json", nil), &stats); err != nil {
			t.Fatal(err)
		}
		if n := r.Metric(fmt.Sprintf("cowrelay_build_info{version=%q,sync=%q}", stats.Version, sync)); n != 1 {
			t.Errorf("build_info is %v", n)
		}
		var du, said float64
		for deadline := time.Now().Add(20 * time.Second); time.Now().Before(deadline); time.Sleep(50 * time.Millisecond) {
			said = r.Metric("cowrelay_disk_used_bytes")
			out, err := exec.Command("du", "-s", "--block-size=1", dir).Output()
			if err != nil {
				t.Fatal(err)
			}
			if fmt.Sscan(string(out), &du); du == said { // the store may have written in between
				break
			}
		}
		if du != said || said < 1<<20 {
			t.Errorf("du says %v bytes, the relay %v", du, said)
		}
	}
}

// Lists of handles and invites fit a terminal of 80 columns.
func TestAdmin_ListsFit(t *testing.T) {
	r := relaytest.Start(t, t.TempDir())
	m := r.Allocate()
	nick := strings.Repeat("n", 24)
	for _, body := range [][2]string{
		{"/v1/handle/claim", fmt.Sprintf(`{"nick":%q,"slot_id":%q,"card":%s}`, nick, m.ID, cardtest.New(nick, 0).Card(`{}`))},
		{"/v1/invite/register", `{"invite_url":"wire://pair?v=1","uses":1000000}`},
	} {
		m.MustSend(t, http.StatusCreated, "POST", r.URL+body[0], []byte(body[1]))
	}
	for what, says := range map[string]string{"handles": nick, "invites": "this machine"} {
		p := startPane(t, 24, 80, "admin", what, "list", "--admin="+r.AdminURL)
		p.exits()
		out := p.out.String()
		relaytest.Contains(t, out, says)
		for line := range strings.Lines(strings.ReplaceAll(out, "\r", "")) {
			if n := utf8.RuneCountInString(strings.TrimRight(line, "\n")); n > 80 {
				t.Errorf("%s: %d columns: %s", what, n, line)
			}
		}
		// A program gets all.
		if all := r.Admin(t, what, "list"); what == "handles" && !bytes.Contains([]byte(all), []byte(m.ID)) {
			t.Errorf("%s", all)
		}
	}
}
