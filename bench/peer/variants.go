package peer

import (
	"context"
	"fmt"
	"runtime"

	"cowrelay/bench/bound"
	"cowrelay/bench/load"
	"cowrelay/bench/run"
	"cowrelay/bench/scenario"
)

// either opens a server by what it is: the relay, or its peer.
func either(relay, peer func(context.Context, *run.Env, *load.Server) (run.Runner, error)) func(context.Context, *run.Env, *load.Server) (run.Runner, error) {
	return func(ctx context.Context, e *run.Env, s *load.Server) (run.Runner, error) {
		if s.Name == "relay" {
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

// nchanVariants are the loads beside Nchan, which keeps posts in memory only.
// So the relay runs without syncs, for equal promises, and as it is by default.
func nchanVariants(cfg *run.Config) []run.Variant {
	var out []run.Variant
	start := func(size nchanSize) func(context.Context, *run.Env) (*load.Server, error) {
		return func(ctx context.Context, e *run.Env) (*load.Server, error) { return startNchan(ctx, e.Dir, size) }
	}
	out = append(out, nchanWindows(cfg, start)...)
	size := cfg.EventBytesOr(512)
	for _, n := range cfg.ConnsOr(1, 64, 256) {
		for _, d := range []durability{noSync, asUsual} {
			out = append(out, run.Variant{
				Scenario: "post", Text: fmt.Sprintf("%d conns, %d B; %s", n, size, d.text), Unit: "requests", Files: n,
				Bound: bound.Config{EventBytes: size}, RelayArgs: d.args,
				Other: start(nchanSize{workers: 2, messages: 1000, conns: n}),
				Open: func(_ context.Context, e *run.Env, s *load.Server) (run.Runner, error) {
					return scenario.NewPostRunner(e, s, n), nil
				},
			})
		}
	}
	for _, d := range []durability{noSync, asUsual} {
		for _, sc := range scenario.Fanout(cfg) {
			sc.Text += "; " + d.text
			sc.RelayArgs = d.args
			sc.Other = start(nchanSize{workers: 2, messages: load.SlotEvents(size), conns: cfg.Streams + cfg.Posters})
			out = append(out, sc)
		}
	}
	for _, sc := range scenario.Idle(cfg) {
		sc.Other = start(nchanSize{workers: 2, messages: 10, conns: cfg.IdleStreams})
		sc.Note = "Nchan's memory is that of all its processes, a page that two of them share counted twice, and holds its channels; the relay's slots were made before its first stream"
		out = append(out, sc)
	}
	return out
}

// nchanWindows are the loads of pages. Nchan answers a long poll with all that
// follows a message, and not with a page of a given length. So on both sides
// clients catch up that are one page behind. With one worker, no message has to
// pass from one worker to another.
func nchanWindows(cfg *run.Config, start func(nchanSize) func(context.Context, *run.Env) (*load.Server, error)) []run.Variant {
	size := cfg.EventBytesOr(300)
	count := int(cfg.SlotBytes[0]) / size
	var out []run.Variant
	for _, conns := range cfg.ConnsOr(64) {
		for _, workers := range []int{2, 1} {
			out = append(out, run.Variant{
				Scenario: "window",
				Text:     fmt.Sprintf("%d conns, the last %d of %d x %d B; nginx workers: %d", conns, cfg.Page, count, size, workers),
				Unit:     "requests", Files: conns, Bound: bound.Config{EventBytes: size},
				Other: start(nchanSize{workers: workers, messages: count, conns: conns}),
				Note:  "Nchan's page is the answer to one long poll: all that follows a message. Both sides answer clients that are one page behind the end",
				Open: either(func(ctx context.Context, e *run.Env, s *load.Server) (run.Runner, error) {
					return openCatchUp(ctx, e, s, conns, count)
				}, func(ctx context.Context, e *run.Env, s *load.Server) (run.Runner, error) {
					return openNchanCatchUp(ctx, e, s, conns, count)
				}),
			})
		}
	}
	return out
}

// natsVariants are the loads beside NATS. Both sides sync before they
// acknowledge.
func natsVariants(cfg *Config) []run.Variant {
	start := func(ctx context.Context, e *run.Env) (*load.Server, error) {
		return startNATS(ctx, cfg.NATSPeer, e.Dir)
	}
	// load returns what loads the peer.
	load := func(name string, conns, size int) func(context.Context, *run.Env, *load.Server) (run.Runner, error) {
		return func(_ context.Context, e *run.Env, s *load.Server) (run.Runner, error) {
			c := *e.Config
			c.EventBytes = size
			return &loadRunner{e: e, program: cfg.NATSPeer, load: peerLoad{scenario: name, addr: s.Addr, pid: s.PID, conns: conns, procs: runtime.GOMAXPROCS(0), cfg: c}}, nil
		}
	}
	var out []run.Variant
	for _, sc := range scenario.Post(&cfg.Config) {
		sc.Text += "; fsync before the acknowledgement"
		sc.Other, sc.Open = start, either(sc.Open, load("post", sc.Files, sc.Bound.EventBytes))
		sc.Note = "NATS: a subject a client, over 16 streams"
		out = append(out, sc)
	}
	for _, sc := range scenario.Fanout(&cfg.Config) {
		sc.Text += "; fsync before the acknowledgement"
		sc.Other, sc.Open = start, either(sc.Open, load("fanout", 0, sc.Bound.EventBytes))
		sc.Note = "NATS: a connection and an ordered push consumer a stream, which can replay as the relay's streams can"
		out = append(out, sc)
	}
	return out
}

// targetVariants are the loads beside a relay that runs already.
func targetVariants(cfg *run.Config) []run.Variant {
	var out []run.Variant
	out = append(out, scenario.Poll(cfg)...)
	out = append(out, scenario.Connect(cfg)...)
	out = append(out, scenario.Window(cfg)...)
	out = append(out, scenario.Post(cfg)...)
	out = append(out, scenario.Fanout(cfg)...)
	out = append(out, scenario.Idle(cfg)...)
	for i := range out {
		if out[i].Scenario == "idle" {
			out[i].Note = "the target ran before, so that memory may have been there already: start it anew for its figure"
		}
		out[i].Other = func(context.Context, *run.Env) (*load.Server, error) {
			s, err := load.Attach(cfg.Target, cfg.TargetPID)
			if err == nil {
				s.Name = "target"
			}
			return s, err
		}
	}
	return out
}
