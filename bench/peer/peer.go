package peer

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"cowrelay/bench/load"
	"cowrelay/bench/report"
	"cowrelay/bench/run"
)

// peersOf returns the peers in the order in which they run.
func peersOf(cfg *Config) []peer {
	_, _, nchanMissing := findNchan()
	ps := []peer{
		{name: "nchan", missing: nchanMissing, promises: nchanPromises, scenarios: nchanVariants(&cfg.Config)},
		{name: "nats", missing: findNATS(cfg), promises: natsPromises, scenarios: natsVariants(cfg)},
	}
	if cfg.Target != "" {
		ps = append(ps, peer{name: "target", promises: "as it says itself: same protocol", scenarios: targetVariants(&cfg.Config)})
	}
	return ps
}

// Validate returns all that is wrong with c, joined, or nil.
func (c *Config) Validate() error {
	relay := c.Config
	relay.Target, relay.TargetPID = "", 0
	errs := []error{relay.Validate()}
	if c.Target != "" {
		_, err := load.Attach(c.Target, 0)
		errs = append(errs, err)
	}
	if c.TargetPID < 0 || c.TargetPID > 0 && c.Target == "" {
		errs = append(errs, fmt.Errorf("target-pid %d: want a process id, and target", c.TargetPID))
	}
	if c.Profile != "" {
		errs = append(errs, errors.New("profile: not beside peers"))
	}
	for _, name := range c.Peers {
		if !slices.ContainsFunc(peersOf(c), func(p peer) bool { return p.name == name }) {
			errs = append(errs, fmt.Errorf("unknown peer %q: want nchan, nats, or target with a target", name))
		}
	}
	return errors.Join(errs...)
}

// Run runs the relay by turns with each peer and gives each result to emit. A
// peer that is not installed comes to a result that says so, without rounds.
func Run(ctx context.Context, cfg Config, emit func(report.Result)) error {
	if err := cfg.Validate(); err != nil {
		return err
	}
	cfg.Self = nil // the peers take the place of the bounds
	for _, p := range peersOf(&cfg) {
		if len(cfg.Peers) > 0 && !slices.Contains(cfg.Peers, p.name) {
			continue
		}
		if p.missing != "" {
			emit(report.Result{Scenario: "peers", Peer: p.name, Skipped: p.missing, Machine: report.ReadMachine(cfg.Commit, cfg.Dir)})
			continue
		}
		all := p.scenarios
		for i := range all {
			all[i].Peer, all[i].Promises = p.name, p.promises
		}
		if err := run.All(ctx, &cfg.Config, all, emit); err != nil {
			return fmt.Errorf("peer %s: %w", p.name, err)
		}
	}
	return nil
}
