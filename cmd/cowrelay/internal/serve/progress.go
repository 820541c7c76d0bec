package serve

import (
	"fmt"
	"io"
	"time"

	"cowrelay/cmd/cowrelay/internal/human"
	"cowrelay/cmd/cowrelay/internal/term"

	"github.com/schollz/progressbar/v3"
)

// tellEvery is how long the log hears nothing of a step that goes on.
const tellEvery = 5 * time.Second

// progress is how far a long step of the start is. /readyz tells it always. Beside it
// a terminal shows a bar, and a log that is read later has a line every tellEvery.
//
// newProgress makes it, and end ends it. One goroutine uses it at a time.
type progress struct {
	s    *server
	text func(done int64) string
	bar  *progressbar.ProgressBar // nil: stderr is no terminal
	told time.Time
}

// newProgress begins a step of so many units, -1 if nobody knows. Units are as NewBar
// takes them.
func (s *server) newProgress(stderr io.Writer, total int64, doing, unit string, text func(done int64) string) *progress {
	p := &progress{s: s, text: text, told: time.Now()}
	if term.IsTerminal(stderr) {
		p.bar = term.NewBar(stderr, total, doing, unit)
	}
	return p
}

// at tells that so many units are done.
func (p *progress) at(done int64) {
	text := p.text(done)
	p.s.say(text)
	if p.bar != nil {
		p.bar.Set64(done)
		return
	}
	if now := time.Now(); now.Sub(p.told) >= tellEvery {
		p.told = now
		p.s.log.Info(text)
	}
}

// end takes the bar away.
func (p *progress) end() {
	if p.bar != nil {
		term.EndBar(p.bar)
	}
}

// copying is a step of a join: what says what is done with the bytes, of which there
// are total, -1 if nobody knows.
func (s *server) copying(total int64, what string) *progress {
	return s.newProgress(s.stderr, total, "joining: "+what, "bytes", func(done int64) string {
		text := fmt.Sprintf("joining: %s %.1f MB", what, float64(done)/1e6)
		if total >= 0 {
			text += fmt.Sprintf(" of %.1f MB", float64(total)/1e6)
		}
		return text
	})
}

// replaying is the step that applies so many entries of the shared log.
func (s *server) replaying(total int64) *progress {
	return s.newProgress(s.stderr, total, "replaying the shared log", "entries", func(done int64) string {
		return fmt.Sprintf("replaying the shared log: %s of %s entries, %s behind",
			human.Count(float64(done)), human.Count(float64(total)), human.Count(float64(max(total-done, 0))))
	})
}
