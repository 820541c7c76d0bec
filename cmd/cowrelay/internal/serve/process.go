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
// that it hears, the log that it writes, and its end, which none of what hangs
// may hold up.
type process struct {
	log   *slog.Logger
	lines *logWriter
	stop  chan os.Signal // asks for the end
	hup   chan os.Signal // asks for a reload
}

// newProcess takes the signals over. The log goes to w.
func newProcess(c *tuner, w io.Writer) *process {
	p := &process{stop: make(chan os.Signal, 2), hup: make(chan os.Signal, 1)}
	// Or a log whose reader has gone would end the process: a write to it is an
	// error like others.
	signal.Ignore(syscall.SIGPIPE)
	signal.Notify(p.stop, syscall.SIGTERM, syscall.SIGINT)
	signal.Notify(p.hup, syscall.SIGHUP)
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

// linesMissing is the line that tells of dropped ones, whatever the level.
func linesMissing(format string, lines uint64) []byte {
	var b bytes.Buffer
	r := slog.NewRecord(time.Now(), slog.LevelWarn, "lines of the log are missing here: they were not read in time, or could not be written", 0)
	r.Add("lines", lines)
	logHandler(format, slog.LevelWarn, &b).Handle(context.Background(), r)
	return b.Bytes()
}

const (
	CloseTime = 2 * time.Second        // for the store, behind the drain's timeout
	lastWords = 200 * time.Millisecond // for the log when the end can't wait
)

// close writes out the log when serve returns. What is left then is to print
// its error, for which there is as long again.
func (p *process) close() {
	signal.Stop(p.hup)
	p.lines.close(logFlush)
	time.AfterFunc(logFlush, func() { os.Exit(command.Failed) })
}

// exit ends the process as soon as the log is written out.
func (p *process) exit(code int) {
	p.lines.flush(logFlush)
	os.Exit(code)
}

// endsAtSignal ends the process at a signal that comes before the relay
// serves: nobody is served yet, and to open the store is to recover it, which
// may be cut at any point. To call done is to end that.
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

// endsWithin ends the process at a signal, or after a time, whatever hangs.
// What was acknowledged is durable, and the next start recovers the store.
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

// goroutines tells where all goroutines are, alike ones together, as far as a
// line of the log can hold it.
func goroutines() string {
	var b bytes.Buffer
	pprof.Lookup("goroutine").WriteTo(&b, 1)
	return string(b.Bytes()[:min(b.Len(), logBytes/8)])
}
