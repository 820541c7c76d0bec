//go:build real

package outside

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"cowrelay/cmd/cowrelay/internal/relaytest"
)

// A relay without rows says so, and then draws its own.
func TestReal_DashboardOfAYoungRelay(t *testing.T) {
	r := relaytest.Start(t, t.TempDir())
	b := startBrowser(t)
	b.open(r.URL + "/stats.html")
	b.until(`document.querySelector("#notice").textContent.startsWith("No rows yet") || document.querySelector("figcaption").textContent.includes("max")`)
	if n := eval[map[string]int](b, strokes); b.text("#notice") != "" && n["posts"] != 0 {
		t.Errorf("without rows, plots are drawn: %v", n)
	}
	// Live numbers, before and after posts.
	s := r.Allocate()
	b.says("[data-live=slots]", "1")
	for n := range 40 {
		r.Post(s, relaytest.Event("m", n, 200))
	}
	b.says("[data-live=events]", "40")
	b.until(`Number(document.querySelector("[data-live=rate]").textContent) > 0`)
	for n := range 40 {
		r.Post(s, relaytest.Event("k", n, 200))
	}
	st := relaytest.MustStream(r, s, "")
	defer st.Conn.Close()
	b.says("[data-live=events]", "80")
	b.says("[data-live=streams]", "1")
	// A page that nobody sees asks for nothing, and catches up when it is seen.
	hide := func(hidden bool) {
		eval[any](b, fmt.Sprintf(`Object.defineProperty(document, "hidden", { value: %t, configurable: true }), document.dispatchEvent(new Event("visibilitychange")), 0`, hidden))
	}
	hide(true)
	time.Sleep(500 * time.Millisecond) // for what is on its way
	r.Post(s, relaytest.Event("h", 0, 200))
	time.Sleep(2500 * time.Millisecond)
	if got := b.text("[data-live=events]"); got != "80" {
		t.Errorf("a hidden page says %s events", got)
	}
	hide(false)
	b.says("[data-live=events]", "81")
	// A row comes every 30 s; the page asks for it as often.
	end := time.Now().Add(90 * time.Second)
	for !strings.Contains(b.text("[data-plot=memory] figcaption"), "max") {
		if time.Now().After(end) {
			t.Fatalf("no row within 90 s: %s", eval[string](b, "document.body.innerText"))
		}
		time.Sleep(200 * time.Millisecond)
	}
	b.says("#past", "The last 15 minutes")
	n := eval[map[string]int](b, strokes)
	for _, name := range []string{"posts", "slots", "memory"} {
		if n[name] < 4 {
			t.Errorf("the first row is no point in the plot of %s: %v", name, n)
		}
	}
	b.quiet(r.URL)
	// The page says that the relay has ended.
	st.Conn.Close()
	r.Stop()
	b.says("#status-text", "The relay can't be reached, since")
	b.until(`document.querySelector("#tiles").classList.contains("stale")`)
	// Then nobody knows for how long it is up.
	b.says("[data-plot=memory] .reading", "–")
	if about, rate := b.text("#about"), b.text("[data-live=rate]"); about != "" || rate != "–" {
		t.Errorf("a relay that can't be reached is %q and stores %s posts a second", about, rate)
	}
}

// One path, a page for those who take HTML.
func TestReal_StatsForPeopleAndPrograms(t *testing.T) {
	r := relaytest.Start(t, t.TempDir())
	b := startBrowser(t)
	b.open(r.URL + "/stats")
	b.says("h1", "Statistics")
	resp, err := http.Get(r.URL + "/stats")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var stats struct{ Version *string }
	if err := json.NewDecoder(resp.Body).Decode(&stats); err != nil || stats.Version == nil {
		t.Errorf("for a program /stats is no statistics: %v", err)
	}
	if vary := resp.Header.Values("Vary"); !slices.Contains(vary, "Accept") {
		t.Errorf("Vary: %q", vary)
	}
	b.quiet(r.URL)
}
