//go:build real

package outside

import (
	"encoding/json"
	"math"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"cowrelay/cmd/cowrelay/internal/relaytest"

	"github.com/chromedp/cdproto/input"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
)

// madeUp is a day of rows as /stats.series has it: gauges that climb, a gap,
// and nothing yet in the point under way. What is now is none of the points. Slots
// are near their limit, streams are far from theirs.
func madeUp(hours int) map[string]any {
	const points = 240
	step := int64(hours) * 3600 / points
	now := time.Now().Unix()
	m := map[string]any{"hours": hours, "now_unix": now, "step_seconds": step}
	columns := map[string]func(i int) any{
		"t":                  func(i int) any { return now - now%step - int64(points-1-i)*step },
		"slots":              func(i int) any { return 1000 + i },
		"streams":            func(i int) any { return 40 + i%20 },
		"posts_per_second":   func(i int) any { return 30 + 20*math.Sin(float64(i)/30) },
		"pulls_per_second":   func(i int) any { return 300 + 200*math.Sin(float64(i)/30) },
		"commit_p50_seconds": func(i int) any { return 0.001 + 0.0005*math.Sin(float64(i)/30) },
		"commit_p99_seconds": func(i int) any { return 0.004 + 0.001*math.Sin(float64(i)/3) },
		"memory_bytes":       func(i int) any { return (64 + i/4) << 20 },

		"refused_posts_per_second": func(i int) any { return 1 + math.Sin(float64(i)/30) },
		"limited_per_second":       func(i int) any { return 2 },
		"failures_per_second":      func(i int) any { return 3 },
		"connections":              func(i int) any { return 90 + i%20 },
		"long_polls":               func(i int) any { return i % 20 },
		"stream_lag_p99_seconds":   func(i int) any { return math.Pow(10, float64(i%40)/10-4) },
		"cpu_cores":                func(i int) any { return 0.5 + 0.3*math.Sin(float64(i)/30) },
		"slot_memory_bytes":        func(i int) any { return (32 + i/4) << 20 },
		"disk_free_bytes":          func(i int) any { return (9000 - i) << 20 },
	}
	m["limits"] = map[string]any{"slots": 2000, "streams": 50_000, "connections": 200, "cpu_cores": 2, "disk_free_bytes": 1 << 30}
	m["latest"] = map[string]any{"connections": 77, "long_polls": 5, "memory_bytes": 123 << 20, "disk_free_bytes": 8761 << 20}
	for name, value := range columns {
		list := make([]any, points)
		for i := range list {
			if name == "t" || i != points-1 && (i < 100 || i > 110) {
				list[i] = value(i)
			}
		}
		m[name] = list
	}
	return m
}

// front is the relay with a history made up for it: an origin of its own.
func front(t *testing.T, r *relaytest.Relay) string {
	to, err := url.Parse(r.URL)
	if err != nil {
		t.Fatal(err)
	}
	proxy := httputil.NewSingleHostReverseProxy(to)
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		if q.URL.Path != "/stats.series" {
			proxy.ServeHTTP(w, q)
			return
		}
		hours, _ := strconv.Atoi(q.URL.Query().Get("hours"))
		w.Header().Set("Content-Type", "application/json")
		json.NewEncoder(w).Encode(madeUp(hours))
	}))
	t.Cleanup(s.Close)
	return s.URL
}

var plotNames = []string{"posts", "pulls", "trouble", "streams", "connections", "slots", "commit", "lag", "cpu", "memory", "held", "disk"}

// strokes counts the pixels of each plot that have the accent's colour.
var strokes = pixels("accent")

// pixels counts the pixels of each plot that have a colour.
func pixels(colour string) string { return strings.Replace(pixelsOf, "COLOUR", colour, 1) }

const pixelsOf = `(() => {
	const [r, g, b] = getComputedStyle(document.documentElement).getPropertyValue("--COLOUR").match(/[0-9a-f]{2}/gi).map((x) => parseInt(x, 16));
	return Object.fromEntries([...document.querySelectorAll("[data-plot]")].map((f) => {
		const c = f.querySelector("canvas");
		const d = c.getContext("2d").getImageData(0, 0, c.width, c.height).data;
		let n = 0;
		for (let i = 0; i < d.length; i += 4) if (d[i+3] > 200 && Math.abs(d[i]-r) + Math.abs(d[i+1]-g) + Math.abs(d[i+2]-b) < 24) n++;
		return [f.dataset.plot, n];
	}));
})()`

