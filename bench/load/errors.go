package load

import (
	"fmt"
	"sync"
	"time"

	"cowrelay/bench/wire"
)

// An ErrorLog counts the errors of many goroutines and keeps the text of the
// first.
type ErrorLog struct {
	mu    sync.Mutex
	n     int64
	first string
}

func (l *ErrorLog) Add(err error) { l.AddN(1, err) }

// AddN counts n errors of one kind.
func (l *ErrorLog) AddN(n int64, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.n == 0 {
		l.first = err.Error()
	}
	l.n += n
}

// Into adds the errors to a sample.
func (l *ErrorLog) Into(s *Sample) {
	l.mu.Lock()
	defer l.mu.Unlock()
	s.Errors += l.n
	if s.FirstError == "" {
		s.FirstError = l.first
	}
}

// AwaitWorkers waits for the workers of wg at the end of a round. Those that
// still wait for an answer after wire.AnswerGrace are interrupted, which counts
// as an error.
func AwaitWorkers(wg *sync.WaitGroup, log *ErrorLog, interrupt func()) {
	done := make(chan struct{})
	go func() {
		wg.Wait()
		close(done)
	}()
	t := time.NewTimer(wire.AnswerGrace)
	defer t.Stop()
	select {
	case <-done:
	case <-t.C:
		log.Add(fmt.Errorf("no answer within %v of the end of the round", wire.AnswerGrace))
		interrupt()
		<-done
	}
}

// UnsentGrace is how long after the end of a round a post is still sent that
// was due in it.
const UnsentGrace = 5 * time.Second
