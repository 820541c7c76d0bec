//go:build real

package outside

import (
	"fmt"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"cowrelay/cmd/cowrelay/internal/relaytest"
	"cowrelay/cow"
	"cowrelay/cow/engine"
	"cowrelay/cow/filelog"
	"cowrelay/cow/rendezvous"

	"github.com/chromedp/chromedp"
)

// pick returns one of the texts.
func pick(n int, texts ...string) string { return texts[n%len(texts)] }

// populate records n handles, which is far faster than to claim them. Most have the
// vibe calm, each hundredth quick, and one rare.
func populate(t *testing.T, dir string, n int) {
	t.Helper()
	l, err := engine.Open(dir, engine.Options{Sync: filelog.Off, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	kinds := []string{"archivist", "baker", "courier", "drummer", "editor", "farmer", "gardener", "herald", "ink-maker", "joiner"}
	claimed := time.Now().Add(-1000 * time.Hour)
	for i := range n {
		nick := fmt.Sprintf("%s-%05d", kinds[i*len(kinds)/n], i)
		vibe := pick(i, `"calm"`, `"calm","thorough"`, `"calm","curious","likes long letters"`, `"loud"`)
		switch {
		case i == n*3/4:
			vibe = `"rare"`
		case i%100 == 0:
			vibe = `"quick"`
		}
		profile := fmt.Sprintf(`{"emoji":"%s","motto":"%s","now":"%s","pronouns":"%s","vibe":[%s]}`,
			pick(i, "🐄", "🦉", "🌵", "", "🛠️"), pick(i/3, "Answers mail of the other agents, one by one.", fmt.Sprint("Keeps room ", i, "."), "",
				"Reads what nobody reads, writes what nobody wrote, and forgets nothing of either as long as the machine runs."),
			pick(i/5, "", "reading", "waiting for the night's results"), pick(i/7, "", "it/its", "she/her", "they/them"), vibe)
		h := rendezvous.Handle{
			Nick: nick, DID: fmt.Sprintf("did:wire:%s-%08x", nick, i), ClaimedAt: claimed.Add(time.Duration(i) * 30 * time.Second),
			Card: []byte(`{"profile":` + profile + `}`),
		}
		if _, err := l.Put(rendezvous.HandleKey(nick), h.Encode(), 0, cow.Totals{}); err != nil {
			t.Fatal(err)
		}
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
}

// shoot keeps a picture of the screen in the folder that COWRELAY_PICTURES names, for
// people who want to look at it.
func (b *browser) shoot(name string) {
	b.Helper()
	dir := os.Getenv("COWRELAY_PICTURES")
	if dir == "" {
		return
	}
	png, err := chromedp.Run(b.ctx, chromedp.CaptureScreenshot())
	b.must(err)
	b.must(os.WriteFile(filepath.Join(dir, name+".png"), png, 0o644))
}

// pages checks that the phonebook has asked for no more than pages, and for how many.
func (b *browser) pages(what string, most int) {
	b.Helper()
	requests, _ := b.took()
	n := 0
	for _, r := range requests {
		u, err := url.Parse(r)
		if err != nil || u.Path != "/v1/handles" {
			continue
		}
		n++
		if limit, err := strconv.Atoi(u.Query().Get("limit")); err != nil || limit > 100 {
			b.Errorf("%s: asked for %s", what, u.RequestURI())
		}
	}
	if n == 0 || n > most {
		b.Errorf("%s: %d requests, want up to %d", what, n, most)
	}
}

// The page stays quick with a full directory: each act costs some pages, and none
// waits for long.
func TestReal_PhonebookOfFullDirectory(t *testing.T) {
	const n = 100_000
	dir := t.TempDir()
	populate(t, dir, n)
	r := relaytest.Start(t, dir)
	b := startBrowser(t)
	const few = 10 * time.Second // much of it is a busy machine's
	b.screen(1280, 900, false, "light")
	within := func(limit time.Duration, what string, act func()) {
		t.Helper()
		began := time.Now()
		act()
		took := time.Since(began)
		t.Logf("%s: %v", what, took.Round(time.Millisecond))
		if took > limit {
			t.Errorf("%s takes %v", what, took)
		}
	}
	within(few, "the first page", func() {
		b.open(r.URL + "/phonebook")
		b.listed(100)
	})
	b.reads("#about", "100,000 claimed")
	b.pages("the first page", 1)
	within(few, "a nick far behind", func() {
		b.enter("#search", "joiner-999")
		b.listed(20)
	})
	b.pages("a nick far behind", len("joiner-999"))
	within(few, "a vibe that one has", func() {
		b.enter("#search", "")
		b.enter("#vibe", "rare")
		b.listed(1)
	})
	b.pages("a vibe that one has", 4*6)
	within(few, "a vibe that nobody has", func() {
		b.enter("#vibe", "unheard-of")
		b.says("#notice", "Nobody has this vibe.")
	})
	b.pages("a vibe that nobody has", 6)
	within(few, "a vibe that each hundredth has", func() {
		b.enter("#vibe", "quick")
		b.listed(100)
	})
	b.took()
	within(few, "a nick with a vibe", func() {
		b.enter("#search", "herald-70")
		b.until(`[...document.querySelectorAll("#book h2 a")].some((a) => a.textContent === "herald-70000")`)
	})
	b.took()
	// Whoever clicks on and on can still search and read.
	b.open(r.URL + "/phonebook")
	b.listed(100)
	const clicks = 40
	within(time.Minute, "forty more pages", func() {
		for i := range clicks {
			b.must(chromedp.Do(b.ctx, chromedp.Click(chromedp.CSS("#more"))))
			b.listed(100 * (i + 2))
		}
	})
	b.pages("forty more pages", clicks+1)
	if took := eval[float64](b, `(() => { const t = performance.now(), s = document.querySelector("#search"); s.value = "room 1";
		s.dispatchEvent(new Event("input")); document.body.offsetHeight; return performance.now() - t; })()`); took > 5000 {
		t.Errorf("a keystroke among 4,100 agents takes %.0f ms", took)
	} else {
		t.Logf("a keystroke among 4,100 agents takes %.0f ms", took)
	}
	for _, theme := range []string{"light", "dark"} {
		for _, width := range []int{360, 1280} {
			b.screen(int64(width), 900, width < 500, theme)
			for name, link := range map[string]string{"all": "", "search": "#q=joiner-999", "vibe": "#vibe=likes+long+letters", "none": "#vibe=unheard-of"} {
				b.open(r.URL + "/phonebook" + link)
				b.until(`/^[1-9].*agents|^Nobody/.test(document.querySelector("#notice").textContent)`)
				b.says("#status-text", "Up and serving")
				if w := eval[int](b, "document.documentElement.scrollWidth"); w > width {
					t.Errorf("%s: the page is %d pixels wide on a screen of %d", name, w, width)
				}
				b.shoot(fmt.Sprintf("phonebook-%s-%s-%d", name, theme, width))
			}
		}
	}
	b.quiet(r.URL)
}
