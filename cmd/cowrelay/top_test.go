package main

import (
	"errors"
	"math"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/creack/pty"
)

// pane is the binary in a terminal.
type pane struct {
	*testing.T
	tty  *os.File
	cmd  *exec.Cmd
	out  lockedBuffer
	done chan struct{}
}

// startTop runs top in a terminal of the size.
func startTop(t *testing.T, rows, columns uint16, args ...string) *pane {
	t.Helper()
	return startPane(t, rows, columns, append([]string{"top", "--every=200ms"}, args...)...)
}

func startPane(t *testing.T, rows, columns uint16, args ...string) *pane {
	t.Helper()
	p := &pane{T: t, done: make(chan struct{}), cmd: exec.Command(binary, args...)}
	p.cmd.Env = append(cleanEnv(), "TERM=xterm-256color")
	var err error
	if p.tty, err = pty.StartWithSize(p.cmd, &pty.Winsize{Rows: rows, Cols: columns}); err != nil {
		t.Skipf("no terminal to be had: %v", err)
	}
	go func() {
		defer close(p.done)
		buf := make([]byte, 32<<10)
		for {
			n, err := p.tty.Read(buf)
			p.out.Write(buf[:n])
			if err != nil {
				return
			}
		}
	}()
	t.Cleanup(func() {
		p.cmd.Process.Kill()
		p.cmd.Wait()
		p.tty.Close()
		<-p.done
	})
	return p
}

var escape = regexp.MustCompile(`\x1b\[[?0-9;]*[a-zA-Z]`)

// picture returns the lines of the last whole picture.
func (p *pane) picture() []string {
	all := p.out.String()
	end := strings.LastIndex(all, "\x1b[?2026l")
	begin := strings.LastIndex(all[:max(end, 0)], "\x1b[?2026h")
	if begin < 0 {
		return nil
	}
	return strings.Split(escape.ReplaceAllString(all[begin:end], ""), "\r\n")
}

// until waits for a picture.
func (p *pane) until(what string, ok func(text string) bool) {
	p.Helper()
	for deadline := time.Now().Add(30 * time.Second); !ok(strings.Join(p.picture(), "\n")); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			p.Fatalf("top does not show %s:\n%s", what, strings.Join(p.picture(), "\n"))
		}
	}
}

// exits waits for the end of the process, and for all that it wrote.
func (p *pane) exits() {
	p.Helper()
	ended := make(chan struct{})
	go func() {
		p.cmd.Wait()
		<-p.done
		close(ended)
	}()
	select {
	case <-ended:
	case <-time.After(30 * time.Second):
		p.Fatalf("it does not end: %q", p.out.String())
	}
}

// ends waits for the end of top, which must leave the terminal as it was.
func (p *pane) ends() {
	p.Helper()
	p.exits()
	out := p.out.String()
	if code := p.cmd.ProcessState.ExitCode(); code != 0 || !strings.HasSuffix(out, "\x1b[?7h\x1b[?25h\x1b[?1049l") {
		p.Errorf("top ends with status %d and leaves the terminal with %q", code, out[max(len(out)-60, 0):])
	}
}

func shows(part string) func(string) bool {
	return func(text string) bool { return strings.Contains(text, part) }
}

// top shows a relay, its restart, the size of its terminal, and goes at q.
func TestTop_InATerminal(t *testing.T) {
	dir := t.TempDir()
	r := startRelay(t, dir)
	m := r.allocate()
	for i := range 5 {
		r.post(m, testEvent("w", i, 300))
	}
	p := startTop(t, 24, 80, "--admin="+r.admin)
	p.until("a slot with its events", func(text string) bool {
		return regexp.MustCompile(m.ID+` +[0-9.]+ +5 `).MatchString(text) && strings.Contains(text, "LATENCY") && strings.Contains(text, "disk sync")
	})
	if lines := p.picture(); len(lines) != 24 || slices.ContainsFunc(lines, func(l string) bool { return len([]rune(l)) > 80 }) {
		t.Errorf("%d lines:\n%s", len(lines), strings.Join(lines, "\n"))
	}
	if err := pty.Setsize(p.tty, &pty.Winsize{Rows: 40, Cols: 120}); err != nil {
		t.Fatal(err)
	}
	p.until("40 lines", func(string) bool { return len(p.picture()) == 40 })
	p.tty.WriteString("b")
	p.until("the order of bytes", shows("▾BYTES"))
	r.stop()
	p.until("that the relay is away", func(text string) bool {
		return strings.Contains(text, "unreachable since ") && strings.Contains(text, m.ID)
	})
	startRelay(t, dir, "--admin="+strings.TrimPrefix(r.admin, "http://"))
	p.until("that it is back", func(text string) bool { return strings.Contains(text, "  up ") && strings.Contains(text, m.ID) })
	p.tty.WriteString("q")
	p.ends()
}

