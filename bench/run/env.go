package run

import (
	"context"
	"time"

	"cowrelay/bench/load"
	"cowrelay/bench/proc"
	"cowrelay/bench/wire"
)

// Restart stops the relay, or kills it, and starts it on the data that is
// there. It returns how long the start took, from the process to readiness.
func (e *Env) Restart(ctx context.Context, relay *load.Server, end func(*proc.Child) error) (time.Duration, error) {
	if err := relay.End(end); err != nil {
		return 0, err
	}
	return e.Start(ctx, relay)
}

func (e *Env) Start(ctx context.Context, relay *load.Server) (time.Duration, error) {
	began := time.Now()
	s, err := load.StartRelay(ctx, e.Config.Relay, e.args, e.Dir)
	if err != nil {
		return 0, err
	}
	*relay = *s
	return time.Since(began), nil
}

// An Env is what a run passes to its scenarios.
type Env struct {
	*load.Session
	Config  *Config
	Variant Variant
	Dir     string   // folder of this run
	args    []string // of the relay
}

// NewEnv returns an environment for loads of cfg with events of t. It shows no
// progress.
func NewEnv(cfg *Config, t *wire.Template) *Env {
	return &Env{Config: cfg, Session: &load.Session{Template: t, Warmup: cfg.Warmup, Duration: cfg.Duration}}
}
