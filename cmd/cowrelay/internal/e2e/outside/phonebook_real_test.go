//go:build real

package outside

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"cowrelay/cmd/cowrelay/internal/relaytest"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
)

// canonical is v as agents print what they sign: keys in order, no blanks, and no
// escape but those that must be.
func canonical(t *testing.T, v any) []byte {
	t.Helper()
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		t.Fatal(err)
	}
	raw := bytes.ReplaceAll(bytes.TrimSpace(b.Bytes()), []byte(`\u2028`), []byte("\u2028"))
	return bytes.ReplaceAll(raw, []byte(`\u2029`), []byte("\u2029"))
}

// claimNick has an agent claim its nick, with a signed card of the profile.
func claimNick(t *testing.T, r *relaytest.Relay, s relaytest.Slot, nick string, profile any) {
	t.Helper()
	seed := sha256.Sum256([]byte(nick))
	key := ed25519.NewKeyFromSeed(seed[:])
	public := key.Public().(ed25519.PublicKey)
	sum := sha256.Sum256(public)
	card := map[string]any{
		"did":         "did:wire:" + nick + "-" + hex.EncodeToString(sum[:4]),
		"profile":     profile,
		"verify_keys": map[string]any{"ed25519:k": map[string]any{"key": base64.StdEncoding.EncodeToString(public)}},
	}
	card["signature"] = base64.StdEncoding.EncodeToString(ed25519.Sign(key, canonical(t, card)))
	body := canonical(t, map[string]any{"nick": nick, "slot_id": s.ID, "card": card})
	s.MustSend(t, http.StatusCreated, "POST", r.URL+"/v1/handle/claim", body)
}

// crowd fills the directory: 150 agents, of which the last one's nick sorts behind
// all others.
func crowd(t *testing.T, r *relaytest.Relay) {
	t.Helper()
	s := r.Allocate()
	for i := range 149 {
		claimNick(t, r, s, fmt.Sprintf("agent-%03d", i), map[string]any{
			"motto": fmt.Sprintf("answers mail in room %d", i), "vibe": []string{"calm", []string{"quick", "thorough"}[i%2]}})
	}
	claimNick(t, r, s, "zelda", map[string]any{
		"emoji": "🦉", "motto": "Reads what nobody reads.", "now": "reading", "pronouns": "she/her", "vibe": []string{"Quiet"}})
}

const nicks = `[...document.querySelectorAll("#book h2 a")].map((a) => a.textContent).join()`

// listed waits for the list to have so many agents.
func (b *browser) listed(n int) {
	b.Helper()
	b.until(fmt.Sprintf(`document.querySelectorAll("#book > li").length === %d`, n))
}

// reads waits for an element to have this text.
func (b *browser) reads(selector, text string) {
	b.Helper()
	b.until(fmt.Sprintf(`document.querySelector(%q).textContent === %q`, selector, text))
}

// enter types over what stands in the field.
func (b *browser) enter(selector, text string) {
	b.Helper()
	eval[any](b, fmt.Sprintf(`document.querySelector(%q).focus(), document.querySelector(%q).select(), 0`, selector, selector))
	b.press(kb.Backspace + text)
}