// heights counts the pixels of the curve of lag in four strips of the plot, the
// highest first.
const heights = `(() => {
	const u = document.querySelector("[data-plot=lag] .u-over").getBoundingClientRect(), c = document.querySelector("[data-plot=lag] canvas"), k = c.getBoundingClientRect();
	const [r, g, b] = getComputedStyle(document.documentElement).getPropertyValue("--accent").match(/[0-9a-f]{2}/gi).map((x) => parseInt(x, 16));
	const strips = [0, 0, 0, 0];
	for (let i = 0; i < 4; i++) {
		const d = c.getContext("2d").getImageData(u.left - k.left, u.top - k.top + i * u.height / 4, u.width, u.height / 4).data;
		for (let p = 0; p < d.length; p += 4) if (d[p+3] > 200 && Math.abs(d[p]-r) + Math.abs(d[p+1]-g) + Math.abs(d[p+2]-b) < 24) strips[i]++;
	}
	return strips;
})()`

// shifted adds up how far what was drawn moved afterwards.
const shifted = `new Promise((done) => {
	let sum = 0;
	new PerformanceObserver((list) => { for (const e of list.getEntries()) sum += e.value; }).observe({ type: "layout-shift", buffered: true });
	setTimeout(() => done(sum), 300);
})`

func TestReal_DashboardDrawsTheHistory(t *testing.T) {
	r := relaytest.Start(t, t.TempDir())
	origin := front(t, r)
	b := startBrowser(t)
	for _, theme := range []string{"light", "dark"} {
		b.screen(1280, 900, false, theme)
		b.open(origin + "/stats.html")
		b.says("[data-plot=memory] figcaption", "max")
		b.says("[data-plot=slots] figcaption", "now 0") // of another reply
		if n := len(eval[map[string]int](b, strokes)); n != len(plotNames) {
			t.Errorf("%d plots, want %d", n, len(plotNames))
		}
		for name, n := range eval[map[string]int](b, strokes) {
			if n < 200 {
				t.Errorf("%s: %d pixels of the plot of %s have the line's colour", theme, n, name)
			}
		}
		for name, want := range map[string]string{
			"slots": "now 0; min 1,000, max 1,238, limit 2,000", "streams": "now 0; min 40, max 59, limit 50,000", "memory": "now 123 MiB; min 64 MiB, max 123 MiB",
			"connections": "now all 77, long polls 5; max all 109, long polls 19, limit 200", "disk": "now 8.56 GiB; min 8.56 GiB, max 8.79 GiB, reserve 1 GiB",
			"trouble": "now posts –, 429 –, 5xx –; max posts 2.00, 429 2, 5xx 3",
		} {
			if got := b.text("[data-plot=" + name + "] figcaption"); got != want {
				t.Errorf("%s: in words %q, want %q", name, got, want)
			}
		}
		// Limits are drawn where the values come near, and a floor always.
		bad := eval[map[string]int](b, pixels("bad"))
		for name, drawn := range map[string]bool{"slots": true, "connections": true, "cpu": true, "disk": true, "streams": false, "memory": false, "posts": false} {
			if bad[name] > 50 != drawn {
				t.Errorf("%s: %d pixels of the plot of %s have the limit's colour", theme, bad[name], name)
			}
		}
		if moved := eval[float64](b, shifted); moved > 0.02 {
			t.Errorf("%s: what was drawn moved by %v", theme, moved)
		}
	}
	// Four decades of lag are seen: its curve spends as much height on each.
	rows := eval[[]int](b, heights)
	if low, high := rows[0], rows[len(rows)-1]; low*3 < high || high*3 < low || low == 0 {
		t.Errorf("of the four parts of the plot of lag, the curve has %v pixels: the axis is not logarithmic", rows)
	}
	// While the page is open the theme may change.
	b.screen(1280, 900, false, "light")
	b.until(strings.Replace("(S).posts > 200", "S", strokes, 1))
	// One cursor reads all plots.
	at := eval[[]float64](b, `(() => { const r = document.querySelector("[data-plot=slots] .u-over").getBoundingClientRect(); return [r.left + r.width/4, r.top + 20]; })()`)
	b.must(chromedp.Do(b.ctx, chromedp.MouseEvent(input.DispatchMouseEventTypeMouseMoved, at[0], at[1])))
	b.until(`[...document.querySelectorAll(".reading")].every((r) => /^\d\d:\d\d: /.test(r.textContent))`)
	got := eval[int](b, `Number(document.querySelector("[data-plot=slots] .reading").textContent.slice(7).replace(",", ""))`)
	if got < 1050 || got > 1070 {
		t.Errorf("a quarter from the left the plot of slots reads %d, want about 1,060", got)
	}
	// Another range is asked for at once.
	b.must(chromedp.Do(b.ctx, chromedp.Click(chromedp.CSS("[data-range='7d']"))))
	b.says("#past", "The last 7 days")
	b.until(`performance.getEntriesByType("resource").some((e) => e.name.endsWith("/stats.series?hours=168"))`)
	// A quarter of an hour is the end of an hour.
	b.must(chromedp.Do(b.ctx, chromedp.Click(chromedp.CSS("[data-range='15m']"))))
	b.says("#past", "The last 15 minutes")
	b.says("[data-plot=slots] figcaption", "min 1,180, max 1,238")
	b.open(origin + "/stats.html#hours=168") // a link of an earlier release
	b.says("#past", "The last 7 days")
	b.quiet(origin)
}

