package life

import (
	"bufio"
	"encoding/json"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"cowrelay/cmd/cowrelay/internal/command"
	"cowrelay/cmd/cowrelay/internal/relaytest"
	"cowrelay/cmd/cowrelay/internal/serve"
)

// startOn starts a relay whose log goes to w, which the relay alone then has.
func startOn(t *testing.T, w *os.File, dir string, args ...string) *relaytest.Relay {
	t.Helper()
	m := relaytest.StartManager(t)
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	admin := ln.Addr().String()
	ln.Close()
	r := relaytest.New(t, dir, append([]string{"--admin=" + admin}, args...)...)
	r.Cmd.Stderr = w
	if err := r.Cmd.Start(); err != nil {
		t.Fatal(err)
	}
	w.Close()
	go func() {
		r.Cmd.Wait()
		close(r.Exited)
	}()
	t.Cleanup(r.Kill)
	r.URL, r.AdminURL = m.Serving(), "http://"+admin
	return r
}

// A log that nobody reads, or that can't be written, costs lines alone: the
// relay serves, reloads, counts them, and hears the signal that ends it.
func TestBrokenLog_CostsLinesAlone(t *testing.T) {
	for name, open := range map[string]func(*testing.T) (w *os.File, reason string, opened func()){
		"closed pipe": func(t *testing.T) (*os.File, string, func()) {
			r, w, err := os.Pipe()
			if err != nil {
				t.Fatal(err)
			}
			return w, "error", func() { r.Close() }
		},
		"stalled pipe": func(t *testing.T) (*os.File, string, func()) {
			r, w, err := os.Pipe()
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { r.Close() })
			return w, "full", func() {}
		},
	} {
		t.Run(name, func(t *testing.T) {
			w, reason, opened := open(t)
			costsLinesAlone(t, w, reason, opened)
		})
	}
}

// costsLinesAlone starts a relay that logs to w, and calls opened. The relay has to
// drop lines for the reason, and to do all else.
func costsLinesAlone(t *testing.T, w *os.File, reason string, opened func()) {
	t.Helper()
	dir := t.TempDir()
	r := startOn(t, w, dir, "--access-log", "--sync=off")
	opened()
	s := r.Allocate()
	for i := range 10 {
		r.Post(s, relaytest.Event("a", i, 300))
	}
	requests := 50
	if reason == "full" {
		requests = 2*serve.LogLines + 500 // and what a pipe holds is less
	}
	useRelay(r, s, requests)
	if n := r.Metric(`cowrelay_log_lines_dropped_total{reason="` + reason + `"}`); n < 50 {
		t.Errorf("%v lines were dropped", n)
	}
	r.Signal(syscall.SIGTERM)
	if code := r.Wait(2 * time.Minute); code != 0 {
		t.Errorf("exit %d", code)
	}
	// What --sync=off never synced is there only if the store was closed.
	t.Setenv("NOTIFY_SOCKET", "")
	r = relaytest.Start(t, dir)
	if n := len(r.Pull(s, "")); n != 10 {
		t.Errorf("%d events after the restart", n)
	}
	r.Stop()
}

// A reader that comes back finds where lines are missing, and how many; the
// last words of the relay come out.
func TestBrokenLog_SaysWhatIsMissing(t *testing.T) {
	out, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	r := startOn(t, w, t.TempDir(), "--access-log", "--drain-delay=0s")
	s := r.Allocate()
	useRelay(r, s, 2*serve.LogLines)
	dropped := r.Metric(`cowrelay_log_lines_dropped_total{reason="full"}`)
	lines := bufio.NewScanner(out)
	missing, last, stopped := 0.0, "", false
	for lines.Scan() {
		var v struct {
			Msg   string
			Lines float64
		}
		if err := json.Unmarshal(lines.Bytes(), &v); err != nil {
			t.Fatalf("%v: %s", err, lines.Text())
		}
		if strings.HasPrefix(v.Msg, "lines of the log are missing") {
			missing += v.Lines
		}
		if last = v.Msg; missing > 0 && !stopped {
			stopped = true
			useRelay(r, s, 1000) // more than a pipe takes, less than the queue
			r.Signal(syscall.SIGTERM)
			time.Sleep(200 * time.Millisecond) // the relay is at its end, most likely
		}
	}
	if dropped == 0 || missing < dropped {
		t.Errorf("%v lines are said to be missing, %v were dropped", missing, dropped)
	}
	if last != "stopped" {
		t.Errorf("the last word is %q", last)
	}
	if code := r.Wait(2 * time.Minute); code != 0 {
		t.Errorf("exit %d", code)
	}
}

// What the relay ends with is not held up by a log that nobody reads, nor is a
// start that fails.
func TestBrokenLog_StartFails(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	cmd := exec.Command(relaytest.Binary, "serve", "--data-dir="+filepath.Join(t.TempDir(), "data"), "--bind="+ln.Addr().String(), "--admin=")
	cmd.Env = relaytest.CleanEnv()
	out, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	fillPipe(t, w)
	cmd.Stderr = w
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	w.Close()
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	select {
	case <-ended:
	case <-time.After(2 * time.Minute):
		cmd.Process.Kill()
		<-ended
		t.Fatal("it does not end")
	}
	if code := cmd.ProcessState.ExitCode(); code != command.Failed {
		t.Errorf("exit %d", code)
	}
}

// fillPipe writes until the pipe takes no more.
func fillPipe(t *testing.T, w *os.File) {
	t.Helper()
	raw, err := w.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	raw.Control(func(fd uintptr) {
		syscall.SetNonblock(int(fd), true)
		for _, n := range []int{4096, 1} {
			for {
				if _, err := syscall.Write(int(fd), make([]byte, n)); err != nil {
					break
				}
			}
		}
		syscall.SetNonblock(int(fd), false)
	})
}

// useRelay has the relay log: requests, a reload and an act of an operator.
func useRelay(r *relaytest.Relay, s relaytest.Slot, requests int) {
	r.T.Helper()
	for i := range requests {
		if i == requests/2 {
			r.Signal(syscall.SIGHUP)
			if _, errs, code := relaytest.Command(r.T.(*testing.T), nil, "admin", "--admin="+r.AdminURL, "log-level", "debug"); code != 0 {
				r.T.Fatalf("exit %d: %s", code, errs)
			}
		}
		s.MustSend(r.T.(*testing.T), http.StatusOK, "GET", r.EventsURL(s), nil)
	}
}
