package serve

import (
	"log/slog"
	"runtime"

	"cowrelay/cmd/cowrelay/internal/config"
	"cowrelay/cow"
	relayhttp "cowrelay/fasthttp"
)

// tuner holds the configuration that a relay runs with, and changes what may
// change while it runs. It belongs to the goroutine of serve, apart from read.
type tuner struct {
	*config.Config // replaced as a whole by adopt
	layers         *config.Layers
	level          *slog.LevelVar
	store          *cow.Store
	relay          *relayhttp.Relay
}

// liveOptions are the relay's settings that SetLive takes.
func liveOptions(c *config.Config) relayhttp.Live {
	return relayhttp.Live{
		MaxConnsPerAddress: c.MaxConnsPerAddress, MaxStreams: c.MaxStreams, MaxWaiters: c.MaxLongPolls, AccessLog: c.AccessLog, AccessLogSample: c.AccessSample,
		RateLimits: &c.RateLimits, TrustedProxies: c.TrustedProxies, ClientHeaders: c.ClientHeaders, CORSOrigins: c.CORSOrigins, Compression: c.Compression,
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

// reread is a configuration that was read while the relay runs, and how many
// settings differ from those it runs with.
type reread struct {
	config           *config.Config
	changed, restart int // restart: those that need one, and stay as they are
}

// read reads the configuration again and keeps of it what may change. If it is
// wrong, read logs that and returns nil. It takes as long as the files do, on any
// goroutine; nobody may call adopt meanwhile.
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
			log.Warn("setting not changed: it needs a restart", "setting", c.Name, "runs_with", c.OldShown(), "configured", c.Shown())
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