// What a page says can be read: 4.5 to 1 at least, in both themes.
const contrast = `(() => {
	const parse = (c) => { const v = c.match(/[\d.]+/g).map(Number); return v.length < 4 ? [...v, 1] : v; };
	const over = (a, b) => [0, 1, 2].map((i) => a[i]*a[3] + b[i]*(1-a[3])).concat(1);
	const light = (c) => { const [r, g, b] = c.slice(0, 3).map((v) => (v /= 255) <= 0.04045 ? v/12.92 : ((v+0.055)/1.055) ** 2.4); return 0.2126*r + 0.7152*g + 0.0722*b; };
	const ratio = (a, b) => { const [x, y] = [light(a), light(b)].sort((p, q) => q - p); return (x+0.05)/(y+0.05); };
	const ground = (el) => { const stack = []; for (; el; el = el.parentElement) stack.push(parse(getComputedStyle(el).backgroundColor));
		return stack.reverse().reduce((below, c) => over(c, below), [255, 255, 255, 1]); };
	let n = 0; const bad = [];
	const walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
	for (let t; (t = walk.nextNode()); ) {
		const el = t.parentElement;
		if (!t.textContent.trim() || el.closest("noscript, script")) continue;
		n++;
		const r = ratio(parse(getComputedStyle(el).color), ground(el));
		if (r < 4.5) bad.push(r.toFixed(2) + " " + el.tagName + " " + t.textContent.trim().slice(0, 40));
	}
	const root = getComputedStyle(document.documentElement);
	const hex = (name) => root.getPropertyValue("--"+name).match(/[0-9a-f]{2}/gi).map((x) => parseInt(x, 16));
	for (const [name, least] of [["accent", 4.5], ["second", 4.5], ["muted", 4.5]]) { // on plots
		const r = ratio(hex(name), hex("surface"));
		if (r < least) bad.push(r.toFixed(2) + " --" + name);
	}
	return { Texts: n, Bad: bad, Ground: ground(document.body).join() };
})()`