func TestReal_PhonebookFindsAgents(t *testing.T) {
	dir := t.TempDir()
	r := relaytest.Start(t, dir)
	b := startBrowser(t)
	b.screen(1280, 900, false, "light")
	b.open(r.URL + "/phonebook")
	b.says("#notice", "Nobody is listed yet.")
	crowd(t, r)
	relaytest.Slot{}.MustSend(t, 201, "POST", r.URL+"/v1/pair", []byte(`{"code_hash":"c","msg":"m","role":"host"}`))

	// A page, then the next.
	b.open(r.URL + "/phonebook.html")
	b.listed(100)
	b.says("#notice", "100 agents loaded so far")
	b.reads("#about", "150 claimed")
	if moved := eval[float64](b, shifted); moved > 0.02 {
		t.Errorf("what was drawn moved by %v", moved)
	}
	// A nick that is not loaded is found by how it begins.
	b.enter("#search", "zel")
	b.listed(1)
	if got := b.text("#book li"); !strings.HasPrefix(got, "🦉zelda she/her") || !strings.Contains(got, "Reads what nobody reads.Now: readingQuiet") {
		t.Errorf("the agent reads %q", got)
	}
	if got := eval[string](b, "location.hash"); got != "#q=zel" {
		t.Errorf("the address ends in %q", got)
	}
	// What is loaded is found by its motto too.
	b.enter("#search", "ROOM 42")
	b.listed(1)
	b.says("#book h2", "agent-042")
	b.enter("#search", "no such agent")
	b.listed(0)
	b.says("#notice", "0 of 101 agents loaded so far")
	b.enter("#search", "")
	b.listed(101)
	b.must(chromedp.Do(b.ctx, chromedp.Click(chromedp.CSS("#more"))))
	b.listed(150)
	if got := eval[string](b, nicks); !strings.HasPrefix(got, "agent-000,agent-001,") || !strings.HasSuffix(got, ",agent-148,zelda") {
		t.Errorf("listed are %s", got)
	}
	b.until(`document.querySelector("#more").hidden`)
	b.says("#notice", "150 agents")

	// A vibe filters the whole directory: by a click, by hand, by a link.
	// Cards far away are laid out when they come near, so scroll first, as people do.
	b.until(`(document.querySelector("#book li:last-child .vibe").scrollIntoView({ block: "center" }), true)`)
	b.until(`(() => { const r = document.querySelector("#book li:last-child .vibe").getBoundingClientRect();
		return r.height > 20 && document.elementFromPoint(r.x + r.width / 2, r.y + r.height / 2)?.closest(".vibe") !== null; })()`)
	b.must(chromedp.Do(b.ctx, chromedp.Click(chromedp.CSS("#book li:last-child .vibe"))))
	b.listed(1)
	b.says("#book h2", "zelda")
	b.enter("#vibe", "THOROUGH")
	b.listed(74)
	b.enter("#vibe", "nobody's")
	b.says("#notice", "Nobody has this vibe.")
	b.open(r.URL + "/phonebook#vibe=quick&q=room+7")
	b.says("#notice", "5 of 75 agents")
	if got := eval[string](b, `document.querySelector("#vibe").value + "/" + document.querySelector("#search").value`); got != "quick/room 7" {
		t.Errorf("the link fills in %q", got)
	}
	b.quiet(r.URL)

	// The other pages lead here, and count.
	for _, path := range []string{"/", "/stats.html"} {
		b.open(r.URL + path)
		b.until(`[...document.querySelectorAll("nav a")].some((a) => a.pathname === "/phonebook.html")`)
		b.reads("[data-fact=handles], [data-live=handles]", "150")
	}
	b.reads("[data-live=claims]", "150")
	b.reads("[data-live=pairs]", "1")
	b.quiet(r.URL)

	// Without the relay the page says so, and a click tries again.
	b.open(r.URL + "/phonebook")
	b.listed(100)
	r.Kill()
	b.must(chromedp.Do(b.ctx, chromedp.Click(chromedp.CSS("#more"))))
	b.says("#notice", "can't be read now")
	relaytest.Start(t, dir, "--bind="+strings.TrimPrefix(r.URL, "http://"))
	b.must(chromedp.Do(b.ctx, chromedp.Click(chromedp.CSS("#more"))))
	b.listed(150)
}

// All can be done by keyboard, and one sees where one is.
func TestReal_PhonebookByKeyboard(t *testing.T) {
	r := relaytest.Start(t, t.TempDir())
	crowd(t, r)
	b := startBrowser(t)
	b.open(r.URL + "/phonebook#q=zel")
	b.listed(1)
	const focused = `(() => { const e = document.activeElement; const s = getComputedStyle(e);
		if (s.outlineStyle === "none" && !e.classList.contains("skip")) return "unseen: " + e.outerHTML;
		return e.id || e.textContent.trim(); })()`
	var order []string
	for range 11 {
		b.press(kb.Tab)
		order = append(order, eval[string](b, focused))
	}
	if got, want := strings.Join(order, "|"), "Skip to the content|cowrelay|Phonebook|Statistics|API|Manual|search|vibe|zelda|Quiet|more"; got != want {
		t.Errorf("Tab goes to %s\nwant %s", got, want)
	}
	// Enter on a vibe filters, and the field has the focus; Enter on the button
	// loads, and keeps it.
	eval[any](b, `document.querySelector(".vibe").focus(), 0`)
	b.press(kb.Enter)
	b.until(`document.activeElement.id === "vibe" && document.activeElement.value === "Quiet"`)
	b.listed(1)
	b.open(r.URL + "/phonebook")
	b.listed(100)
	eval[any](b, `document.querySelector("#more").focus(), 0`)
	b.press(kb.Enter)
	b.listed(150)
	// The button is gone: reading goes on at the first agent that came.
	b.until(`document.activeElement.textContent === "agent-100"`)
	b.quiet(r.URL)
}

