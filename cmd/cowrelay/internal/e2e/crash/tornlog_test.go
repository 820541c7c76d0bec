package crash

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"cowrelay/cmd/cowrelay/internal/relaytest"
)

// flipInLog turns one bit over in the newest log of a folder: behind mark, or at
// the file's beginning.
func flipInLog(t *testing.T, dir, mark string) (file string) {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(dir, "*.log"))
	if err != nil || len(names) == 0 {
		t.Fatalf("no log in %s: %v", dir, err)
	}
	file = slices.Max(names)
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	at := 0
	if mark != "" {
		if at = bytes.Index(data, []byte(mark)); at < 0 {
			t.Fatalf("the log does not hold %s", mark)
		}
	}
	if at < len(data) {
		data[at] ^= 1
	}
	if err := os.WriteFile(file, data, 0o600); err != nil {
		t.Fatal(err)
	}
	return filepath.Base(file)
}

const tornWarning = "the end of the log could not be read and is dropped: the rest of a write that a crash cut off, or damage"

// The log of a relay that was stopped may be damaged at rest, or be cut: nothing
// that was acknowledged is lost.
func TestTornLog_AfterACleanStop(t *testing.T) {
	for _, what := range []string{"a bit", "cut"} {
		t.Run(what, func(t *testing.T) {
			dir := t.TempDir()
			r := relaytest.Start(t, dir)
			s := r.Allocate()
			for i := range 20 {
				r.Post(s, relaytest.Event("a", i, 1000))
			}
			r.Stop()
			file := flipInLog(t, dir, "")
			if what == "cut" {
				info, err := os.Stat(filepath.Join(dir, file))
				if err != nil {
					t.Fatal(err)
				}
				if err := os.Truncate(filepath.Join(dir, file), info.Size()/2); err != nil {
					t.Fatal(err)
				}
			}
			stdout, stderr, code := relaytest.Command(t, nil, "verify", "--data-dir="+dir)
			if code != 0 || !strings.HasPrefix(stdout, "sound: looked at 1 slots, 20 events ") {
				t.Errorf("verify: exit %d, %s%s", code, stdout, stderr)
			}
			r = relaytest.Start(t, dir)
			if events := r.Pull(s, ""); len(events) != 20 {
				t.Errorf("%d events of 20 are there", len(events))
			}
			r.Stop()
		})
	}
}

// After kill -9 what can't be read at the end of the log is dropped, and that is
// said: by verify, by the start, and by a metric.
func TestTornLog_AfterACrash(t *testing.T) {
	dir := t.TempDir()
	r := relaytest.Start(t, dir)
	s := r.Allocate()
	for i := range 20 {
		r.Post(s, relaytest.Event("a", i, 1000))
	}
	r.Kill()
	r = relaytest.Start(t, dir) // nothing is torn yet, and nothing is said
	if line := r.Logged(tornWarning); line != nil {
		t.Errorf("a start after a crash warns: %v", line)
	}
	r.Post(s, relaytest.Event("b", 1, 1000))
	r.Post(s, relaytest.Event("torn", 1, 1000))
	r.Post(s, relaytest.Event("b", 2, 1000))
	r.Kill()
	file := flipInLog(t, dir, "torn")

	stdout, stderr, code := relaytest.Command(t, nil, "verify", "--data-dir="+dir)
	if code != 0 || !strings.Contains(stdout, "\nsound: looked at 1 slots, 21 events ") {
		t.Errorf("verify: exit %d, %s%s", code, stdout, stderr)
	}
	relaytest.Contains(t, stdout, "note: ", " bytes at the end of "+file+", from offset ", "damage is likely")
	stdout, _, _ = relaytest.Command(t, nil, "verify", "--data-dir="+dir, "--json")
	var sum struct {
		Sound bool `json:"sound"`
		Torn  *struct {
			File     string `json:"file"`
			Offset   int64  `json:"offset"`
			Bytes    int64  `json:"bytes"`
			Readable int    `json:"readable_parts_behind"`
		} `json:"torn_tail"`
	}
	if err := json.Unmarshal([]byte(stdout), &sum); err != nil || !sum.Sound || sum.Torn == nil || sum.Torn.File != file || sum.Torn.Bytes < 2000 || sum.Torn.Readable == 0 {
		t.Errorf("verify --json: %s (%v)", stdout, err)
	}

	r = relaytest.Start(t, dir)
	line := r.Logged(tornWarning)
	if line == nil || line["level"] != "WARN" || line["file"] != file || line["bytes"].(float64) != float64(sum.Torn.Bytes) || line["offset"].(float64) != float64(sum.Torn.Offset) {
		t.Errorf("the start says %v, verify said %+v", line, sum.Torn)
	}
	if n := r.Metric("cowrelay_journal_torn_bytes"); n != float64(sum.Torn.Bytes) {
		t.Errorf("the metric is %v", n)
	}
	if events := r.Pull(s, ""); len(events) != 21 {
		t.Errorf("%d events are there, want those before the damage", len(events))
	}
	r.Stop()
	stdout, _, code = relaytest.Command(t, nil, "verify", "--data-dir="+dir)
	if code != 0 || !strings.HasPrefix(stdout, "sound: ") {
		t.Errorf("verify after the next clean stop: exit %d, %s", code, stdout)
	}
}