func TestReal_PagesAreReadable(t *testing.T) {
	r := relaytest.Start(t, t.TempDir())
	origin := front(t, r)
	b := startBrowser(t)
	grounds := make(map[string]bool)
	for _, theme := range []string{"light", "dark"} {
		for _, path := range []string{"/", "/stats.html"} {
			// On a phone nothing is wider than the screen.
			b.screen(360, 740, true, theme)
			b.open(origin + path)
			b.says("#status-text", "Up and serving")
			if path != "/" {
				b.says("[data-plot=memory] figcaption", "max")
			}
			if w := eval[int](b, "document.documentElement.scrollWidth"); w > 360 {
				t.Errorf("%s is %d pixels wide on a phone of 360", path, w)
			}
			got := eval[struct {
				Texts  int
				Bad    []string
				Ground string
			}](b, contrast)
			if got.Texts < 25 || len(got.Bad) > 0 {
				t.Errorf("%s, %s: of %d texts these are hard to read: %q", path, theme, got.Texts, got.Bad)
			}
			grounds[got.Ground] = true
		}
	}
	if len(grounds) != 2 {
		t.Errorf("two themes have the grounds %v", grounds)
	}
	b.quiet(origin)
	// The check can say no, and so can the policy.
	eval[any](b, `document.querySelector("h1").style.color = "#555", 0`)
	if bad := eval[struct{ Bad []string }](b, contrast).Bad; len(bad) == 0 {
		t.Error("grey on black passes for readable")
	}
	eval[any](b, `document.body.append(Object.assign(new Image(), { src: "http://127.0.0.1:1/x.png" })), 0`)
	b.until(`document.querySelector("body > img") !== null`)
	for end := time.Now().Add(20 * time.Second); ; time.Sleep(50 * time.Millisecond) {
		if _, complaints := b.took(); strings.Contains(strings.Join(complaints, "\n"), "Content Security Policy") {
			break
		}
		if time.Now().After(end) {
			t.Fatal("the policy lets an image of another origin in, or its complaint is not noted")
		}
	}
}

// All can be done by keyboard, and one sees where one is.
func TestReal_PagesByKeyboard(t *testing.T) {
	r := relaytest.Start(t, t.TempDir())
	origin := front(t, r)
	b := startBrowser(t)
	b.open(origin + "/stats.html")
	b.says("[data-plot=memory] figcaption", "max")
	const focused = `(() => { const e = document.activeElement; const s = getComputedStyle(e);
		if (s.outlineStyle === "none" && !e.classList.contains("skip")) return "unseen: " + e.outerHTML;
		return e.closest("figure") ? "plot " + e.closest("figure").dataset.plot : e.textContent.trim(); })()`
	var order []string
	for range 10 + len(plotNames) {
		b.press(kb.Tab)
		order = append(order, eval[string](b, focused))
	}
	want := "Skip to the content|cowrelay|Phonebook|Statistics|API|Manual|15 min|1 h|24 h|7 d|plot " + strings.Join(plotNames, "|plot ")
	if got := strings.Join(order, "|"); !strings.HasPrefix(got, want) {
		t.Errorf("Tab goes to %s\nwant %s", got, want)
	}
	eval[any](b, `document.querySelector("[data-range='7d']").focus(), 0`)
	b.press(kb.Enter)
	b.says("#past", "The last 7 days")
	b.until(`document.querySelector("[data-range='7d']").getAttribute("aria-pressed") === "true"`)
	b.press(kb.Tab)
	b.until(strings.Replace(`(F) === "plot posts"`, "F", focused, 1))
	said := regexp.MustCompile(`^[A-Z][a-z]{2} \d\d:\d\d, Posts stored a second: \d`) // with the weekday: seven days are there
	for end := time.Now().Add(30 * time.Second); !said.MatchString(b.text("#spoken")); time.Sleep(50 * time.Millisecond) {
		if b.press(kb.ArrowLeft); time.Now().After(end) {
			t.Fatalf("the arrow key reads %q", b.text("#spoken"))
		}
	}
	b.quiet(origin)
}

