package serve

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"os"
	"runtime/pprof"
	"strings"
	"sync"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"
)

// supervisor is the service manager that started this process and wants to hear from
// it, as systemd does with Type=notify. Without one its methods do nothing. They may
// be called from several goroutines, and none waits for the manager, except close.
//
// The manager hears this, in order:
//
//	opening     EXTEND_TIMEOUT_USEC, as often as needed
//	serving     READY=1, then WATCHDOG=1 as long as the relay answers itself
//	reloading   RELOADING=1, and READY=1 at its end; any number of times
//	handing     RELOADING=1, and WATCHDOG=1 for a relay that ends; the next program goes
//	over        on with opening, in the same process
//	stopping    STOPPING=1, the last word
type supervisor struct {
	log    *slog.Logger
	socket string // "": nobody listens

	wg     sync.WaitGroup  // of what runs beside the relay, and of send
	ctx    context.Context // until stopping
	cancel context.CancelFunc
	asking context.Context // until handingOver: alive may be asked
	unask  context.CancelFunc

	mu       sync.Mutex
	over     bool        // guarded by mu; the last word is said, and messages is closed
	messages chan string // to be sent, in order; sent to and closed under mu
}

const (
	managerQueue   = 16          // messages that may wait for a manager that does not read
	managerTimeout = time.Second // for one message
)

func newSupervisor(log *slog.Logger) *supervisor {
	s := &supervisor{log: log, socket: os.Getenv("NOTIFY_SOCKET"), messages: make(chan string, managerQueue)}
	s.ctx, s.cancel = context.WithCancel(context.Background())
	s.asking, s.unask = context.WithCancel(s.ctx)
	if s.socket != "" {
		s.run(s.send)
	}
	return s
}

// queue queues one message of several assignments.
func (s *supervisor) queue(lines ...string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.socket == "" || s.over {
		return
	}
	select {
	case s.messages <- strings.Join(lines, "\n"):
	default:
		s.log.Warn("cannot tell the service manager: it does not read", "message", lines[0])
	}
}

// send sends the messages, until the queue is closed.
func (s *supervisor) send() {
	for message := range s.messages {
		if err := notify(s.socket, message); err != nil {
			first, _, _ := strings.Cut(message, "\n")
			s.log.Warn("cannot tell the service manager", "message", first, "error", err)
		}
	}
}

// notify sends a message as sd_notify does. It is not daemon.SdNotify, which waits
// for ever for a manager that does not read.
func notify(socket, message string) error {
	conn, err := net.DialUnix("unixgram", nil, &net.UnixAddr{Name: socket, Net: "unixgram"})
	if err != nil {
		return err
	}
	defer conn.Close()
	if err := conn.SetWriteDeadline(time.Now().Add(managerTimeout)); err != nil {
		return err
	}
	_, err = conn.Write([]byte(message))
	return err
}

// run runs f beside the relay, on a goroutine that close waits for.
func (s *supervisor) run(f func()) {
	s.wg.Go(func() {
		pprof.Do(context.Background(), pprof.Labels("relay", "supervisor"), func(context.Context) { f() })
	})
}

const (
	openingTell  = 10 * time.Second // between two messages while the store opens
	openingGrant = 30 * time.Second // asked for at each
	openingMost  = 30 * time.Minute // so that a disk that never answers is found
)

// opening asks the manager for time until done is called: to replay a long log may
// take longer than a start may. If this program has taken over, the watchdog runs.
func (s *supervisor) opening(tookOver bool) (done func()) {
	if s.socket == "" {
		return func() {}
	}
	ctx, cancel := context.WithCancel(s.ctx)
	lines := []string{extend(openingGrant)}
	every := openingTell
	if tookOver {
		lines = append(lines, daemon.SdNotifyWatchdog)
		if watched, err := daemon.SdWatchdogEnabled(false); err == nil && watched > 0 {
			every = min(every, watched/4)
		}
	}
	s.queue(append(lines, "STATUS=opening the store")...)
	s.repeat(ctx, every, lines)
	return cancel
}

