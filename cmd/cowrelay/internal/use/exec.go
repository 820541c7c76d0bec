package use

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	ossignal "os/signal"
	"path/filepath"
	"runtime/pprof"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"cowrelay/cmd/cowrelay/internal/command"
	"cowrelay/cmd/cowrelay/internal/term"
	relayclient "cowrelay/fasthttp/client"

	"github.com/spf13/cobra"
)

// Variables that a command of --exec finds, beside those that name relay and slot.
const (
	eventIDVariable  = "COWRELAY_EVENT_ID"
	positionVariable = "COWRELAY_POSITION"
)

// executor runs a command for each event. Events wait in a queue of bounded length.
// When it is full, the stream is read no further until a command has ended:
//
//	stream ─▶ add ─▶ queue ─▶ workers, a command each ─▶ finished ─▶ resume file
//
// Of what is finished, the resume file gets the place behind the last event before
// which nothing is open. So what was open when the process ended comes again, and
// nothing is left out.
type executor struct {
	text              string // of --exec; "": none
	keepGoing         bool
	parallel, waiting int

	name           string // of the command, for stderr
	env            []string
	stdout, stderr io.Writer
	place          *resume

	queue   chan *execution
	begin   context.Context // no command begins after its end: a signal, or one failed
	fail    context.CancelCauseFunc
	run     context.Context // its end ends the commands that run: a second signal
	end     func()
	workers sync.WaitGroup

	mu     sync.Mutex
	open   []*execution // guarded by mu; in the order of the slot, until they are finished and all before them too
	failed int          // guarded by mu; commands that failed, with keepGoing
	why    error        // guarded by mu; the first error that ended it
}

// execution is one event and its command.
type execution struct {
	relayclient.Event
	finished bool // guarded by executor.mu
}

// addFlags adds the flags.
func (x *executor) addFlags(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringVar(&x.text, "exec", "", "run this shell command for each event, with the event on its standard input; nothing is printed")
	f.BoolVar(&x.keepGoing, "keep-going", false, "go on after a command of --exec that failed; the exit status is 1 in the end")
	f.IntVar(&x.parallel, "parallel", 1, "how many commands of --exec may run at once; with more than 1 they end in any order")
	f.IntVar(&x.waiting, "queue", 16, "how many events may wait for their command; then the stream is not read on")
	command.NoFiles(cmd, "parallel", "queue")
}

// check refuses flags that make no sense.
func (x *executor) check(cmd *cobra.Command) error {
	f := cmd.Flags()
	switch {
	case x.parallel < 1 || x.parallel > 256:
		return command.WrongValue(cmd, "parallel", "a whole number from 1 to 256")
	case x.waiting < 1 || x.waiting > 1000:
		return command.WrongValue(cmd, "queue", "a whole number from 1 to 1000")
	case f.Changed("exec") && strings.TrimSpace(x.text) == "":
		return errors.New("--exec: which command?")
	case x.text == "" && (x.keepGoing || f.Changed("parallel") || f.Changed("queue")):
		return errors.New("--keep-going, --parallel and --queue are for --exec")
	case x.text != "" && f.Changed("template"):
		return errors.New("--exec and --template exclude each other: the command gets the event as it was posted")
	}
	return nil
}

// start starts the workers. It returns a context for the reader of the stream: it
// ends with ctx, and when a command failed.
func (x *executor) start(s *slotSession, place *resume) context.Context {
	x.name, x.env, x.place = s.cmd.CommandPath(), s.environ(), place
	x.stdout, x.stderr = s.cmd.OutOrStdout(), s.cmd.ErrOrStderr()
	if f := term.FileOf(x.stdout); f != nil {
		x.stdout = f // the command writes to it itself
	}
	x.queue = make(chan *execution, x.waiting)
	x.begin, x.fail = context.WithCancelCause(s.ctx)
	x.run, x.end = untilSecondSignal()
	for range x.parallel {
		x.workers.Go(func() {
			pprof.Do(context.Background(), pprof.Labels("cowrelay", "exec"), func(context.Context) { x.work() })
		})
	}
	return x.begin
}

