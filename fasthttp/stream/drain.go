package stream

import (
	"context"
	"time"
)

// Drain ends all streams. Each gets a retry line and is closed between two
// frames; the lines spread the clients' return over ten seconds, so that they
// don't all come back at once. When ctx ends first, the streams that are left are
// cut.
func (s *Set) Drain(ctx context.Context) {
	s.wheel.each(func(st *Stream) { st.askLeave(askDrain) })
	for s.open.Load() > 0 {
		select {
		case <-time.After(5 * time.Millisecond):
		case <-ctx.Done():
			s.waits.Go(s.cut)
			return
		}
	}
}

func (s *Set) cut() {
	var left []*Stream
	s.wheel.each(func(st *Stream) { left = append(left, st) })
	for _, st := range left {
		st.close(EndDrain)
	}
}

// Stop ends the writers and waits for all that runs. What still hangs when ctx
// ends, in a load as a rule, is left alone: it ends when the store closes.
func (s *Set) Stop(ctx context.Context) {
	close(s.quit)
	s.hangs.close()
	s.queue.close()
	done := make(chan struct{})
	go labeled("streams-stop", func() {
		defer close(done)
		s.readers.Wait()
		s.writers.Wait() // writers start waits, so these are waited for last
		s.waits.Wait()
	})
	select {
	case <-done:
	case <-ctx.Done():
	}
}
