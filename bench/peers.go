package bench

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
)

// A peer is a server that a user would pick instead of the relay.
type peer struct {
	name string
	// missing says what has to be installed first; empty when nothing.
	missing string
	// promises is what it promises less than the relay, or what to know.
	promises  string
	scenarios []scenario
}

// peersOf are the peers in the order in which they run.
func peersOf(cfg *Config) []peer {
	_, _, nchanMissing := findNchan()
	ps := []peer{
		{name: "nchan", missing: nchanMissing, promises: nchanPromises, scenarios: nchanScenarios(cfg)},
		{name: "nats", missing: findNATS(cfg), promises: natsPromises, scenarios: natsScenarios(cfg)},
	}
	if cfg.Target != "" {
		ps = append(ps, peer{name: "target", promises: "as it says itself: same protocol", scenarios: targetScenarios(cfg)})
	}
	return ps
}

// ValidatePeers is Validate for RunPeers.
func (c *Config) ValidatePeers() error {
	relay := *c
	relay.Target, relay.TargetPID = "", 0
	errs := []error{relay.Validate()}
	if c.Target != "" {
		_, err := attach(c.Target, 0)
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

// RunPeers runs the relay by turns with each peer and gives each result to
// emit. cfg.Target, if set, is a further peer. A peer that is not installed
// comes to a result that says so, without rounds.
func RunPeers(ctx context.Context, cfg Config, emit func(Result)) error {
	if err := cfg.ValidatePeers(); err != nil {
		return err
	}
	cfg.Self = nil // no bounds: the peers are in their place
	for _, p := range peersOf(&cfg) {
		if len(cfg.Peers) > 0 && !slices.Contains(cfg.Peers, p.name) {
			continue
		}
		if p.missing != "" {
			emit(Result{Scenario: "peers", Peer: p.name, Skipped: p.missing, Machine: ReadMachine(cfg.Commit, cfg.Dir)})
			continue
		}
		all := p.scenarios
		for i := range all {
			all[i].peer = &p
		}
		if err := runAll(ctx, &cfg, all, emit); err != nil {
			return fmt.Errorf("peer %s: %w", p.name, err)
		}
	}
	return nil
}

// either opens a side by what it is: the relay, or its peer.
func either(relay, peer func(context.Context, *env, *side) (runner, error)) func(context.Context, *env, *side) (runner, error) {
	return func(ctx context.Context, e *env, s *side) (runner, error) {
		if s.name == "relay" {
			return relay(ctx, e, s)
		}
		return peer(ctx, e, s)
	}
}

// A durability is how the relay is started beside a peer.
type durability struct {
	text string // in the variant
	args []string
}

var (
	asUsual = durability{text: "relay: fsync before 201"}
	noSync  = durability{text: "relay: --sync off", args: []string{"--sync", "off"}}
)

// nchanScenarios: Nchan keeps posts in memory only, so the relay runs without
// syncs, for equal promises, and as it is by default.
func nchanScenarios(cfg *Config) []scenario {
	var out []scenario
	start := func(size nchanSize) func(context.Context, *env) (*side, error) {
		return func(ctx context.Context, e *env) (*side, error) { return startNchan(ctx, e.dir, size) }
	}
	out = append(out, nchanWindows(cfg, start)...)
	size := cfg.eventBytes(512)
	for _, n := range cfg.conns(1, 64, 256) {
		for _, d := range []durability{noSync, asUsual} {
			out = append(out, scenario{
				name: "post", variant: fmt.Sprintf("%d conns, %d B; %s", n, size, d.text), unit: "requests", files: n,
				bound: BoundConfig{EventBytes: size}, relayArgs: d.args,
				other: start(nchanSize{workers: 2, messages: 1000, conns: n}),
				open: func(_ context.Context, e *env, s *side) (runner, error) {
					return &postRunner{e: e, s: s, conns: n}, nil
				},
			})
		}
	}
	for _, d := range []durability{noSync, asUsual} {
		for _, sc := range fanoutScenarios(cfg) {
			sc.variant += "; " + d.text
			sc.relayArgs = d.args
			sc.other = start(nchanSize{workers: 2, messages: slotEvents(size), conns: cfg.Streams + cfg.Posters})
			out = append(out, sc)
		}
	}
	for _, sc := range idleScenarios(cfg) {
		sc.other = start(nchanSize{workers: 2, messages: 10, conns: cfg.IdleStreams})
		sc.note = "Nchan's memory is that of all its processes, a page that two of them share counted twice, and holds its channels; the relay's slots were made before its first stream"
		out = append(out, sc)
	}
	return out
}

// nchanWindows: Nchan answers a long poll with all that follows a message, not
// with a page of a given length. So on both sides clients catch up that are one
// page behind. With one worker no message passes from one worker to another.
func nchanWindows(cfg *Config, start func(nchanSize) func(context.Context, *env) (*side, error)) []scenario {
	size := cfg.eventBytes(300)
	count := int(cfg.SlotBytes[0]) / size
	var out []scenario
	for _, conns := range cfg.conns(64) {
		for _, workers := range []int{2, 1} {
			out = append(out, scenario{
				name:    "window",
				variant: fmt.Sprintf("%d conns, the last %d of %d x %d B; nginx workers: %d", conns, cfg.Page, count, size, workers),
				unit:    "requests", files: conns, bound: BoundConfig{EventBytes: size},
				other: start(nchanSize{workers: workers, messages: count, conns: conns}),
				note:  "Nchan's page is the answer to one long poll: all that follows a message. Both sides answer clients that are one page behind the end",
				open: either(func(ctx context.Context, e *env, s *side) (runner, error) {
					return openCatchUp(ctx, e, s, conns, count)
				}, func(ctx context.Context, e *env, s *side) (runner, error) {
					return openNchanCatchUp(ctx, e, s, conns, count)
				}),
			})
		}
	}
	return out
}

// natsScenarios: both sides sync before they acknowledge.
func natsScenarios(cfg *Config) []scenario {
	start := func(ctx context.Context, e *env) (*side, error) { return startNATS(ctx, cfg.NATSPeer, e.dir) }
	// load is the peer's runner of a scenario.
	load := func(name string, conns, size int) func(context.Context, *env, *side) (runner, error) {
		return func(_ context.Context, e *env, s *side) (runner, error) {
			c := *e.cfg
			c.EventBytes = size
			return &loadRunner{e: e, program: cfg.NATSPeer, load: peerLoad{scenario: name, addr: s.addr, pid: s.pid, conns: conns, procs: runtime.GOMAXPROCS(0), cfg: c}}, nil
		}
	}
	var out []scenario
	for _, sc := range postScenarios(cfg) {
		sc.variant += "; fsync before the acknowledgement"
		sc.other, sc.open = start, either(sc.open, load("post", sc.files, sc.bound.EventBytes))
		sc.note = "NATS: a subject a client, over 16 streams"
		out = append(out, sc)
	}
	for _, sc := range fanoutScenarios(cfg) {
		sc.variant += "; fsync before the acknowledgement"
		sc.other, sc.open = start, either(sc.open, load("fanout", 0, sc.bound.EventBytes))
		sc.note = "NATS: a connection and an ordered push consumer a stream, which can replay as the relay's streams can"
		out = append(out, sc)
	}
	return out
}

// targetScenarios are those in which two relays do the same.
func targetScenarios(cfg *Config) []scenario {
	var out []scenario
	out = append(out, pollScenarios(cfg)...)
	out = append(out, connectScenarios(cfg)...)
	out = append(out, windowScenarios(cfg)...)
	out = append(out, postScenarios(cfg)...)
	out = append(out, fanoutScenarios(cfg)...)
	out = append(out, idleScenarios(cfg)...)
	for i := range out {
		if out[i].name == "idle" {
			out[i].note = "the target ran before, so that memory may have been there already: start it anew for its figure"
		}
		out[i].other = func(context.Context, *env) (*side, error) {
			s, err := attach(cfg.Target, cfg.TargetPID)
			if err == nil {
				s.name = "target"
			}
			return s, err
		}
	}
	return out
}
