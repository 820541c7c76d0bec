package serve

import (
	"context"
	"log/slog"
	"runtime/pprof"
	"time"

	"cowrelay/fasthttp/stats"
)

// reloader reads the configuration when a signal asks for it. It reads on a
// goroutine of its own, because a file may block: a FIFO, or a file system that
// hangs. begin and end belong to the loop that hears signals, which waits for
// none of it.
//
//	         begin                 end
//	idle ───────────▶ reading ───────────▶ idle
//	                  │     ▲
//	            begin │     │ end: read once more, since the files may have
//	                  ▼     │ changed behind the reading
//	               reading, again
type reloader struct {
	tuner   *tuner
	log     *slog.Logger
	manager *supervisor
	figures *stats.Process
	done    chan *reread // what was read; end takes it

	reading bool
	again   bool // somebody asked while it was read
}

func newReloader(t *tuner, log *slog.Logger, manager *supervisor, figures *stats.Process) *reloader {
	return &reloader{tuner: t, log: log, manager: manager, figures: figures, done: make(chan *reread, 1)}
}

// reloadSlow is the time after which the log says that the configuration is still
// being read.
const reloadSlow = 5 * time.Second

// begin reads the configuration, after the reading under way if there is one:
// that one may have missed what has changed since.
func (r *reloader) begin() {
	if r.reading {
		r.again = true
		return
	}
	r.reading = true
	r.manager.reloading()
	// A goroutine whose file blocks for ever ends with the process.
	go pprof.Do(context.Background(), pprof.Labels("relay", "reload"), func(context.Context) {
		slow := time.AfterFunc(reloadSlow, func() {
			r.log.Warn("the configuration is still being read: does its file, or that of the admin token, block?")
		})
		next := r.tuner.read(r.log)
		slow.Stop()
		r.done <- next
	})
}

// end applies what was read.
func (r *reloader) end(next *reread) {
	r.reading = false
	if next != nil {
		r.tuner.adopt(next, r.log)
	}
	r.figures.Reloaded(next != nil, time.Now())
	if r.again {
		r.again = false
		r.begin()
		return
	}
	r.manager.reloaded()
}
