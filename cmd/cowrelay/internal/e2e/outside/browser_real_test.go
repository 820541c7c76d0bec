//go:build real

package outside

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	cdplog "github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
)

// browser is a headless Chromium with one tab. It notes what the tab asks for
// and what it complains of.
type browser struct {
	testing.TB
	ctx context.Context

	mu         sync.Mutex
	requests   []string // URLs
	complaints []string // exceptions, console errors, refused by the policy
}

func startBrowser(t testing.TB) *browser {
	t.Helper()
	path, err := exec.LookPath("chromium")
	if err != nil {
		t.Fatalf("%v: make test-real installs it", err)
	}
	dir, err := os.MkdirTemp("", "cowrelay-browser")
	if err != nil {
		t.Fatal(err)
	}
	allocator, stop := chromedp.NewExecAllocator(t.Context(), append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.ExecPath(path), chromedp.NoSandbox, chromedp.DisableGPU, chromedp.UserDataDir(dir),
		chromedp.Flag("disable-quic", true), chromedp.Flag("disable-component-update", true))...)
	ctx, closeTab := chromedp.NewContext(allocator)
	b := &browser{TB: t, ctx: ctx}
	t.Cleanup(func() {
		closeTab()
		stop()
		for range 100 { // its children write for a moment longer
			if os.RemoveAll(dir) == nil {
				return
			}
			time.Sleep(50 * time.Millisecond)
		}
	})
	b.must(chromedp.Listen(ctx, b.note))
	_, err = chromedp.Call(ctx, network.Enable, network.EnableParams{})
	b.must(err)
	_, err = chromedp.Call(ctx, cdplog.Enable, cdp.Empty{})
	b.must(err)
	return b
}

func (b *browser) must(err error) {
	b.Helper()
	if err != nil {
		b.Fatal(err)
	}
}

func (b *browser) note(event any) {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch e := event.(type) {
	case *network.EventRequestWillBeSent:
		b.requests = append(b.requests, e.Request.URL)
	case *runtime.EventExceptionThrown:
		b.complaints = append(b.complaints, "exception: "+e.ExceptionDetails.Text)
	case *runtime.EventConsoleAPICalled:
		for _, a := range e.Args {
			b.complaints = append(b.complaints, fmt.Sprintf("console.%s: %s %s", e.Type, a.Value, a.Description))
		}
	case *cdplog.EventEntryAdded:
		b.complaints = append(b.complaints, fmt.Sprintf("%s: %s", e.Entry.Level, e.Entry.Text))
	}
}

// took returns what was asked for and complained of since the last call.
func (b *browser) took() (requests, complaints []string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	requests, complaints = b.requests, b.complaints
	b.requests, b.complaints = nil, nil
	return requests, complaints
}

// screen sets size and theme.
func (b *browser) screen(width, height int64, phone bool, theme string) {
	b.Helper()
	_, err := chromedp.Call(b.ctx, emulation.SetDeviceMetricsOverride,
		emulation.SetDeviceMetricsOverrideParams{Width: width, Height: height, DeviceScaleFactor: 1, Mobile: phone})
	b.must(err)
	_, err = chromedp.Call(b.ctx, emulation.SetEmulatedMedia,
		emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: theme}}})
	b.must(err)
}

// open loads the page anew, also if only what stands behind # differs.
func (b *browser) open(url string) {
	b.Helper()
	b.must(chromedp.Do(b.ctx, chromedp.Navigate("about:blank"), chromedp.Navigate(url)))
}

// eval returns the value of an expression, which may be a promise.
func eval[T any](b *browser, expression string) T {
	b.Helper()
	v, err := chromedp.Run(b.ctx, chromedp.Evaluate[T](expression, chromedp.EvalAwaitPromise))
	if err != nil {
		b.Fatalf("%v in %.200s", err, expression)
	}
	return v
}

// text returns what the first element that the selector finds says.
func (b *browser) text(selector string) string {
	b.Helper()
	return eval[string](b, fmt.Sprintf(`document.querySelector(%q)?.textContent.trim() ?? "(no such element)"`, selector))
}

// until waits for an expression to be true.
func (b *browser) until(expression string) {
	b.Helper()
	for end := time.Now().Add(30 * time.Second); !eval[bool](b, expression); time.Sleep(50 * time.Millisecond) {
		if time.Now().After(end) {
			b.Fatalf("not within 30 s: %s\n%s", expression, eval[string](b, "document.body.innerText"))
		}
	}
}

// says waits for an element to hold the text.
func (b *browser) says(selector, text string) {
	b.Helper()
	b.until(fmt.Sprintf(`(document.querySelector(%q)?.textContent ?? "").includes(%q)`, selector, text))
}

func (b *browser) press(keys string) {
	b.Helper()
	b.must(chromedp.Do(b.ctx, chromedp.KeyEvent(keys)))
}

// quiet checks that since the last look all requests went to the origin and
// nothing was complained of.
func (b *browser) quiet(origin string) {
	b.Helper()
	requests, complaints := b.took()
	if len(requests) == 0 {
		b.Error("no request was noted")
	}
	for _, url := range requests {
		if url != "about:blank" && !strings.HasPrefix(url, origin+"/") {
			b.Errorf("a page asked for %s", url)
		}
	}
	for _, c := range complaints {
		if strings.Contains(c, "getImageData") { // the tests read plots
			continue
		}
		b.Errorf("the browser complains: %s", c)
	}
}
