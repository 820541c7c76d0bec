package crash

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"cowrelay/cmd/cowrelay/internal/relaytest"
)

// inLog finds the one place in the files of a commit log that holds mark.
func inLog(t *testing.T, dir, mark string) (file string, at int) {
	t.Helper()
	relaytest.EachFile(t, filepath.Join(dir, "log"), "*.log", func(name string) error {
		data, err := os.ReadFile(name)
		if i := bytes.Index(data, []byte(mark)); i >= 0 {
			file, at = name, i
		}
		return err
	})
	if file == "" {
		t.Fatalf("the log does not hold %s", mark)
	}
	return file, at
}

// flip turns one bit over.
func flip(t *testing.T, file string, at int) {
	t.Helper()
	f, err := os.OpenFile(file, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var b [1]byte
	if _, err := f.ReadAt(b[:], int64(at)); err != nil {
		t.Fatal(err)
	}
	b[0] ^= 1
	if _, err := f.WriteAt(b[:], int64(at)); err != nil {
		t.Fatal(err)
	}
}

// verifiedLog is what verify --json says of the log.
type verifiedLog struct {
	Sound  bool `json:"sound"`
	Events int  `json:"events"`
	Faults int  `json:"faults"`
	Log    *struct {
		Last    uint64 `json:"last_entry"`
		Applied uint64 `json:"applied_entry"`
		ToApply uint64 `json:"entries_to_apply"`
		Torn    int64  `json:"torn_bytes"`
	} `json:"log"`
}

func verifyJSON(t *testing.T, dir string) (sum verifiedLog) {
	t.Helper()
	stdout, stderr, _ := relaytest.Command(t, nil, "verify", "--data-dir="+dir, "--json")
	lines := strings.Split(strings.TrimSpace(stdout), "\n")
	if err := json.Unmarshal([]byte(lines[len(lines)-1]), &sum); err != nil {
		t.Fatalf("verify --json: %v, %s%s", err, stdout, stderr)
	}
	return sum
}

// After an orderly end the commit log is not needed: it may be damaged at rest.
func TestCommitLog_DamagedAfterAnOrderlyEnd(t *testing.T) {
	dir := t.TempDir()
	r := relaytest.Start(t, dir)
	s := r.Allocate()
	for i := range 20 {
		r.Post(s, relaytest.Event("a", i, 1000))
	}
	r.Stop()
	if sum := verifyJSON(t, dir); !sum.Sound || sum.Log == nil || sum.Log.ToApply != 0 {
		t.Errorf("verify: %+v", sum)
	}
	file, at := inLog(t, dir, `"a-7"`)
	flip(t, file, at)
	stdout, _, code := relaytest.Command(t, nil, "verify", "--data-dir="+dir)
	if code != 1 || strings.Count(stdout, "oldlog: ") != 1 {
		t.Errorf("verify: exit %d, %s", code, stdout)
	}
	relaytest.Contains(t, stdout, filepath.Base(file), "offset ", "the store has all of it", "not sound: looked at 1 slots, 20 events ")
	r = relaytest.Start(t, dir)
	if events := r.Pull(s, ""); len(events) != 20 {
		t.Errorf("%d events of 20 are there", len(events))
	}
	r.Post(s, relaytest.Event("b", 0, 1000))
	r.Kill()
	r = relaytest.Start(t, dir)
	if events := r.Pull(s, ""); len(events) != 21 {
		t.Errorf("%d events of 21 are there", len(events))
	}
	r.Stop()
}

// One wrong bit in what was acknowledged, and only the log has: the start refuses and
// names file and offset, verify says the same, export gives what is left, and
// --accept-loss goes on without the rest.
func TestCommitLog_DamagedAfterACrash(t *testing.T) {
	for name, hurt := range map[string]string{"in the middle": "a-7", "the newest": "a-19"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			r := relaytest.Start(t, dir)
			s := r.Allocate()
			for i := range 20 {
				r.Post(s, relaytest.Event("a", i, 1000))
			}
			r.Kill()
			if sum := verifyJSON(t, dir); !sum.Sound || sum.Events != 20 || sum.Log.ToApply < 21 || sum.Log.Last-sum.Log.Applied != sum.Log.ToApply {
				t.Fatalf("verify: %+v, %+v", sum, sum.Log)
			}
			file, at := inLog(t, dir, `"`+hurt+`"`)
			flip(t, file, at)
			left, _ := strconv.Atoi(strings.TrimPrefix(hurt, "a-"))

			cmd := relaytest.New(t, dir).Cmd
			stdout, stderr, code := relaytest.Finish(t, cmd)
			if code != 1 || stdout != "" {
				t.Errorf("the start: exit %d, %s", code, stdout)
			}
			offset := offsetIn(t, stderr)
			relaytest.Contains(t, stderr, "the log is damaged: "+file+", offset ", "restore the data folder from a backup", "--accept-loss")
			if offset > at || at-offset > 1200 {
				t.Errorf("the start names offset %d, the damage is at %d", offset, at)
			}

			stdout, stderr, code = relaytest.Command(t, nil, "verify", "--data-dir="+dir)
			if code != 1 || strings.Count(stdout, "log: "+file) != 1 {
				t.Errorf("verify: exit %d, %s%s", code, stdout, stderr)
			}
			relaytest.Contains(t, stdout, fmt.Sprintf("log: %s, offset %d: ", file, offset), "--accept-loss", fmt.Sprintf("not sound: looked at 1 slots, %d events ", left))

			stdout, stderr, code = relaytest.Command(t, nil, "export", "--all", "--data-dir="+dir)
			if code != 1 || strings.Count(stdout, "\n") != left {
				t.Errorf("export: exit %d, %d events, %s", code, strings.Count(stdout, "\n"), stderr)
			}
			relaytest.Contains(t, stderr, "the log is damaged: "+file)

			r = relaytest.Start(t, dir, "--accept-loss")
			if line := r.Logged("the log is damaged and is cut there, as --accept-loss says"); line == nil || line["level"] != "ERROR" {
				t.Errorf("the log does not tell: %v\n%s", line, r.Log.String())
			}
			events := r.Pull(s, "")
			if len(events) != left {
				t.Errorf("%d events are there, want the %d before the damage", len(events), left)
			}
			for i := range 20 { // all send again, as clients do
				status := 201
				if i < left {
					status = 200
				}
				s.MustSend(t, status, "POST", r.EventsURL(s), relaytest.PostBody(relaytest.Event("a", i, 1000)))
			}
			r.Kill()
			r = relaytest.Start(t, dir)
			if events := r.Pull(s, ""); len(events) != 20 {
				t.Errorf("%d events of 20 are there", len(events))
			}
			r.Stop()
			if sum := verifyJSON(t, dir); !sum.Sound {
				t.Errorf("verify: %+v", sum)
			}
		})
	}
}