// The landing page's shell blocks do what they say on this very relay.
func TestReal_LandingPage(t *testing.T) {
	r := relaytest.Start(t, t.TempDir())
	b := startBrowser(t)
	b.open(r.URL + "/")
	b.says("#status-text", "Up and serving")
	b.until(`document.querySelector("[data-fact=version]").textContent.trim() !== ""`)
	if moved := eval[float64](b, shifted); moved > 0.02 {
		t.Errorf("what was drawn moved by %v", moved)
	}
	script := eval[string](b, `[...document.querySelectorAll("[data-shell]")].map((c) => c.textContent).join("\n")`)
	if strings.Contains(script, "relay.example") || !strings.Contains(script, r.URL) {
		t.Fatalf("the page does not give its own address:\n%s", script)
	}
	// What goes on until Ctrl-C gets it after a while.
	script = strings.Replace(script, "cowrelay tail -f", "timeout -s INT 2 cowrelay tail -f || true", 1)
	script = strings.Replace(script, "curl -sN", "curl -sN --max-time 2", 1) + " || true"
	cmd := exec.Command("bash", "-euc", script)
	cmd.Dir = t.TempDir()
	cmd.Env = append(relaytest.CleanEnv(), "PATH="+filepath.Dir(relaytest.Binary)+":"+os.Getenv("PATH"), "HOME="+cmd.Dir, "XDG_CONFIG_HOME="+cmd.Dir)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s\n%s", err, script, out)
	}
	for _, want := range []string{`"slot_token"`, `"status":"stored"`, `[{"event_id":"a","text":"hello"}]`, `[]`} {
		if !strings.Contains(string(out), want) {
			t.Errorf("%s is not in what the blocks print:\n%s", want, out)
		}
	}
	if n := strings.Count(string(out), `{"event_id":"a","text":"hello"}`); n < 3 { // cowrelay pull and tail, curl
		t.Errorf("the event is printed %d times:\n%s", n, out)
	}
	b.must(chromedp.Do(b.ctx, chromedp.Click(chromedp.CSS(".shell button"))))
	b.says(".shell button", "Copied")
	b.quiet(r.URL)
}

// The manual and the API fit a phone and a screen, can be read in both themes, ask
// nobody else for anything, and complain of nothing.
func TestReal_ManualAndAPI(t *testing.T) {
	r := relaytest.Start(t, t.TempDir())
	b := startBrowser(t)
	b.open(r.URL + "/manual")
	chapters := eval[[]string](b, `[...document.querySelectorAll("main a[href^='/manual/']")].map((a) => a.getAttribute("href"))`)
	if len(chapters) < 8 {
		t.Fatalf("the contents name %q", chapters)
	}
	for _, theme := range []string{"light", "dark"} {
		for _, path := range append([]string{"/manual", "/openapi.html"}, chapters...) {
			for _, width := range []int64{390, 1280} {
				b.screen(width, 844, width == 390, theme)
				b.open(r.URL + path)
				if path == "/openapi.html" {
					eval[any](b, `document.querySelectorAll("details").forEach((d) => { d.open = true; }), 0`)
				}
				if w := eval[int64](b, "document.documentElement.scrollWidth"); w > width {
					t.Errorf("%s is %d pixels wide on a screen of %d", path, w, width)
				}
				// What scrolls sideways by itself is seen to, and nothing else is cut off.
				if cut := eval[[]string](b, `[...document.querySelectorAll("main *")].filter((e) => e.scrollWidth > e.clientWidth + 1 && e.clientWidth > 0 && getComputedStyle(e).display !== "inline" && !e.closest(".wide, .shell, svg, .sr")).map((e) => e.tagName + " " + e.textContent.trim().slice(0, 40))`); len(cut) > 0 {
					t.Errorf("%s, %d wide: cut off: %q", path, width, cut)
				}
				// Tables may be pushed aside, but not those of names and what they are.
				if wide := eval[[]string](b, `[...document.querySelectorAll(".wide:has(tr:first-child > td:first-child > code)")].filter((e) => e.scrollWidth > e.clientWidth + 1).map((e) => e.textContent.trim().slice(0, 60))`); len(wide) > 0 {
					t.Errorf("%s, %d wide: tables that are wider: %q", path, width, wide)
				}
			}
			got := eval[struct {
				Texts int
				Bad   []string
			}](b, contrast)
			if got.Texts < 10 || len(got.Bad) > 0 {
				t.Errorf("%s, %s: of %d texts these are hard to read: %q", path, theme, got.Texts, got.Bad)
			}
		}
	}
	b.quiet(r.URL)
}
