package retention

import (
	"bytes"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// The short form of the run with the real relay: events leave, and the disk gives their
// space back. It takes longer than the shortest lifetime that a relay gives, a minute.
func TestRun(t *testing.T) {
	binary := filepath.Join(t.TempDir(), "cowrelay")
	build := exec.Command("go", "build", "-pgo=off", "-o", binary, "cowrelay/cmd/cowrelay")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("cannot build cowrelay: %v\n%s", err, out)
	}
	c := Defaults()
	c.Relay, c.Dir, c.Out, c.Command = binary, t.TempDir(), filepath.Join(t.TempDir(), "out"), "the command"
	c.Events, c.SlotEvents, c.TTL, c.Quiet, c.Every, c.Rate = 100_000, 1000, time.Minute, time.Second, 500*time.Millisecond, 20
	c.EventBytes = 1000
	// The log's segments, which are allocated before they are needed.
	c.Spare = 96 << 20
	rec, v, err := Run(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	if !v.OK {
		t.Errorf("not all bars hold:\n%s%s", rec.Summary(), v)
	}
	if rec.Result == nil || rec.Result.Kept != 10_000 || rec.Result.Beside == 0 || rec.Result.FillPerSec <= 0 {
		t.Fatalf("the result: %+v", rec.Result)
	}
	if len(rec.Phases) != 5 || len(rec.Slices) < 10 || rec.Phases[0].Posts.Count == 0 || rec.Phases[2].Posts.P99 == 0 {
		t.Errorf("%d slices; phases: %+v", len(rec.Slices), rec.Phases)
	}
	if s := rec.last(Fill); s.Left < 100_000*1000 || s.Disk < s.Left/2 || s.Parts["log"] == 0 {
		t.Errorf("behind the fill: %+v", s)
	}
	again, err := Read(c.Out)
	if err != nil {
		t.Fatal(err)
	}
	if got := again.Judge().String(); got != v.String() {
		t.Errorf("judged from the file:\n%s\nat the end of the run:\n%s", got, v)
	}
}

// recordOf is a run of a second a sample, in which change makes something of it.
func recordOf(change func(r *Record)) *Record {
	r := &Record{
		Setup:  Setup{Events: 1000, Expiring: 900, Size: 200, Wait: time.Minute},
		Result: &Result{Kept: 100, Beside: 10},
		Phases: []Phase{{Name: Quiet, Seconds: 1}, {Name: Space, Seconds: 5}},
	}
	left := int64(100*200 + 10*besideBytes)
	for i, phase := range []string{Quiet, Fill, Stored, Expiry, Space, Space} {
		r.Samples = append(r.Samples, Sample{At: float64(i), Phase: phase, Disk: 300_000, Events: 1010, Left: left + 900*200})
	}
	for i := range r.Samples {
		if s := &r.Samples[i]; i >= 3 {
			s.Gone, s.Events, s.Left = 900, 110, left
		}
	}
	r.Samples[5].Disk = left
	if change != nil {
		change(r)
	}
	return r
}

func TestJudge(t *testing.T) {
	f := func(want string, change func(r *Record)) {
		t.Helper()
		v := recordOf(change).Judge()
		if got := strings.Join(v.Failed(), "; "); got != want || v.OK != (want == "") {
			t.Errorf("what fails: %q, want %q\n%s", got, want, v)
		}
	}
	f("", nil)
	f("the space came back", func(r *Record) { r.Samples[5].Disk = r.Samples[5].Left*3/2 + 1 })
	f("", func(r *Record) { r.Samples[5].Disk = r.Samples[5].Left*3/2 + 1; r.Setup.Spare = 1 })
	f("all left that should; the space came back", func(r *Record) { r.Setup.Expiring, r.Setup.Events = 901, 1001 })
	f("what is left agrees with what was posted", func(r *Record) { r.Samples[5].Left-- })
	f("what is left agrees with what was posted", func(r *Record) { r.Samples[5].Events++ })
	f("the load", func(r *Record) { r.Result.Errors, r.Result.FirstError = 1, "lost" })
	f("the load", func(r *Record) { r.Result = nil })
	f("samples", func(r *Record) { r.Samples = nil })
	if v := recordOf(nil).Judge().String(); !strings.Contains(v, "2 s after the last event had left") {
		t.Errorf("the time until the space was back: %s", v)
	}
	if got := recordOf(nil).Summary(); !strings.Contains(got, "quiet") || !strings.Contains(got, "0.3 MB") {
		t.Errorf("the table:\n%s", got)
	}
}

// Events are JSON of the size that was asked for, with ids of their own, and the same
// each time.
func TestEvents(t *testing.T) {
	seen := map[string]bool{}
	for _, size := range []int{minEventBytes, 200, 1000} {
		of := events{7, size}
		for n := range uint64(100) {
			b := of.append(nil, n)
			var e struct {
				ID   string `json:"event_id"`
				Body struct{ Text string }
			}
			if err := json.Unmarshal(b, &e); err != nil || len(b) != size || len(e.ID) != idDigits || len(e.Body.Text) != size-minEventBytes {
				t.Fatalf("event %d of %d bytes: %v: %s", n, size, err, b)
			}
			if !bytes.Equal(b, of.append(nil, n)) {
				t.Fatalf("event %d of %d bytes differs the second time", n, size)
			}
			if size == 200 {
				seen[e.ID] = true
			}
		}
	}
	if len(seen) != 100 {
		t.Errorf("%d ids of 100 events", len(seen))
	}
}

func TestValidate(t *testing.T) {
	c := Defaults()
	c.Events, c.Expire, c.TTL, c.Rate, c.Quiet, c.Every, c.Wait, c.Spare = 10_001, 1, time.Second, 0, 0, 0, -1, -1
	err := c.Validate()
	for _, want := range []string{"relay: the run", "out: want", "events 10001", "expire 1", "ttl 1s", "rate 0", "quiet 0s", "every 0s", "wait -1ns", "spare -1"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error lacks %q: %v", want, err)
		}
	}
	c = Defaults()
	c.Relay, c.Out = "/bin/sh", t.TempDir()
	if err := c.Validate(); err != nil {
		t.Errorf("the defaults: %v", err)
	}
	n := 0
	for i := range c.slots() {
		if c.expires(i) {
			n++
		}
	}
	if n != 4500 || n != c.expiring() || c.slots() != 5000 {
		t.Errorf("%d of %d slots expire, want %d", n, c.slots(), c.expiring())
	}
	c.SlotEvents, c.EventBytes = 0, 190
	if err := c.Validate(); err == nil || !strings.Contains(err.Error(), "slot-events 0") {
		t.Errorf("no events in a slot: %v", err)
	}
	c = Defaults()
	c.SlotEvents = 10
	if err := c.Validate(); err == nil || !strings.Contains(err.Error(), "raise slot-events") {
		t.Errorf("too many slots: %v", err)
	}
	if _, err := Read(t.TempDir()); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("nothing to read: %v", err)
	}
}
