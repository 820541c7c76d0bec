package main

import (
	"log/slog"
	"runtime"

	"cowrelay/cow"
	relayhttp "cowrelay/fasthttp"
)

// tuner holds the configuration that a relay runs with, and changes what may
// change while it runs.
type tuner struct {
	*config
	layers *layers
	level  *slog.LevelVar
	store  *cow.Store
	relay  *relayhttp.Relay
}

// options are the relay's settings that SetLive takes.
func (c *config) options() relayhttp.Live {
	return relayhttp.Live{
		MaxConnsPerAddress: c.perAddr, MaxStreams: c.maxStream, MaxWaiters: c.maxWait, AccessLog: c.accessLog,
		RateLimits: &c.rates, TrustedProxies: c.proxies, ClientHeaders: c.clientBy, CORSOrigins: c.origins,
	}
}

// apply makes the live settings those of the configuration.
func (t *tuner) apply() {
	t.level.Set(t.logLevel)
	runtime.SetMutexProfileFraction(t.mutexRate)
	runtime.SetBlockProfileRate(t.blockRate)
	t.store.SetLimits(t.maxSlots, uint64(t.reserve))
	t.relay.SetLive(t.options())
}

// reload reads the configuration again and applies what may change. Where it
// is wrong, all stays as it was.
func (t *tuner) reload(log *slog.Logger) {
	next, err := t.layers.load()
	if err != nil {
		log.Error("configuration not reloaded: it stays as it was", "error", err)
		return
	}
	changed, restart := 0, 0
	for i, s := range next.settings {
		old := t.settings[i]
		switch {
		case s.value == old.value:
		case s.live:
			changed++
			log.Info("setting changed", "setting", s.name, "from", old.value, "to", s.value)
		default:
			restart++
			log.Warn("setting not changed: it needs a restart", "setting", s.name, "runs_with", old.value, "configured", s.value)
			next.settings[i].value = old.value
			if err := s.set(old.value); err != nil {
				log.Error("BUG: a setting that was right is wrong", "setting", s.name, "error", err)
			}
		}
	}
	t.config = next
	t.apply()
	log.Info("configuration reloaded", "changed", changed, "need_restart", restart)
}
