package commands

import (
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"cowrelay/cmd/cowrelay/internal/relaytest"

	"github.com/creack/pty"
)

// pane is the binary in a terminal.
type pane struct {
	*testing.T
	tty  *os.File
	cmd  *exec.Cmd
	out  relaytest.Buffer
	done chan struct{}
}

// startTop runs top in a terminal of the size.
func startTop(t *testing.T, rows, columns uint16, args ...string) *pane {
	t.Helper()
	return startPane(t, rows, columns, append([]string{"top", "--every=200ms"}, args...)...)
}

func startPane(t *testing.T, rows, columns uint16, args ...string) *pane {
	t.Helper()
	return startPaneIn(t, rows, columns, "xterm-256color", args...)
}

// startPaneIn starts the binary in a terminal of a kind.
func startPaneIn(t *testing.T, rows, columns uint16, kind string, args ...string) *pane {
	t.Helper()
	p := &pane{T: t, done: make(chan struct{}), cmd: exec.Command(relaytest.Binary, args...)}
	p.cmd.Env = append(relaytest.CleanEnv(), "TERM="+kind)
	var err error
	if p.tty, err = pty.StartWithSize(p.cmd, &pty.Winsize{Rows: rows, Cols: columns}); err != nil {
		t.Fatalf("no terminal to be had: %v", err)
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
	for deadline := time.Now().Add(2 * time.Minute); !ok(strings.Join(p.picture(), "\n")); time.Sleep(5 * time.Millisecond) {
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
	case <-time.After(2 * time.Minute):
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
	r := relaytest.Start(t, dir)
	m := r.Allocate()
	for i := range 5 {
		r.Post(m, relaytest.Event("w", i, 300))
	}
	p := startTop(t, 24, 80, "--admin="+r.AdminURL)
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
	r.Stop()
	p.until("that the relay is away", func(text string) bool {
		return strings.Contains(text, "unreachable since ") && strings.Contains(text, m.ID)
	})
	relaytest.Start(t, dir, "--admin="+strings.TrimPrefix(r.AdminURL, "http://"))
	p.until("that it is back", func(text string) bool { return strings.Contains(text, "  up ") && strings.Contains(text, m.ID) })
	p.tty.WriteString("q")
	p.ends()
}

// On a narrow terminal all columns fit, ids are cut, and ? explains the screen.
func TestTop_Narrow(t *testing.T) {
	r := relaytest.Start(t, t.TempDir())
	m := r.Allocate()
	r.Post(m, relaytest.Event("w", 0, 300))
	p := startTop(t, 24, 60, "--admin="+r.AdminURL)
	p.until("its columns", func(text string) bool {
		return regexp.MustCompile(m.ID[:11]+`… +[0-9.]+ +1 +\d+ B +0 `).MatchString(text) && strings.Contains(text, "polls ended") && regexp.MustCompile(`disk +[0-9.]+ [KMGT]iB free`).MatchString(text)
	})
	for _, l := range p.picture() {
		if len([]rune(l)) > 60 {
			t.Errorf("a line is wider than the terminal: %q", l)
		}
	}
	p.tty.WriteString("?")
	p.until("help", shows("order of the slots"))
	p.tty.WriteString("?")
	p.until("the slots again", shows(m.ID[:11]))
	p.tty.WriteString("q")
	p.ends()
}

// A terminal that only prints gets one picture, without a sequence.
func TestTop_DumbTerminal(t *testing.T) {
	r := relaytest.Start(t, t.TempDir())
	m := r.Allocate()
	p := startPaneIn(t, 24, 100, "dumb", "top", "--every=200ms", "--admin="+r.AdminURL)
	p.exits()
	out := p.out.String()
	if code := p.cmd.ProcessState.ExitCode(); code != 0 || strings.Contains(out, "\x1b") || strings.Count(out, "LATENCY") != 1 || !strings.Contains(out, m.ID) {
		t.Errorf("exit %d:\n%q", code, out)
	}
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
	r := relaytest.Start(t, t.TempDir())
	m := r.Allocate()
	r.Post(m, relaytest.Event("w", 0, 300))
	m.MustSend(t, 201, "POST", r.URL+"/v1/invite/register", []byte(`{"invite_url":"wire://pair?a"}`))
	out, errs, code := relaytest.Command(t, nil, "top", "--every=100ms", "--by=events", "--admin="+r.AdminURL)
	if code != 0 || errs != "" || strings.Contains(out, "\x1b") {
		t.Errorf("exit %d, %q\n%q", code, errs, out)
	}
	relaytest.Contains(t, out, "requests", "streams", "▾EVENTS", m.ID, "0 handles", "1 invites", "0 pairs")
	for _, c := range []struct {
		args []string
		code int
		says string
	}{
		{[]string{"--admin=127.0.0.1:1"}, 1, "no relay answers at http://127.0.0.1:1"},
		{[]string{"--admin=" + r.URL}, 1, "no such path"},
		{[]string{"--every=1ms"}, 2, "--every"},
		{[]string{"--by=name"}, 2, "one of posts, bytes, events, streams"},
		{[]string{"now"}, 2, "now"},
	} {
		_, errs, code := relaytest.Command(t, nil, append([]string{"top"}, c.args...)...)
		if code != c.code {
			t.Errorf("%v: exit %d", c.args, code)
		}
		relaytest.Contains(t, errs, c.says)
	}
}