// untilSecondSignal returns a context that the second SIGINT or SIGTERM ends. The
// first one ends the session's, and lets commands that run come to their end.
func untilSecondSignal() (context.Context, func()) {
	signals := make(chan os.Signal, 2)
	ossignal.Notify(signals, syscall.SIGINT, syscall.SIGTERM)
	ctx, cancel := context.WithCancel(context.Background())
	var watch sync.WaitGroup
	watch.Go(func() {
		pprof.Do(ctx, pprof.Labels("cowrelay", "signals"), func(context.Context) {
			for range 2 {
				select {
				case <-signals:
				case <-ctx.Done():
					return
				}
			}
			cancel()
		})
	})
	return ctx, func() {
		ossignal.Stop(signals)
		cancel()
		watch.Wait()
	}
}

// add queues an event, and waits while the queue is full.
func (x *executor) add(e relayclient.Event) error {
	one := &execution{Event: e}
	x.mu.Lock()
	x.open = append(x.open, one)
	x.mu.Unlock()
	select {
	case x.queue <- one:
		return nil
	case <-x.begin.Done():
		return context.Cause(x.begin)
	}
}

// finish waits for the commands of all events that were added, or after a signal or a
// failure for those that run. It returns why the commands ended, if they did not end well.
func (x *executor) finish() error {
	close(x.queue)
	x.workers.Wait()
	x.end()
	x.fail(nil)
	if x.why != nil {
		return x.why
	}
	if x.failed > 0 {
		return fmt.Errorf("%d commands failed", x.failed)
	}
	return nil
}

func (x *executor) work() {
	for one := range x.queue {
		if x.begin.Err() != nil {
			return
		}
		err := x.execute(one.Event)
		if err != nil {
			err = fmt.Errorf("the command failed for %s: %w", eventName(one.Event), err)
			next, known := one.Cursor.Position()
			switch {
			case x.keepGoing && x.run.Err() == nil:
				fmt.Fprintf(x.stderr, "%s: %s\n", x.name, term.Shown(err.Error()))
			case known && x.place.path == "":
				err = fmt.Errorf("%w; to go on behind it: --from %d", err, next)
			}
		}
		if !x.finished(one, err) {
			return
		}
	}
}

// finished takes note that an event's command has ended. It returns false if that ends
// the worker: no further command begins then.
func (x *executor) finished(one *execution, err error) bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	if err != nil && x.keepGoing && x.run.Err() == nil {
		x.failed++
		err = nil
	}
	if err == nil {
		one.finished = true
		err = x.save()
	}
	if err != nil {
		if x.why == nil {
			x.why = err
		}
		x.fail(err)
	}
	return err == nil
}

// save saves the place behind the last event before which nothing is open, with mu held.
func (x *executor) save() error {
	n := 0
	for n < len(x.open) && x.open[n].finished {
		n++
	}
	if n == 0 {
		return nil
	}
	at := x.open[n-1].Cursor
	x.open = slices.Delete(x.open, 0, n)
	return x.place.done(at, 0)
}

// execute runs the command for one event, in a process group of its own: Ctrl-C is for
// the tail, which then lets the command end.
func (x *executor) execute(e relayclient.Event) error {
	cmd := exec.CommandContext(x.run, "/bin/sh", "-c", x.text)
	cmd.Env = append(append([]string(nil), x.env...), positionVariable+"="+positionText(e))
	if id := eventIDVariable + "=" + e.ID; !strings.Contains(id, "\x00") { // no variable can hold that
		cmd.Env = append(cmd.Env, id)
	}
	cmd.Stdin = io.MultiReader(bytes.NewReader(e.JSON), strings.NewReader("\n"))
	cmd.Stdout, cmd.Stderr = x.stdout, x.stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGTERM) }
	// What the command left behind may hold its input or output open: that is not waited for.
	cmd.WaitDelay = 2 * time.Second
	err := cmd.Run()
	if errors.Is(err, exec.ErrWaitDelay) {
		return nil
	}
	return err
}

// environ is the environment of commands: with it, cowrelay uses the same slot.
func (s *slotSession) environ() []string {
	env := os.Environ()
	drop := []string{eventIDVariable + "=", positionVariable + "="}
	env = append(env, relayVariable+"="+s.relay, slotVariable+"="+s.slot)
	switch {
	case s.profile != nil && s.tokenFrom == s.profile.path:
		env = append(env, profileVariable+"="+s.profile.name, profileDirVar+"="+filepath.Dir(s.profile.path))
	case s.tokenFrom != tokenVariable:
		env = append(env, tokenFileVar+"="+s.tokenFrom)
		drop = append(drop, profileVariable+"=")
	}
	return slices.DeleteFunc(env, func(v string) bool {
		return slices.ContainsFunc(drop, func(name string) bool { return strings.HasPrefix(v, name) })
	})
}