// Ctrl-C as a key, and as a signal from elsewhere, end it well.
func TestTop_CtrlC(t *testing.T) {
	for what, interrupt := range map[string]func(*pane){
		"the key":  func(p *pane) { p.tty.WriteString("\x03") },
		"a signal": func(p *pane) { p.cmd.Process.Signal(syscall.SIGINT) },
		"SIGTERM":  func(p *pane) { p.cmd.Process.Signal(syscall.SIGTERM) },
	} {
		t.Run(what, func(t *testing.T) {
			p := startTop(t, 24, 80, "--admin=127.0.0.1:1")
			p.until("that nothing is there", shows("unreachable since"))
			interrupt(p)
			p.ends()
		})
	}
}

// In a pipe it prints one picture without a terminal's sequences.
func TestTop_InAPipe(t *testing.T) {
	r := startRelay(t, t.TempDir())
	m := r.allocate()
	r.post(m, testEvent("w", 0, 300))
	out, errs, code := command(t, nil, "top", "--every=100ms", "--by=events", "--admin="+r.admin)
	if code != 0 || errs != "" || strings.Contains(out, "\x1b") {
		t.Errorf("exit %d, %q\n%q", code, errs, out)
	}
	contains(t, out, "requests", "streams", "▾EVENTS", m.ID)
	for _, c := range []struct {
		args []string
		code int
		says string
	}{
		{[]string{"--admin=127.0.0.1:1"}, 1, "no relay answers at http://127.0.0.1:1"},
		{[]string{"--admin=" + r.url}, 1, "no such path"},
		{[]string{"--every=1ms"}, 2, "--every"},
		{[]string{"--by=name"}, 2, "one of posts, bytes, events, streams"},
		{[]string{"now"}, 2, "now"},
	} {
		_, errs, code := command(t, nil, append([]string{"top"}, c.args...)...)
		if code != c.code {
			t.Errorf("%v: exit %d", c.args, code)
		}
		contains(t, errs, c.says)
	}
}

// Whatever the size of the screen, the picture fits on it.
func TestTop_FitsEveryScreen(t *testing.T) {
	now := time.Now()
	v := topView{url: "http://127.0.0.1:9770", every: time.Second, by: "posts", past: map[string]history{}}
	pulled := now.Unix() - 100
	r := &reading{at: now}
	for i := range 50 {
		r.slots = append(r.slots, slotRow{ID: strings.Repeat("a", 32), Events: uint64(i), Bytes: 1 << 40, PulledAt: &pulled, Blocked: i == 1})
	}
	check := func(what string) {
		for width := 1; width < 150; width += 7 {
			for height := 1; height < 60; height++ {
				if n := len(v.lines(width, height, now)); n > height && height > 1 || n > 2 && height == 1 {
					t.Fatalf("%s: %d lines on a screen of %d rows", what, n, height)
				}
			}
		}
	}
	check("nothing yet")
	v.lose(errors.New("connect: refused"), now)
	check("nothing and down")
	v.take(r)
	later := *r
	later.at = now.Add(time.Second)
	v.take(&later)
	check("two readings")
	v.lose(errUnreachable, now)
	check("down")
	var b strings.Builder
	line{{bold, "straße"}, {plain, "xyz"}}.render(&b, 7, true)
	if b.String() != "\x1b[1mstraße\x1b[mx" {
		t.Errorf("%q", b.String())
	}
}

func TestTop_Quantiles(t *testing.T) {
	b := buckets{bounds: []float64{1, 2, 4, math.Inf(1)}, counts: []float64{10, 30, 40, 50}, n: 50}
	for q, want := range map[float64]float64{0: 0, .1: .5, .2: 1, .4: 1.5, .6: 2, .7: 3, .8: 4, .99: 4} {
		if got := b.quantile(q); math.Abs(got-want) > 1e-9 {
			t.Errorf("quantile %v: %v, want %v", q, got, want)
		}
	}
	if v := (buckets{}).quantile(.5); !math.IsNaN(v) {
		t.Errorf("of nothing: %v", v)
	}
	if d := b.minus(b); !math.IsNaN(d.quantile(.5)) {
		t.Errorf("of no change: %v", d.quantile(.5))
	}
	if s := spark(history{0, 1, 100, 50}, 6); s != "   ▁█▄" {
		t.Errorf("spark %q", s)
	}
}

func TestHuman(t *testing.T) {
	for got, want := range map[string]string{
		count(0): "0", count(999): "999", count(1234567.4): "1,234,567", count(-1234): "-1,234",
		bytesText(0): "0 B", bytesText(999): "999 B", bytesText(1024): "1.00 KiB", bytesText(15 << 20): "15.0 MiB", bytesText(1 << 50): "1,024 TiB",
		rateText(0): "0", rateText(.001): "<0.01", rateText(3.14159): "3.14", rateText(9.999): "10", rateText(12345.6): "12,346",
		took(math.NaN()): "-", took(0.000123): "123 µs", took(.0123): "12.3 ms", took(1.5): "1.50 s",
		age(59 * time.Second): "59s", age(61 * time.Second): "1m1s", age(25 * time.Hour): "1d1h", age(-time.Second): "0s", age(3700 * time.Second): "1h1m",
		printable("a\x1b[2Jb\tc\u202e"): "a\uFFFD[2Jb\uFFFDc\uFFFD",
	} {
		if got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}
