package serve

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"runtime/pprof"
	"sync"
	"syscall"
	"time"

	"cowrelay/cmd/cowrelay/internal/command"
)

// process is what serve has to do with the process that it runs in: the signals
// that it hears, the log that it writes, and its end, which nothing that hangs may
// hold up. What a signal does depends on how far the relay is:
//
//	               SIGTERM, SIGINT            SIGHUP                            SIGUSR2
//	starting       ends the process           waits                             waits
//	serving        begins the drain           reads the configuration again     begins the trial of the binary
//	handing over   ends the process behind    is lost, as the next program      is refused
//	               it; a second at once       reads the configuration
//	draining       ends the process at once   is lost                           is lost
//
// Each of the three is one goroutine that reads stop, and none overlaps another.
type process struct {
	log   *slog.Logger
	lines *logWriter
	stop  chan os.Signal // asks for the end; room for two, as a second one hurries it
	hup   chan os.Signal // asks for a reload; more than one that waits are one
	usr2  chan os.Signal // asks for a hand-over; likewise

	handing bool // set by handsOver, read by close
}

// newProcess takes the signals over. The log goes to w.
func newProcess(c *tuner, w io.Writer) *process {
	p := &process{stop: make(chan os.Signal, 2), hup: make(chan os.Signal, 1), usr2: make(chan os.Signal, 1)}
	// Without this a log whose reader has gone would end the process. A write to it
	// is an error like others.
	signal.Ignore(syscall.SIGPIPE)
	signal.Notify(p.stop, syscall.SIGTERM, syscall.SIGINT)
	signal.Notify(p.hup, syscall.SIGHUP)
	signal.Notify(p.usr2, syscall.SIGUSR2)
	format, level := c.LogFormat, c.level // what a reload leaves alone
	p.lines = newLogWriter(w, func(lines uint64) []byte { return linesMissing(format, lines) })
	p.log = slog.New(logHandler(format, level, p.lines))
	slog.SetDefault(p.log)
	return p
}

func logHandler(format string, level slog.Leveler, w io.Writer) slog.Handler {
	o := &slog.HandlerOptions{Level: level}
	if format == "json" {
		return slog.NewJSONHandler(w, o)
	}
	return slog.NewTextHandler(w, o)
}

// linesMissing is the line of the log that says how many are missing. It is written
// at every level.
func linesMissing(format string, lines uint64) []byte {
	var b bytes.Buffer
	r := slog.NewRecord(time.Now(), slog.LevelWarn, "lines of the log are missing here: they were not read in time, or could not be written", 0)
	r.Add("lines", lines)
	logHandler(format, slog.LevelWarn, &b).Handle(context.Background(), r)
	return b.Bytes()
}

const (
	CloseTime = 2 * time.Second        // that the store has to close, after the drain's timeout
	lastWords = 200 * time.Millisecond // that the log has when the end can't wait
)

// close writes out the log when serve returns. What is left to do then is to print
// the error of serve, on the same stderr that may hang: there is as long again for
// it.
func (p *process) close() {
	signal.Stop(p.hup)
	p.lines.close(logFlush)
	if p.handing {
		return // the next program is executed at once
	}
	time.AfterFunc(logFlush, func() { os.Exit(command.Failed) })
}

// exit ends the process as soon as the log is written out.
func (p *process) exit(code int) {
	p.lines.flush(logFlush)
	os.Exit(code)
}

// endsAtSignal has a signal end the process until done is called, which is when the
// relay serves. Until then nobody has been served, and to open the store is to
// recover it, which may be cut at any point.
func (p *process) endsAtSignal() (done func()) {
	quit := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		select {
		case sig := <-p.stop:
			p.log.Info("ending before the store is open", "signal", sig.String())
			p.exit(command.OK)
		case <-quit:
		}
	})
	return sync.OnceFunc(func() {
		close(quit)
		wg.Wait()
	})
}

// endsWithin ends the process at the next signal, or after limit, whatever hangs.
// What was acknowledged is durable, and the next start recovers the store. The
// goroutine ends with the process.
func (p *process) endsWithin(limit time.Duration) {
	go pprof.Do(context.Background(), pprof.Labels("relay", "end"), func(context.Context) {
		select {
		case <-p.stop:
			p.log.Error("second signal: ending at once")
			p.lines.flush(lastWords)
			os.Exit(command.Failed)
		case <-time.After(limit):
			p.log.Error("the relay has not ended in time: ending at once", "limit", limit, "goroutines", goroutines())
			p.exit(command.Failed)
		}
	})
}

// goroutines says where all goroutines are, those at the same place together, cut to
// what a line of the log can hold.
func goroutines() string {
	var b bytes.Buffer
	pprof.Lookup("goroutine").WriteTo(&b, 1)
	return string(b.Bytes()[:min(b.Len(), logBytes/8)])
}
