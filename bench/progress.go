package bench

import (
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"time"
)

// A Progress shows how far a run is: one bar that is redrawn on a terminal, a
// line every few seconds elsewhere. Safe for several goroutines; nil shows
// nothing.
type Progress struct {
	mu    sync.Mutex
	w     io.Writer
	bar   bool
	every time.Duration
	now   func() time.Time
	last  time.Time
	width int // of the bar that is on the screen
}

// Time between two updates: of the bar, and of lines.
const (
	barEvery  = 150 * time.Millisecond
	lineEvery = 5 * time.Second
)

// NewProgress shows progress on f.
func NewProgress(f *os.File) *Progress {
	st, err := f.Stat()
	bar := err == nil && st.Mode()&os.ModeCharDevice != 0
	return newProgress(f, bar, time.Now)
}

func newProgress(w io.Writer, bar bool, now func() time.Time) *Progress {
	p := &Progress{w: w, bar: bar, every: lineEvery, now: now}
	if bar {
		p.every = barEvery
	}
	return p
}

// Show shows that part (0 to 1) of what is done, unless it was shown a moment
// ago.
func (p *Progress) Show(what string, part float64, step string) {
	if p == nil {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	now := p.now()
	if !p.last.IsZero() && now.Sub(p.last) < p.every {
		return
	}
	p.last = now
	part = min(max(part, 0), 1)
	if !p.bar {
		fmt.Fprintf(p.w, "%s: %3.0f %% %s\n", what, part*100, step)
		return
	}
	const cells = 24
	full := int(part * cells)
	s := fmt.Sprintf("%s [%s%s] %3.0f %% %s", what, strings.Repeat("#", full), strings.Repeat(".", cells-full), part*100, step)
	fmt.Fprintf(p.w, "\r%-*s", p.width, s)
	p.width = len(s)
}

// Clear takes the bar off the screen, so that a line can be printed.
func (p *Progress) Clear() {
	if p == nil {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.bar && p.width > 0 {
		fmt.Fprintf(p.w, "\r%*s\r", p.width, "")
		p.width = 0
	}
	p.last = time.Time{}
}

// A track is the progress of one scenario. Safe for several goroutines.
type track struct {
	p    *Progress
	what string

	mu    sync.Mutex
	total time.Duration // of the rounds; 0 while preparing
	done  time.Duration
	part  float64 // of the preparation
	text  string
}

func newTrack(p *Progress, what string) *track { return &track{p: p, what: what} }

// step says what is being done.
func (t *track) step(text string) {
	t.mu.Lock()
	t.text, t.part = text, 0
	t.mu.Unlock()
	t.draw()
}

// begin says how long the rounds take together.
func (t *track) begin(total time.Duration) {
	t.mu.Lock()
	t.total, t.done = total, 0
	t.mu.Unlock()
}

// add says that d of the rounds has passed.
func (t *track) add(d time.Duration) {
	t.mu.Lock()
	t.done += d
	t.mu.Unlock()
	t.draw()
}

// prepared says how much (0 to 1) of the current step of the preparation is
// done.
func (t *track) prepared(part float64) {
	t.mu.Lock()
	t.part = part
	t.mu.Unlock()
	t.draw()
}

func (t *track) draw() {
	t.mu.Lock()
	part, text := t.part, t.text
	if t.total > 0 {
		part = float64(t.done) / float64(t.total)
	}
	t.mu.Unlock()
	t.p.Show(t.what, part, text)
}
