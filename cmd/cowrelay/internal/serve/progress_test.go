package serve

import (
	"bytes"
	"io"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/creack/pty"
)

// A log that is no terminal hears of a long step every few seconds, and /readyz each
// time.
func TestProgress_Lines(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		s := &server{log: slog.New(slog.NewTextHandler(&log, nil)), stderr: &log}
		steps := s.copying(30e6, "copied")
		for n := range 30 {
			time.Sleep(time.Second)
			steps.at(int64(n+1) * 1e6)
			if n == 6 {
				if text := s.told(); text != "joining: copied 7.0 MB of 30.0 MB" {
					t.Errorf("/readyz tells %q", text)
				}
			}
		}
		steps.end()
		steps = s.replaying(1_000_000)
		for n := range 12 {
			time.Sleep(time.Second)
			steps.at(int64(n+1) * 1024)
		}
		steps.end()
		steps = s.copying(-1, "verified")
		time.Sleep(time.Minute)
		steps.at(1e9)
		steps.end()
		lines := strings.Split(strings.TrimSpace(log.String()), "\n")
		want := []string{
			"copied 5.0 MB of 30.0 MB", "copied 10.0 MB of", "copied 15.0 MB of", "copied 20.0 MB of", "copied 25.0 MB of", "copied 30.0 MB of",
			"replaying the shared log: 5,120 of 1,000,000 entries, 994,880 behind", "10,240 of", "joining: verified 1000.0 MB\"",
		}
		if len(lines) != len(want) {
			t.Fatalf("%d lines, not %d:\n%s", len(lines), len(want), log.String())
		}
		for i := range want {
			if !strings.Contains(lines[i], want[i]) {
				t.Errorf("line %d lacks %q: %s", i, want[i], lines[i])
			}
		}
	})
}

// A terminal shows a bar, and no such lines.
func TestProgress_Bar(t *testing.T) {
	master, slave, err := pty.Open()
	if err != nil {
		t.Fatal(err)
	}
	if err := pty.Setsize(slave, &pty.Winsize{Rows: 24, Cols: 80}); err != nil {
		t.Fatal(err)
	}
	shown := make(chan string)
	go func() {
		all, _ := io.ReadAll(master) // which ends with an error when the other end is closed
		shown <- string(all)
	}()
	var log bytes.Buffer
	s := &server{log: slog.New(slog.NewTextHandler(&log, nil)), stderr: slave}
	step := s.replaying(4096)
	step.told = time.Now().Add(-time.Hour)
	for n := range 4 {
		time.Sleep(110 * time.Millisecond) // the bar is drawn no faster
		step.at(int64(n+1) * 1000)
	}
	step.end()
	slave.Close()
	text := <-shown
	master.Close()
	if !strings.Contains(text, "replaying the shared log") || !strings.Contains(text, "/4096") {
		t.Errorf("the terminal shows %q", text)
	}
	if log.Len() > 0 {
		t.Errorf("the log has %s", log.String())
	}
}
