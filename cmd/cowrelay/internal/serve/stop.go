package serve

import (
	"context"
	"errors"
	"runtime/pprof"
	"time"
)

// stop drains the relay and closes the store. err is why it stops, nil for a
// signal.
//
//	deadline   first: from here on a second signal, or the time, ends the process
//	manager    hears that the relay stops, so that it does not take it for dead
//	drain      /readyz turns 503, the listener closes, requests under way are
//	           answered, streams end with their retry lines
//	traces     after the drain: what waits is sent beside the steps below, which do
//	           not wait for the collector
//	desk       after the drain too, before the records close
//	sweeper    before the store, in which it ends what nobody needs
//	fleet      likewise: the own record is not written any more
//	store      after the drain, because those requests still post
//	journal    after the store, whose commit loop writes to it
//
// What is left is undone by end, the reverse of start.
func (s *server) stop(err error) error {
	s.process.endsWithin(s.DrainTimeout + CloseTime)
	s.manager.stopping("draining")
	ctx, cancel := context.WithTimeout(context.Background(), s.DrainTimeout)
	defer cancel()
	// Clients that have not let go in time are cut off: that is no fault.
	if e := s.relay.Drain(ctx, s.DrainDelay); e != nil && !errors.Is(e, context.DeadlineExceeded) {
		err = errors.Join(err, e)
	}
	err = errors.Join(err, s.closeStore())
	if err == nil {
		s.log.Info("stopped")
	}
	return err
}

// closeStore ends what stands between the relay and the disk, when the relay serves
// nobody any more.
func (s *server) closeStore() error {
	sent := s.flushTraces()
	if s.sweeper != nil {
		s.sweeper.Stop()
	}
	s.desk.Close()
	if s.fleet != nil {
		s.fleet.Close()
	}
	if shared := s.shared.Load(); shared != nil {
		// Whatever still waits for a log that can't be reached waits no more.
		late := time.AfterFunc(CloseTime/2, shared.Stop)
		defer late.Stop()
	}
	err := s.store.Close() // what the sweeper waits for ends with it
	if s.sweeper != nil {
		s.sweeper.Close()
	}
	err = errors.Join(err, s.journal.Close())
	<-sent
	return err
}

// flushTime is what the collector of traces has for the last spans. It is less than
// CloseTime.
const flushTime = time.Second

// flushTraces ends the traces. The channel is closed when what waited is sent, or when
// the time for that is over.
func (s *server) flushTraces() <-chan struct{} {
	done := make(chan struct{})
	if s.tracer == nil {
		close(done)
		return done
	}
	go pprof.Do(context.Background(), pprof.Labels("relay", "traces"), func(ctx context.Context) {
		defer close(done)
		ctx, cancel := context.WithTimeout(ctx, flushTime)
		defer cancel()
		if err := s.tracer.Close(ctx); err != nil {
			s.log.Warn("the last traces were not sent in time", "limit", flushTime)
		}
	})
	return done
}