// repeat says the lines again and again, until ctx ends or openingMost is over.
func (s *supervisor) repeat(ctx context.Context, every time.Duration, lines []string) {
	s.run(func() {
		t := time.NewTicker(every)
		defer t.Stop()
		for range openingMost / every {
			select {
			case <-ctx.Done():
				return
			case <-t.C:
				s.queue(lines...)
			}
		}
	})
}

// handingOver says that the relay ends for another program, which says READY=1 when it
// serves. Until leave the relay is alive, though its listeners do not answer.
func (s *supervisor) handingOver() {
	s.unask()
	s.reloading()
	if watched, err := daemon.SdWatchdogEnabled(false); err == nil && watched > 0 {
		s.queue(daemon.SdNotifyWatchdog)
		s.repeat(s.ctx, watched/4, []string{daemon.SdNotifyWatchdog})
	}
}

// leave is the end of what runs beside the relay, without a last word: the next program
// speaks to the manager.
func (s *supervisor) leave() { s.shut() }

func extend(d time.Duration) string { return fmt.Sprintf("EXTEND_TIMEOUT_USEC=%d", d.Microseconds()) }

// serving says that the relay is ready as soon as alive returns nil, and from then
// on, if the manager watches, that it still is. alive is asked four times in the
// time that the manager waits, so that it may fail twice in a row. status is what
// people are shown.
func (s *supervisor) serving(alive func(context.Context) error, status func() string) {
	if s.socket == "" {
		return
	}
	watched, err := daemon.SdWatchdogEnabled(false)
	if err != nil {
		s.log.Warn("the service manager's watchdog is off", "error", err)
	}
	every := watched / 4
	if watched == 0 {
		every = time.Second
	}
	s.run(func() {
		t := time.NewTicker(every)
		defer t.Stop()
		for ready := false; ; {
			ctx, cancel := context.WithTimeout(s.asking, every)
			err := alive(ctx)
			cancel()
			if s.asking.Err() != nil {
				return // the answer may be that of a relay that ends
			}
			lines := []string{"STATUS=" + status()}
			switch {
			case err != nil:
				s.log.Error("the relay does not answer itself", "error", err)
				lines = []string{"STATUS=does not answer itself: " + err.Error()}
			case !ready:
				lines = append(lines, daemon.SdNotifyReady)
				ready = true
			case watched > 0:
				lines = append(lines, daemon.SdNotifyWatchdog)
			}
			s.queue(lines...)
			if ready && watched == 0 {
				return
			}
			select {
			case <-s.asking.Done():
				return
			case <-t.C:
			}
		}
	})
}

// reloading says that a reload begins, reloaded that it has ended. The manager wants
// the time of the beginning, to know this reload from an earlier one.
func (s *supervisor) reloading() {
	s.queue(daemon.SdNotifyReloading, strings.TrimSpace(daemon.SdNotifyMonotonicUsec()))
}

func (s *supervisor) reloaded() { s.queue(daemon.SdNotifyReady) }

// stopping says that the end has begun, which is the last word, and ends what runs
// beside the relay. A second call does nothing.
func (s *supervisor) stopping(why string) {
	s.queue(daemon.SdNotifyStopping, "STATUS="+why)
	s.shut()
}

// shut ends what runs beside the relay, and what is said.
func (s *supervisor) shut() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.over {
		s.over = true
		s.cancel()
		close(s.messages)
	}
}

// close says the last word, if it was not said, and returns when it is sent, or after
// the time that a message may take.
func (s *supervisor) close() {
	s.stopping("ending")
	heard := make(chan struct{})
	go func() { s.wg.Wait(); close(heard) }()
	select {
	case <-heard:
	case <-time.After(managerTimeout):
	}
}
