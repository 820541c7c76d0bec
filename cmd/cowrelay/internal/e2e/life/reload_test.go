package life

import (
	"net/http"
	"os"
	"strings"
	"testing"

	"cowrelay/cmd/cowrelay/internal/relaytest"
)

// SIGHUP changes what may change, says what may not, and leaves everything as
// it is when the file is wrong; all the while the relay serves.
func TestReload(t *testing.T) {
	path := relaytest.ConfigFile(t, "max-slots = 2\nlog-level = 'info'\npage-bytes = '1MiB'\n")
	write := func(text string) {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	r := relaytest.Start(t, t.TempDir(), "--config", path, "--max-long-polls=7")
	defer r.Stop()
	allocate := func(want int) {
		t.Helper()
		resp, err := http.Post(r.URL+"/v1/slot/allocate", "application/json", strings.NewReader("{}"))
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
	r.Reload("configuration reloaded")
	log := r.Log.String()
	relaytest.Contains(t, log, `"setting":"max-slots","from":"2","to":"3"`, `"setting":"log-level","from":"info","to":"debug"`,
		`"setting":"page-bytes","runs_with":"1MiB","configured":"2MiB"`, `"changed":3,"need_restart":1`)
	if strings.Contains(log, `"setting":"max-long-polls"`) {
		t.Error("the file won over the flag")
	}
	allocate(201)
	allocate(503)
	r.AwaitLog("request") // the access log

	write("max-slots = 'many'\nlog-levle = 'info'\n")
	r.Reload("configuration not reloaded")
	relaytest.Contains(t, r.Log.String(), "log-levle", "did you mean log-level?", "many")
	allocate(503)
	for series, want := range map[string]float64{
		"cowrelay_config_last_reload_successful": 0, `cowrelay_config_reloads_total{outcome="done"}`: 1, `cowrelay_config_reloads_total{outcome="failed"}`: 1,
	} {
		if got := r.Metric(series); got != want {
			t.Errorf("%s is %v, want %v", series, got, want)
		}
	}

	// What is gone from the file has its default; what needs a restart is said
	// again.
	write("max-slots = 3\npage-bytes = '2MiB'\n")
	r.Reload("configuration reloaded")
	relaytest.Contains(t, r.Log.String(), `"setting":"log-level","from":"debug","to":"info"`, `"changed":2,"need_restart":1`)
	if r.Metric("cowrelay_config_last_reload_successful") != 1 {
		t.Error("the reload that worked does not show")
	}
	if read := r.Metric("cowrelay_config_read_timestamp_seconds"); read < r.Metric("process_start_time_seconds") || read > r.Metric("cowrelay_clock_seconds") {
		t.Errorf("the configuration was read at %v", read)
	}
	if took := r.Metric("cowrelay_start_duration_seconds"); took <= 0 || took > 60 {
		t.Errorf("the start took %v s", took)
	}
}
