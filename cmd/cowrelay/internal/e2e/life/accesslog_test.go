package life

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"cowrelay/cmd/cowrelay/internal/relaytest"
)

// awaitText returns when the file has the text so often.
func awaitText(t *testing.T, path, text string, times int) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(5 * time.Millisecond) {
		data, err := os.ReadFile(path)
		if n := strings.Count(string(data), text); err == nil && n == times {
			return
		} else if time.Now().After(deadline) {
			t.Fatalf("%s: %d lines of %d, %v", path, n, times, err)
		}
	}
}

// Requests are logged to a file of their own, of which another program makes a new one;
// a sample of them is what it says. A folder that is gone ends nothing.
func TestAccessLog_File(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "logs")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, "access.log")
	r := relaytest.Start(t, t.TempDir(), "--access-log", "--access-log-file="+file, "--access-log-sample=10")
	s := r.Allocate()
	post := func(n int) {
		t.Helper()
		for range n {
			s.MustSend(t, 200, "GET", r.EventsURL(s), nil)
		}
	}
	post(99)
	const line = `"msg":"request"`
	awaitText(t, file, line, 10)
	if strings.Contains(r.Log.String(), line) {
		t.Error("the log has requests, too")
	}
	if err := os.Rename(file, file+".1"); err != nil {
		t.Fatal(err)
	}
	post(10)
	awaitText(t, file+".1", line, 11)
	r.Reload("configuration reloaded")
	post(20)
	awaitText(t, file, line, 2)
	if err := os.Rename(dir, dir+".gone"); err != nil {
		t.Fatal(err)
	}
	r.Signal(syscall.SIGHUP)
	r.AwaitLog("the access log goes on in the file that it had")
	post(10)
	awaitText(t, filepath.Join(dir+".gone", "access.log"), line, 3)
	r.Stop()
	_, errs, code := relaytest.Command(t, nil, "serve", "--bind=127.0.0.1:0", "--admin=", "--data-dir="+t.TempDir(), "--access-log", "--access-log-file="+file)
	if code == 0 {
		t.Error("it starts without its file")
	}
	relaytest.Contains(t, errs, "--access-log-file: cannot open")
}
