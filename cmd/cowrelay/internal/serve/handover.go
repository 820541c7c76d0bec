package serve

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"runtime/pprof"
	"sync"
	"sync/atomic"
	"time"

	"cowrelay/cmd/cowrelay/internal/command"
	"cowrelay/cmd/cowrelay/internal/config"
	"cowrelay/cmd/cowrelay/internal/handover"
	"cowrelay/cmd/cowrelay/internal/plan"
	"cowrelay/fasthttp/admin"

	"github.com/spf13/cobra"
)

// try says that this program could serve with this configuration, to the relay that
// asks. What can only be found by opening the store is not looked at: that relay has it
// open.
func try(cmd *cobra.Command, c *config.Config) error {
	if _, err := plan.Files(c.MaxConns); err != nil {
		return err
	}
	return handover.Yes(cmd.OutOrStdout(), cmd.Root().Version)
}

// trials ask the binary whether it could take over, one at a time. begin and end belong
// to the loop that hears signals, which waits for none of it.
//
//	      begin               end
//	idle ──────▶ on trial ──────▶ idle, or the relay hands over
type trials struct {
	log  *slog.Logger
	self handover.Program
	asks chan trialAsk   // of operators
	done chan trialEnd   // end takes it
	busy bool            // one is under way
	who  chan<- trialEnd // who asked for it; nil: a signal
}

type trialAsk struct{ answer chan<- trialEnd }

// trialEnd is what a trial has found.
type trialEnd struct {
	version string // of the binary
	err     error  // why it can't take over
}

func newTrials(log *slog.Logger) *trials {
	t := &trials{log: log, asks: make(chan trialAsk), done: make(chan trialEnd, 1)}
	var err error
	if t.self, err = handover.Self(); err != nil {
		log.Warn("the file of this program is not known: the relay can't hand over", "error", err)
	}
	return t
}

// begin begins a trial. who hears what it finds.
func (t *trials) begin(who chan<- trialEnd) {
	if t.busy {
		t.log.Warn("hand-over refused: another one is under way")
		if who != nil {
			who <- trialEnd{err: admin.ErrUnderWay}
		}
		return
	}
	t.busy, t.who = true, who
	go pprof.Do(context.Background(), pprof.Labels("relay", "trial"), func(ctx context.Context) {
		var e trialEnd
		if e.err = handover.Supported(); e.err == nil {
			e.version, e.err = handover.Try(ctx, t.self)
		}
		t.done <- e
	})
}

// end tells who asked for it what a trial has found.
func (t *trials) end(e trialEnd) {
	if t.busy = false; e.err != nil {
		t.log.Error("hand-over refused: the program can't take over, and this one goes on", "program", t.self.Path, "error", e.err)
	} else {
		t.log.Info("the program can take over", "program", t.self.Path, "version", e.version)
	}
	if t.who != nil {
		t.who <- e
	}
}

// askHandover has the relay hand over, for operators. It returns when the binary has
// said whether it could take over, and the version of the binary.
func (s *server) askHandover(ctx context.Context) (version string, err error) {
	answer := make(chan trialEnd, 1) // so that nobody waits for us
	select {
	case s.trials.asks <- trialAsk{answer}:
	case <-ctx.Done():
		return "", ctx.Err()
	}
	select {
	case e := <-answer:
		return e.version, e.err
	case <-ctx.Done():
		return "", ctx.Err()
	}
}

// successor is the execution of the next program. Whoever comes first executes it.
type successor struct {
	program handover.Program
	state   handover.State
	once    sync.Once
	dropped atomic.Bool // a signal asks for the end: nothing is executed
}

// execute executes the next program. It returns with an error.
func (n *successor) execute() (err error) {
	n.once.Do(func() {
		if err = n.state.Exec(n.program); err == nil {
			return
		}
		// The store is closed, and begins anew with the program that is known to work.
		n.state.Failed = err.Error()
		err = errors.Join(err, n.state.Exec(handover.Running()))
	})
	return err
}

// handOver ends the relay and leaves the sockets to the next program, which the caller
// executes:
//
//	deadline   first: when the time is over the next program is executed all the same
//	manager    hears that the relay reloads
//	relay      nothing is accepted any more: new connections wait in the kernel. Streams
//	           end with a retry line, requests under way are answered, and connections
//	           that wait for a request are kept
//	store      as in stop
//
// An error of the store does not hold it up: the next program recovers the store.
func (s *server) handOver(kept []handover.Listener) (*successor, error) {
	n := &successor{program: s.trials.self}
	n.state = handover.State{Count: s.handovers() + 1, From: s.version, Began: time.Now(), Listeners: kept}
	s.process.handsOver(s.DrainTimeout+CloseTime, n)
	s.manager.handingOver()
	ctx, cancel := context.WithTimeout(context.Background(), s.DrainTimeout)
	defer cancel()
	conns, err := s.relay.HandOver(ctx)
	n.state.Conns = conns
	if errors.Is(err, context.DeadlineExceeded) { // clients that have not let go in time are cut off
		err = nil
	}
	if err = errors.Join(err, s.closeStore()); err != nil {
		s.log.Error("the end before a hand-over was not clean: the next program recovers the store", "error", err)
	}
	if n.dropped.Load() {
		s.log.Info("stopped, and not handed over")
		return nil, err
	}
	s.manager.leave()
	s.log.Info("handed over", "to", n.program.Path, "connections", len(conns), "took", time.Since(n.state.Began).Round(time.Millisecond).String())
	return n, nil
}

// handovers is how often the process was handed over until now.
func (s *server) handovers() int {
	if s.taken == nil {
		return 0
	}
	return s.taken.Count
}

// resume takes over the connections that the program before has kept. From here on
// there is no way back to it.
func (s *server) resume() {
	for _, name := range s.sockets.Settle() {
		s.log.Warn("a socket that this process was given is closed: the configuration has no use for it", "socket", name)
	}
	if s.taken == nil {
		return
	}
	s.taken.Settle()
	conns := s.taken.Conns
	gap := time.Since(s.taken.Began)
	s.figures.HandedOver(s.taken.Count, s.taken.Failed, gap)
	if s.taken.Failed != "" {
		s.log.Error("the program that should have taken over could not serve: this one goes on", "error", s.taken.Failed, "gap", gap.Round(time.Millisecond).String())
	} else {
		s.log.Info("took over", "from", s.taken.From, "connections", len(conns), "gap", gap.Round(time.Millisecond).String())
	}
	go pprof.Do(context.Background(), pprof.Labels("relay", "serve"), func(context.Context) { s.served <- s.relay.Resume(conns) })
}

// handsOver is endsWithin for a hand-over: when the time is over, the next program is
// executed all the same. A signal asks for the end instead; a second one, for one at
// once.
func (p *process) handsOver(limit time.Duration, n *successor) {
	p.handing = true
	go pprof.Do(context.Background(), pprof.Labels("relay", "end"), func(context.Context) {
		late := time.After(limit)
		for {
			select {
			case <-p.usr2:
				p.log.Warn("hand-over refused: another one is under way")
			case sig := <-p.stop:
				if n.dropped.Swap(true) {
					p.log.Error("second signal: ending at once")
					p.lines.flush(lastWords)
					os.Exit(command.Failed)
				}
				p.log.Info("stopping behind the hand-over that is under way", "signal", sig.String())
			case <-late:
				p.log.Error("the relay has not ended in time", "limit", limit, "goroutines", goroutines())
				if n.dropped.Load() {
					p.exit(command.Failed)
				}
				p.lines.flush(logFlush)
				n.execute()
				p.exit(command.Failed)
			}
		}
	})
}
