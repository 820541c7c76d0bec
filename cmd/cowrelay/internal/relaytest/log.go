package relaytest

import (
	"bufio"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"time"
)

// Logged returns the first log line with the message, or nil.
func (r *Relay) Logged(message string) map[string]any {
	for line := range strings.Lines(r.Log.String()) {
		var v map[string]any
		if json.Unmarshal([]byte(line), &v) == nil && v["msg"] == message {
			return v
		}
	}
	return nil
}

// Reload has the relay read its configuration again, and returns when the log says
// the message once more.
func (r *Relay) Reload(says string) {
	r.T.Helper()
	before := strings.Count(r.Log.String(), says)
	if err := r.Cmd.Process.Signal(syscall.SIGHUP); err != nil {
		r.T.Fatal(err)
	}
	for deadline := time.Now().Add(time.Minute); strings.Count(r.Log.String(), says) == before; time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			r.T.Fatalf("the relay does not say %q:\n%s", says, r.Log.String())
		}
	}
}

// AwaitLog waits until the log has a message, and returns its line.
func (r *Relay) AwaitLog(message string) map[string]any {
	r.T.Helper()
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(5 * time.Millisecond) {
		if line := r.Logged(message); line != nil {
			return line
		}
		if time.Now().After(deadline) {
			r.T.Fatalf("the relay does not say %q:\n%s", message, r.Log.String())
		}
	}
}

// Metric returns the value of one series, as the operators' listener has it.
func (r *Relay) Metric(series string) (value float64) {
	r.T.Helper()
	res, err := http.Get(r.AdminURL + "/metrics")
	if err != nil {
		r.T.Fatal(err)
	}
	defer res.Body.Close()
	lines := bufio.NewScanner(res.Body)
	for lines.Scan() {
		if text, ok := strings.CutPrefix(lines.Text(), series+" "); ok {
			fmt.Sscan(text, &value)
			return value
		}
	}
	r.T.Fatalf("no %s", series)
	return 0
}

// Admin runs an admin command against a relay and fails unless it ends well.
func (r *Relay) Admin(t *testing.T, args ...string) string {
	t.Helper()
	out, errs, code := Command(t, []string{"COWRELAY_ADMIN_URL=" + r.AdminURL}, append([]string{"admin"}, args...)...)
	if code != 0 || errs != "" {
		t.Fatalf("admin %v: exit %d\n%s", args, code, errs)
	}
	return out
}
