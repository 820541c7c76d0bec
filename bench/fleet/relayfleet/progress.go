package main

import (
	"fmt"
	"os"
	"sync"
	"time"
)

// progress is a line on a terminal that shows where the rounds are. Elsewhere it
// writes nothing: each round has a line of its own.
type progress struct {
	to    *os.File
	head  string
	mu    sync.Mutex // steps come from several goroutines
	began time.Time
}

func newProgress(to *os.File, round, rounds int, began time.Time) *progress {
	left := ""
	if round > 0 {
		each := time.Since(began) / time.Duration(round)
		left = fmt.Sprintf(", %v left", (each * time.Duration(rounds-round)).Round(time.Second))
	}
	if st, err := to.Stat(); err != nil || st.Mode()&os.ModeCharDevice == 0 {
		to = nil
	}
	return &progress{to: to, head: fmt.Sprintf("round %d of %d%s", round+1, rounds, left), began: time.Now()}
}

func (p *progress) step(what string) {
	if p.to == nil {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	fmt.Fprintf(p.to, "\r\x1b[K%s: %4.1fs %.60s", p.head, time.Since(p.began).Seconds(), what)
}

func (p *progress) clear() {
	if p.to != nil {
		fmt.Fprint(p.to, "\r\x1b[K")
	}
}