// offsetIn is the offset that a text names.
func offsetIn(t *testing.T, text string) int {
	t.Helper()
	_, rest, _ := strings.Cut(text, "offset ")
	n := 0
	if _, err := fmt.Sscanf(rest, "%d:", &n); err != nil {
		t.Fatalf("no offset in %s", text)
	}
	return n
}

// A relay whose commit log is gone never starts without it.
func TestCommitLog_Missing(t *testing.T) {
	dir := t.TempDir()
	r := relaytest.Start(t, dir)
	s := r.Allocate()
	r.Post(s, relaytest.Event("a", 0, 1000))
	r.Stop()
	r = relaytest.Start(t, dir)
	r.Post(s, relaytest.Event("a", 1, 1000))
	r.Kill()
	if err := os.RemoveAll(filepath.Join(dir, "log")); err != nil {
		t.Fatal(err)
	}
	stdout, stderr, code := relaytest.Finish(t, relaytest.New(t, dir).Cmd)
	if code != 1 || stdout != "" {
		t.Errorf("the start: exit %d, %s", code, stdout)
	}
	relaytest.Contains(t, stderr, "the log is missing", filepath.Join(dir, "log"), "restore the data folder from a backup", "--accept-loss")
	stdout, _, code = relaytest.Command(t, nil, "verify", "--data-dir="+dir)
	if code != 1 || !strings.Contains(stdout, "log: the log is missing") {
		t.Errorf("verify: exit %d, %s", code, stdout)
	}
	r = relaytest.Start(t, dir, "--accept-loss")
	if events := r.Pull(s, ""); len(events) != 1 {
		t.Errorf("%d events are there, want that which the store has", len(events))
	}
	r.Post(s, relaytest.Event("a", 2, 1000))
	r.Stop()
}

// A write that was cut off by a crash was never acknowledged. It is dropped, and that
// is said: by verify, by the start, and by a metric.
func TestCommitLog_TornTail(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	r, trap := relaytest.StartTrapped(t, dir)
	s := r.Allocate()
	for i := range 20 {
		r.Post(s, relaytest.Event("a", i, 1000))
	}
	trap.HoldSyncs()
	failed := make(chan struct{})
	go func() {
		defer close(failed)
		if res, _, err := s.Send(relaytest.HTTPClient, "POST", r.EventsURL(s), relaytest.PostBody(relaytest.Event("torn", 0, 1000))); err == nil {
			t.Errorf("answered %s", res.Status)
		}
	}()
	trap.Await(t)
	r.Signal(syscall.SIGKILL)
	<-failed
	r.Kill()
	file, at := inLog(t, dir, `"torn-0"`)
	flip(t, file, at)

	stdout, stderr, code := relaytest.Command(t, nil, "verify", "--data-dir="+dir)
	if code != 0 || !strings.Contains(stdout, "\nsound: looked at 1 slots, 20 events ") {
		t.Errorf("verify: exit %d, %s%s", code, stdout, stderr)
	}
	relaytest.Contains(t, stdout, "note: ", " bytes at the end of the log are the rest of a write that a crash cut off")
	sum := verifyJSON(t, dir)
	if !sum.Sound || sum.Log.Torn < 1000 {
		t.Errorf("verify --json: %+v", sum)
	}
	r = relaytest.Start(t, dir)
	if line := r.Logged("the end of the log could not be read and is dropped: the rest of writes that a crash cut off"); line == nil || line["level"] != "WARN" || line["bytes"] != float64(sum.Log.Torn) {
		t.Errorf("the start says %v, verify said %+v", line, sum.Log)
	}
	if n := r.Metric("cowrelay_journal_torn_bytes"); n != float64(sum.Log.Torn) {
		t.Errorf("the metric is %v", n)
	}
	if events := r.Pull(s, ""); len(events) != 20 {
		t.Errorf("%d events are there, want those before the torn one", len(events))
	}
	r.Stop()
}
