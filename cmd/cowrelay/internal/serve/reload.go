package serve

import (
	"context"
	"log/slog"
	"runtime"
	"runtime/pprof"
	"time"

	"cowrelay/cmd/cowrelay/internal/config"
	"cowrelay/cow"
	relayhttp "cowrelay/fasthttp"
)

// tuner holds the configuration that a relay runs with, and changes what may
// change while it runs.
type tuner struct {
	*config.Config
	layers *config.Layers
	level  *slog.LevelVar
	store  *cow.Store
	relay  *relayhttp.Relay
}

// liveOptions are the relay's settings that SetLive takes.
func liveOptions(c *config.Config) relayhttp.Live {
	return relayhttp.Live{
		MaxConnsPerAddress: c.MaxConnsPerAddress, MaxStreams: c.MaxStreams, MaxWaiters: c.MaxLongPolls, AccessLog: c.AccessLog,
		RateLimits: &c.RateLimits, TrustedProxies: c.TrustedProxies, ClientHeaders: c.ClientHeaders, CORSOrigins: c.CORSOrigins,
	}
}

// apply makes the live settings those of the configuration.
func (t *tuner) apply() {
	t.level.Set(t.LogLevel)
	runtime.SetMutexProfileFraction(t.MutexRate)
	runtime.SetBlockProfileRate(t.BlockRate)
	t.store.SetLimits(t.MaxSlots, uint64(t.DiskReserve))
	t.relay.SetLive(liveOptions(t.Config))
}

// reread is a configuration that was read while the relay runs, and what it
// changes.
type reread struct {
	config           *config.Config
	changed, restart int
}

// read reads the configuration again and keeps of it what may change. Where it
// is wrong, that is logged, and the result is nil. It may take as long as the
// files do; nobody may call adopt meanwhile.
func (t *tuner) read(log *slog.Logger) *reread {
	next, err := t.layers.Load()
	if err != nil {
		log.Error("configuration not reloaded: it stays as it was", "error", err)
		return nil
	}
	changes, err := next.KeepFixed(t.Config)
	if err != nil {
		log.Error("BUG: a setting that was right is wrong", "error", err)
	}
	r := &reread{config: next}
	for _, c := range changes {
		if c.Live {
			r.changed++
			log.Info("setting changed", "setting", c.Name, "from", c.Old, "to", c.Value)
		} else {
			r.restart++
			log.Warn("setting not changed: it needs a restart", "setting", c.Name, "runs_with", c.Old, "configured", c.Value)
		}
	}
	return r
}

// adopt makes a configuration the one that the relay runs with.
func (t *tuner) adopt(r *reread, log *slog.Logger) {
	t.Config = r.config
	t.apply()
	log.Info("configuration reloaded", "changed", r.changed, "need_restart", r.restart)
}

// reloader reads the configuration on a goroutine of its own, because a file may
// block: a FIFO, or a file system that hangs. begin and end belong to the loop
// that hears signals, which waits for none of it.
type reloader struct {
	tuner   *tuner
	log     *slog.Logger
	manager *supervisor
	done    chan *reread // what was read; end takes it

	reading bool
	again   bool // somebody asked while it was read
}

func newReloader(t *tuner, log *slog.Logger, manager *supervisor) *reloader {
	return &reloader{tuner: t, log: log, manager: manager, done: make(chan *reread, 1)}
}

// reloadSlow is when a configuration that is still being read is told of.
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
	// One whose file blocks for ever ends with the process.
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
	if r.again {
		r.again = false
		r.begin()
		return
	}
	r.manager.reloaded()
}
