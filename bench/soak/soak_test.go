package soak

import (
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"cowrelay/bench/cgroup"
)

// A run of seconds with the real relay: all is sampled, and what is written can be
// read again. It takes root. Where it can't be run it says so.
func TestRun(t *testing.T) {
	binary := filepath.Join(t.TempDir(), "cowrelay")
	build := exec.Command("go", "build", "-pgo=off", "-o", binary, "cowrelay/cmd/cowrelay")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("cannot build cowrelay: %v\n%s", err, out)
	}
	c := Defaults()
	c.Relay, c.Dir, c.Out, c.Command = binary, t.TempDir(), filepath.Join(t.TempDir(), "out"), "the command"
	c.Duration, c.Warmup, c.Every, c.BooksEvery = 4*time.Second, 100*time.Millisecond, 200*time.Millisecond, time.Second
	c.MixAgents, c.MixSpeed, c.History = 6, 100, 50

	g, err := cgroup.New(100 << 20)
	if err != nil {
		if _, _, err := Run(t.Context(), c); err == nil || !strings.Contains(err.Error(), "which takes root") {
			t.Errorf("without a control group: %v", err)
		}
		return
	}
	if err := g.Remove(); err != nil {
		t.Fatal(err)
	}
	rec, v, err := Run(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	if rec.Load == nil || rec.Load.Relay.Errors > 0 {
		t.Fatalf("the load: %s", v)
	}
	for _, b := range v.Bars {
		// In seconds nothing is flat.
		if !b.OK && !strings.HasSuffix(b.Name, "flat") {
			t.Errorf("%s: %s", b.Name, b.Text)
		}
	}
	posts := int64(0)
	for _, m := range rec.Minutes {
		posts += m.Posts.Count
	}
	if len(rec.Samples) < 3 || len(rec.Readings) < 2 || posts == 0 {
		t.Errorf("%d samples, %d readings of the books, %d posts by minute", len(rec.Samples), len(rec.Readings), posts)
	}
	s := rec.Samples[len(rec.Samples)-1]
	if s.Streams != 6 || s.Events < 300 || s.EventBytes < 300*512 || s.Disk < s.EventBytes || s.Log == 0 || s.Own < 1<<20 || s.RSS < s.Own/2 || s.Go < s.Heap/2 || s.Kinds["chunk"] == 0 {
		t.Errorf("the last sample: %+v", s)
	}
	again, err := Read(c.Out)
	if err != nil {
		t.Fatal(err)
	}
	if got := again.Judge().String(); got != v.String() {
		t.Errorf("judged from the file:\n%s\nat the end of the run:\n%s", got, v)
	}
	text, err := os.ReadFile(filepath.Join(c.Out, "NOTES.md"))
	if err != nil || !strings.Contains(string(text), "the command") || !strings.Contains(string(text), "| the books agree |") {
		t.Errorf("notes: %v\n%s", err, text)
	}
	// Notes that somebody wrote stay.
	if err := os.WriteFile(filepath.Join(c.Out, "NOTES.md"), []byte("mine"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := writeNotes(c.Out, rec, v); err != nil {
		t.Fatal(err)
	}
	if text, _ = os.ReadFile(filepath.Join(c.Out, "NOTES.md")); string(text) != "mine" {
		t.Errorf("the notes are overwritten: %s", text)
	}
}

func TestValidate(t *testing.T) {
	c := Defaults()
	c.Every, c.BooksEvery, c.History = 0, time.Hour, 0
	err := c.Validate()
	for _, want := range []string{"relay: the soak", "out: want", "every 0s", "books-every 1h0m0s", "history 0"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error lacks %q: %v", want, err)
		}
	}
	c = Defaults()
	c.Relay, c.Out = "/bin/sh", t.TempDir()
	if err := c.Validate(); err != nil {
		t.Errorf("the defaults: %v", err)
	}
	c.Duration = 0
	if err := c.Validate(); err == nil || !strings.Contains(err.Error(), "time 0s") {
		t.Errorf("no time: %v", err)
	}
	if _, err := Read(t.TempDir()); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("nothing to read: %v", err)
	}
}
