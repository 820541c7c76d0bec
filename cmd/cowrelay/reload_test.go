package main

import (
	"net/http"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"
)

// hup tells the relay to read its configuration again, and returns when it has
// said so once more.
func (r *relay) hup(says string) {
	r.t.Helper()
	before := strings.Count(r.log.String(), says)
	if err := r.cmd.Process.Signal(syscall.SIGHUP); err != nil {
		r.t.Fatal(err)
	}
	for deadline := time.Now().Add(30 * time.Second); strings.Count(r.log.String(), says) == before; time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			r.t.Fatalf("the relay does not say %q:\n%s", says, r.log.String())
		}
	}
}

// SIGHUP changes what may change, says what may not, and leaves everything as
// it is when the file is wrong; all the while the relay serves.
func TestReload(t *testing.T) {
	path := configFile(t, "max-slots = 2\nlog-level = 'info'\npage-bytes = '1MiB'\n")
	write := func(text string) {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	r := startRelay(t, t.TempDir(), "--config", path, "--max-long-polls=7")
	defer r.stop()
	allocate := func(want int) {
		t.Helper()
		resp, err := http.Post(r.url+"/v1/slot/allocate", "application/json", strings.NewReader("{}"))
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != want {
			t.Errorf("allocate: %d, not %d", resp.StatusCode, want)
		}
	}
	allocate(201)
	allocate(201)
	allocate(503)

	write("max-slots = 3\nlog-level = 'debug'\npage-bytes = '2MiB'\nmax-long-polls = 9\naccess-log = true\n")
	r.hup("configuration reloaded")
	log := r.log.String()
	contains(t, log, `"setting":"max-slots","from":"2","to":"3"`, `"setting":"log-level","from":"info","to":"debug"`,
		`"setting":"page-bytes","runs_with":"1MiB","configured":"2MiB"`, `"changed":3,"need_restart":1`)
	if strings.Contains(log, `"setting":"max-long-polls"`) {
		t.Error("the file won over the flag")
	}
	allocate(201)
	allocate(503)
	contains(t, r.log.String(), `"msg":"request"`) // the access log

	write("max-slots = 'many'\nlog-levle = 'info'\n")
	r.hup("configuration not reloaded")
	contains(t, r.log.String(), "log-levle", "did you mean log-level?", "many")
	allocate(503)

	// What is gone from the file has its default; what needs a restart is said
	// again.
	write("max-slots = 3\npage-bytes = '2MiB'\n")
	r.hup("configuration reloaded")
	contains(t, r.log.String(), `"setting":"log-level","from":"debug","to":"info"`, `"changed":2,"need_restart":1`)
}
