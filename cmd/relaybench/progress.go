package main

import (
	"fmt"
	"io"
	"os"
	"sync"
	"time"

	"github.com/schollz/progressbar/v3"
	"golang.org/x/term"
)

// A progress shows how far a run is: a bar on a terminal, a line every few
// seconds elsewhere. Safe for several goroutines.
type progress struct {
	w        io.Writer
	terminal bool
	now      func() time.Time

	mu   sync.Mutex               // guards the fields below
	bar  *progressbar.ProgressBar // nil: none is on the screen
	last time.Time                // when something was shown
}

const (
	barWidth  = 24 // characters
	barSteps  = 1000
	barEvery  = 150 * time.Millisecond
	lineEvery = 5 * time.Second
)

// newProgress shows progress on f.
func newProgress(f *os.File) *progress {
	return newProgressOn(f, term.IsTerminal(int(f.Fd())), time.Now)
}

func newProgressOn(w io.Writer, terminal bool, now func() time.Time) *progress {
	return &progress{w: w, terminal: terminal, now: now}
}

// Show shows how much of what is done, 0 to 1, and at which step it is.
func (p *progress) Show(what string, part float64, step string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	part = min(max(part, 0), 1)
	now, every := p.now(), lineEvery
	if p.terminal {
		every = barEvery
	}
	if !p.last.IsZero() && now.Sub(p.last) < every {
		return
	}
	p.last = now
	if p.terminal {
		p.showBarLocked(what+": "+step, part)
		return
	}
	fmt.Fprintf(p.w, "%s: %3.0f %% %s\n", what, part*100, step)
}

func (p *progress) showBarLocked(text string, part float64) {
	if p.bar == nil {
		p.bar = progressbar.NewOptions(barSteps,
			progressbar.OptionSetWriter(p.w),
			progressbar.OptionSetWidth(barWidth),
			progressbar.OptionSetElapsedTime(false),
			progressbar.OptionSetPredictTime(false),
		)
	}
	// A bar that is full counts as ended, and shows nothing more.
	_ = p.bar.Set(min(int(part*barSteps), barSteps-1))
	p.bar.Describe(text)
}

// Clear takes the bar off the screen, so that a line can be printed.
func (p *progress) Clear() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.bar != nil {
		_ = p.bar.Clear()
		p.bar = nil
	}
	p.last = time.Time{}
}