// hostile are profiles made to break the page or to do something.
func hostile() map[string]any {
	script := `</bdi></li><script>window.pwned=1</script><img src=x onerror="window.pwned=1"><svg onload=window.pwned=1>`
	rlo := "\u202e\u2067\u200f"
	all := func(text string) map[string]any { // seven times, in a card of 64 KiB
		text = strings.ToValidUTF8(text[:min(len(text), 8_000)], "")
		return map[string]any{"emoji": text, "motto": text, "now": text, "pronouns": text, "vibe": []string{text, text + "2", text + "3"}}
	}
	var control strings.Builder
	for c := range rune(0xa0) {
		control.WriteRune(c)
	}
	return map[string]any{
		"aa-script":                     all(script),
		"ab-bidi":                       all(rlo + "gnp.exe" + rlo + " backwards" + strings.Repeat(rlo, 200)),
		"ac-emoji":                      map[string]any{"emoji": strings.Repeat("🐄", 7_500), "motto": strings.Repeat("👨‍👩‍👧‍👦", 1_300)},
		"ad-family":                     all(strings.Repeat("👩\u200d", 9_000)),
		"ae-control":                    all(control.String()),
		"af-lines":                      all(strings.Repeat("a\nb\u2028c\u2029d\u0085", 400)),
		"ag-word":                       all(strings.Repeat("W", 9_000)),
		"ah-zalgo":                      all(strings.Repeat("Z"+strings.Repeat("\u0310\u0489\u0336", 60), 40)),
		"ai-wide":                       all(strings.Repeat("\ufdfd\U0001242b\u2e3b", 300)),
		"aj-blank":                      all("\u3164\u2800\u200b\ufeff\u00ad\u180e"),
		"ak-types":                      map[string]any{"emoji": 7, "motto": []any{"x"}, "now": map[string]any{"toString": "x"}, "pronouns": true, "vibe": []any{1, nil, []any{"x"}, map[string]any{}, "real"}},
		"al-proto":                      map[string]any{"__proto__": map[string]any{"motto": "x"}, "constructor": "x", "vibe": map[string]any{"length": 1e9}},
		"am-none":                       []any{"no", "object"},
		"an-vibes":                      map[string]any{"motto": "many vibes", "vibe": strings.Split(strings.Repeat("vibe ", 8_000), " ")},
		"ao-url":                        all("javascript:window.pwned=1//data:text/html,<script>window.pwned=1</script>"),
		"zz-" + strings.Repeat("w", 29): map[string]any{"motto": "the longest nick", "pronouns": strings.Repeat("w", 500)},
	}
}

func TestReal_PhonebookOfHostileProfiles(t *testing.T) {
	r := relaytest.Start(t, t.TempDir())
	s := r.Allocate()
	claimNick(t, r, s, "quiet", map[string]any{"emoji": "🦉", "motto": "an agent like others", "vibe": []string{"calm"}})
	profiles := hostile()
	for nick, p := range profiles {
		claimNick(t, r, s, nick, p)
	}
	b := startBrowser(t)
	for _, theme := range []string{"light", "dark"} {
		for _, width := range []int{360, 1280} {
			b.screen(int64(width), 800, width < 500, theme)
			b.open(r.URL + "/phonebook")
			b.listed(len(profiles) + 1)
			b.says("#status-text", "Up and serving")
			if w := eval[int](b, "document.documentElement.scrollWidth"); w > width {
				t.Errorf("the page is %d pixels wide on a screen of %d", w, width)
			}
			// No agent takes more than its place, and nothing is drawn outside of it.
			for _, bad := range eval[[]string](b, `[...document.querySelectorAll("#book > li")].flatMap((li) => {
				const r = li.getBoundingClientRect(), s = getComputedStyle(li), bad = [];
				if (r.height > 340 || s.contain !== "content" || s.overflow !== "hidden") bad.push(li.textContent.slice(0, 40) + " is " + r.height + " high, " + s.contain);
				for (const e of li.querySelectorAll("*")) {
					const q = e.getBoundingClientRect();
					if (!e.closest(".motto, .doing, .vibes, .face, .did") && (q.right > r.right + 1 || q.left < r.left - 1)) bad.push(e.outerHTML.slice(0, 80) + " sticks out");
				}
				return bad;
			})`) {
				t.Errorf("%d, %s: %s", width, theme, bad)
			}
			got := eval[struct {
				Texts int
				Bad   []string
			}](b, contrast)
			if got.Texts < 60 || len(got.Bad) > 0 {
				t.Errorf("%d, %s: of %d texts these are hard to read: %q", width, theme, got.Texts, got.Bad)
			}
		}
	}
	if pwned := eval[bool](b, `"pwned" in window || document.querySelector("#book :is(script, img, svg, iframe)") !== null`); pwned {
		t.Error("markup of a profile became part of the page")
	}
	if text := eval[string](b, `(document.querySelector("#book").textContent.match(/[\p{Cc}\p{Cs}]|(?![\u200c\u200d])\p{Cf}/gu) ?? []).map((c) => c.codePointAt(0).toString(16)).join()`); text != "" {
		t.Errorf("the list holds the characters %s", text)
	}
	if n := eval[int](b, `Math.max(...[...document.querySelectorAll("#book > li")].map((li) => li.textContent.length))`); n > 1500 {
		t.Errorf("an agent takes %d characters", n)
	}
	if got := b.text("#book li"); !strings.Contains(got, "<script>window.pwned=1</script>") {
		t.Errorf("the markup is not shown as text: %q", got)
	}
	// A vibe that is markup filters like any other.
	b.enter("#vibe", "real")
	b.listed(1)
	b.says("#book h2", "ak-types")
	for _, link := range []string{"#q=%3Cimg+src%3Dx+onerror%3Dwindow.pwned%3D1%3E", "#vibe=" + strings.Repeat("%E2%80%AE", 500), "#q=%", "#=&&q=(["} {
		b.open(r.URL + "/phonebook" + link)
		b.until(`/^\d|^Nobody/.test(document.querySelector("#notice").textContent)`)
		b.until(`!("pwned" in window)`)
	}
	b.quiet(r.URL)
}
