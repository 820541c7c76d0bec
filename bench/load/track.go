package load

import (
	"sync"
	"time"
)

// A Track is how far a load is. It is safe for several goroutines. The zero
// value and nil show nothing.
type Track struct {
	show func(part float64, step string)

	mu    sync.Mutex    // guards the fields below
	total time.Duration // of the rounds; 0 while preparing
	done  time.Duration // of the rounds
	part  float64       // of the preparation, 0 to 1
	text  string        // the step
}

// NewTrack returns a track that calls show at each change.
func NewTrack(show func(part float64, step string)) *Track { return &Track{show: show} }

// Step says what is being done.
func (t *Track) Step(text string) {
	if t == nil {
		return
	}
	t.mu.Lock()
	t.text, t.part = text, 0
	t.mu.Unlock()
	t.draw()
}

// Begin says how long all rounds take together.
func (t *Track) Begin(total time.Duration) {
	if t == nil {
		return
	}
	t.mu.Lock()
	t.total, t.done = total, 0
	t.mu.Unlock()
}

// Add says that d of the rounds has passed.
func (t *Track) Add(d time.Duration) {
	if t == nil {
		return
	}
	t.mu.Lock()
	t.done += d
	t.mu.Unlock()
	t.draw()
}

// Prepared says which part, 0 to 1, of a step of the preparation is done.
func (t *Track) Prepared(part float64) {
	if t == nil {
		return
	}
	t.mu.Lock()
	t.part = part
	t.mu.Unlock()
	t.draw()
}

func (t *Track) draw() {
	if t == nil || t.show == nil {
		return
	}
	t.mu.Lock()
	part, text := t.part, t.text
	if t.total > 0 {
		part = float64(t.done) / float64(t.total)
	}
	t.mu.Unlock()
	t.show(part, text)
}
