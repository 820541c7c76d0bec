package conn

import (
	"os"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// paceShare is the share of the processors that handshakes may take, all together.
	// A connection costs two thirds as much again around its handshake: 340 µs were
	// measured, 203 of them within. So with that it is some 40 %. Where a control group
	// has a quota, who takes all of it stops the whole process until the next period.
	paceShare = 0.25
	// paceSlack is how far handshakes may be ahead of the pace before one waits. So few
	// of them never wait, and the timer's grain costs nothing.
	paceSlack = 10 * time.Millisecond
)

// pace keeps what handshakes compute to a rate: the "virtual scheduling" form of a leaky
// bucket (ITU-T I.371). Each pays when it has computed, for as long as that takes at the
// rate. While more than the slack is not paid off, others wait.
type pace struct {
	rate  float64 // processors, such as 0.5
	meter meter

	mu  sync.Mutex
	due time.Time // guarded by mu; when all that was computed is paid off

	computed atomic.Int64 // nanoseconds of a processor, in all
}

// meter starts to measure what the calling goroutine computes. The goroutine calls what
// it returns, once, to end that: it says how long a processor was busy with it.
type meter func() (spent func() time.Duration)

// wait waits until what was computed before the call is paid off but for the slack, or
// until late. Then it returns os.ErrDeadlineExceeded. What is computed meanwhile is for
// those who come later: so nobody waits for ever.
func (p *pace) wait(late <-chan time.Time) error {
	p.mu.Lock()
	rest := time.Until(p.due.Add(-paceSlack))
	p.mu.Unlock()
	if rest <= 0 {
		return nil
	}
	timer := time.NewTimer(rest)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-late:
		return os.ErrDeadlineExceeded
	}
}

// pay has those who come later wait for what was computed.
func (p *pace) pay(cost time.Duration) {
	p.computed.Add(int64(cost))
	p.mu.Lock()
	defer p.mu.Unlock()
	if now := time.Now(); p.due.Before(now) {
		p.due = now
	}
	p.due = p.due.Add(time.Duration(float64(cost) / p.rate))
}

// wallMeter measures the time that passes. That is more than what is computed when
// others have the processor meanwhile.
func wallMeter() func() time.Duration {
	begun := time.Now()
	return func() time.Duration { return time.Since(begun) }
}
