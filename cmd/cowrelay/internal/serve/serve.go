package serve

import (
	"fmt"
	"io"
	"log/slog"
	"net"
	"slices"
	"sync/atomic"

	"cowrelay/cmd/cowrelay/internal/certs"
	"cowrelay/cmd/cowrelay/internal/fleet"
	"cowrelay/cmd/cowrelay/internal/handover"
	"cowrelay/cmd/cowrelay/internal/otlp"
	"cowrelay/cmd/cowrelay/internal/plan"
	"cowrelay/cow/engine"
	"cowrelay/cow/natslog"
	"cowrelay/cow/rendezvous"
	"cowrelay/cow/retention"
	relayhttp "cowrelay/fasthttp"
	"cowrelay/fasthttp/admin"
	"cowrelay/fasthttp/stats"
)

// server is one run of a relay.
//
// It starts in this order, each step for the reason beside it:
//
//	process     first, so that every later step can log, and a signal ends it
//	limits      of memory and open files: too few files end the start here
//	listeners   before the store: a taken port is reported with the disk untouched
//	operators   before the store too: /healthz and /readyz answer while it opens
//	manager     hears that the store opens, which may take longer than a start may
//	store       the journal replays its log, then the slots are read; for a log that
//	            relays share it waits for the servers, and copies another relay's store
//	desk        reads the records that stand beside the slots
//	fleet       the other relays are told of this one
//	traces      have a collector, if there is one; nobody waits for it
//	relay       has all of them from its first request on
//	service     connections have waited in the listener since it was opened, those of
//	            the program before since that one has let go of them
//
// and stops in the reverse, with two exceptions. The process's deadline begins
// before anything is stopped, so that no step can hold up the end. And the store
// is closed before the operators' listener is, so that /healthz answers and
// metrics can be read until everything is on disk.
type server struct {
	*tuner
	version    string
	stderr     io.Writer // of the process: the log goes there, and progress if it is a terminal
	acceptLoss bool      // of a damaged log, see engine.Options
	leaveFleet bool      // of a data folder, see engine.Options
	joins      joining
	process    *process
	log        *slog.Logger
	files      plan.OpenFiles
	memory     plan.Budget

	taken   *handover.State   // what the program before has left; nil: there was none
	sockets *handover.Sockets // all that is listened on
	doors   []door            // of clients
	certs   *certs.Source     // of those of them that speak TLS; nil: none does
	adminLn net.Listener      // of operators; nil: there is none
	admin   *admin.Server
	trials  *trials
	access  *accessLog // nil: requests are in the log of all else, or nowhere
	manager *supervisor
	journal *engine.Journal
	// shared is the journal if relays share its log. openShared stores it; the
	// operators' listener loads it, which answers before that.
	shared    atomic.Pointer[engine.Shared]
	sharedLog *natslog.Log
	fleet     *fleet.Book            // nil: the log is not shared
	saying    atomic.Pointer[string] // what the start waits for: say stores it, told loads it
	desk      *rendezvous.Desk
	sweeper   *retention.Sweeper // set by begin
	figures   stats.Process
	tracer    *otlp.Tracer // nil: nothing is traced

	// observer is the relay once it serves. The store is opened first, and its
	// goroutines report to the relay from then on: start stores it, the callbacks
	// of the store load it.
	observer atomic.Pointer[relayhttp.Relay]

	served chan error // what ended the service, if no signal did; a place for each listener, and one
	undo   []func()   // what end has to do, the last one first
}

// serve runs the relay until a signal ends it, or until another program takes its
// place, which then has its process.
func (s *server) serve(stderr io.Writer) error {
	next, err := s.live(stderr)
	if next != nil {
		return next.execute()
	}
	return err
}

// live is the relay's life. What it returns is to be executed next, if it is not nil.
func (s *server) live(stderr io.Writer) (*successor, error) {
	defer s.end()
	if err := s.start(stderr); err != nil {
		return nil, err
	}
	for {
		over, err := s.run()
		if !over {
			return nil, s.stop(err)
		}
		kept, err := s.sockets.Keep()
		if err == nil {
			return s.handOver(kept)
		}
		s.log.Error("hand-over refused: this program goes on", "error", err)
		s.figures.HandoverRefused()
	}
}

// run returns when the relay is to hand over, which over says, or to stop: with nil for
// a signal, or with why it can't serve. All changes of the configuration happen on this
// goroutine.
func (s *server) run() (over bool, err error) {
	reload := newReloader(s.tuner, s.log, s.manager, &s.figures)
	for {
		select {
		case <-s.process.hup:
			s.reopenAccessLog()
			reload.begin()
		case next := <-reload.done:
			reload.end(next)
			if s.certs != nil {
				s.certs.Look()
			}
		case <-s.process.usr2:
			s.trials.begin(nil)
		case ask := <-s.trials.asks:
			s.trials.begin(ask.answer)
		case found := <-s.trials.done:
			if s.trials.end(found); found.err == nil {
				return true, nil
			}
			s.figures.HandoverRefused()
		case err := <-s.served:
			return false, fmt.Errorf("cannot serve: %w", err)
		case sig := <-s.process.stop:
			s.log.Info("stopping", "signal", sig.String())
			return false, nil
		}
	}
}

// later has end call f. What start begins, it undoes that way: also when a later
// step fails.
func (s *server) later(f func()) { s.undo = append(s.undo, f) }

func (s *server) end() {
	for _, f := range slices.Backward(s.undo) {
		f()
	}
}
