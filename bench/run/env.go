package run

import (
	"context"
	"time"

	"cowrelay/bench/cgroup"
	"cowrelay/bench/load"
	"cowrelay/bench/proc"
	"cowrelay/bench/wire"
)

// An Env is what a run gives to a variant.
type Env struct {
	*load.Session
	Config  *Config
	Variant Variant
	Dir     string        // the folder of this run
	Group   *cgroup.Group // that the relay runs in; nil: none
	args    []string      // the relay's
}

// NewEnv returns an environment for loads of cfg with events of t. It shows no
// progress.
func NewEnv(cfg *Config, t *wire.Template) *Env {
	return &Env{Config: cfg, Session: &load.Session{Template: t, Warmup: cfg.Warmup, Duration: cfg.Duration}}
}

// Restart ends the relay, as end does it, and starts it with the data that is
// there. It returns how long the start took, from the process to readiness.
func (e *Env) Restart(ctx context.Context, relay *load.Server, end func(*proc.Child) error) (time.Duration, error) {
	if err := relay.End(end); err != nil {
		return 0, err
	}
	return e.Start(ctx, relay)
}

// Start starts the relay with the data that is there, after its end. It returns
// how long that took.
func (e *Env) Start(ctx context.Context, relay *load.Server) (time.Duration, error) {
	began := time.Now()
	s, err := load.StartRelay(ctx, e.Group.Command(), e.Config.Relay, e.args, e.Dir)
	if err != nil {
		return 0, err
	}
	*relay = *s
	return time.Since(began), nil
}
