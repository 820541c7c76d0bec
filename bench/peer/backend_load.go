package peer

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"runtime"

	"cowrelay/bench/load"
	"cowrelay/bench/run"
	"cowrelay/bench/scenario"
	"cowrelay/bench/wire"
)

// A peerLoad is what RunLoad does: one round.
type peerLoad struct {
	scenario string
	addr     string
	pid      int
	nonce    string
	conns    int
	procs    int // cores that it runs on
	cfg      run.Config
}

// args is p as the arguments of RunLoad.
func (p *peerLoad) args() []string {
	c := &p.cfg
	return []string{
		"--scenario", p.scenario, "--addr", p.addr, "--pid", fmt.Sprint(p.pid), "--nonce", p.nonce,
		"--conns", fmt.Sprint(p.conns), "--procs", fmt.Sprint(p.procs), "--streams", fmt.Sprint(c.Streams), "--posters", fmt.Sprint(c.Posters),
		"--event-bytes", fmt.Sprint(c.EventBytes), "--duration", c.Duration.String(), "--warmup", c.Warmup.String(),
	}
}

// RunLoad loads a peer for one round, with the loops and the checks that load a
// relay. It writes the load.Sample to out as a line of JSON. args are what
// relaybench puts behind the program's subcommand, and dial connects to the
// peer at an address.
func RunLoad(ctx context.Context, args []string, out io.Writer, dial func(addr string) (Backend, error)) error {
	var p peerLoad
	fs := flag.NewFlagSet("load", flag.ContinueOnError)
	fs.SetOutput(io.Discard)
	fs.StringVar(&p.scenario, "scenario", "", "")
	fs.StringVar(&p.addr, "addr", "", "")
	fs.IntVar(&p.pid, "pid", 0, "")
	fs.StringVar(&p.nonce, "nonce", "", "")
	fs.IntVar(&p.conns, "conns", 0, "")
	fs.IntVar(&p.procs, "procs", 0, "")
	fs.IntVar(&p.cfg.Streams, "streams", 0, "")
	fs.IntVar(&p.cfg.Posters, "posters", 0, "")
	fs.IntVar(&p.cfg.EventBytes, "event-bytes", 0, "")
	fs.DurationVar(&p.cfg.Duration, "duration", 0, "")
	fs.DurationVar(&p.cfg.Warmup, "warmup", 0, "")
	if err := fs.Parse(args); err != nil {
		return err
	}
	if p.procs > 0 {
		runtime.GOMAXPROCS(p.procs)
	}
	b, err := dial(p.addr)
	if err != nil {
		return err
	}
	t, err := wire.NewTemplate(p.cfg.EventBytes, p.nonce)
	if err != nil {
		return err
	}
	r, err := p.runner(b, run.NewEnv(&p.cfg, t))
	if err != nil {
		return err
	}
	s, err := r.Round(ctx)
	if err != nil {
		return err
	}
	h, err := s.Hist.Encode()
	if err != nil {
		return err
	}
	return json.NewEncoder(out).Encode(loadedSample{Sample: s, Histogram: h})
}

// A loadedSample is a load.Sample on its way from one process to another.
type loadedSample struct {
	load.Sample
	Histogram []byte `json:"histogram"`
}

// parseLoaded reads what RunLoad wrote.
func parseLoaded(b []byte) (load.Sample, error) {
	var l loadedSample
	if err := json.Unmarshal(b, &l); err != nil {
		return load.Sample{}, fmt.Errorf("cannot parse the sample of a load: %w: %.200q", err, b)
	}
	h, err := load.DecodeHistogram(l.Histogram)
	if err != nil {
		return load.Sample{}, fmt.Errorf("cannot parse the latencies of a load: %w", err)
	}
	l.Sample.Hist = h
	return l.Sample, nil
}

func (p *peerLoad) runner(b Backend, e *run.Env) (run.Runner, error) {
	s := &load.Server{Name: "peer", Addr: p.addr, PID: p.pid}
	switch p.scenario {
	case "post":
		return &backendPosts{e: e, s: s, b: b, conns: p.conns}, nil
	case "fanout":
		return scenario.NewFanoutRunner(e, s, &backendVenue{e: e, b: b}), nil
	}
	return nil, fmt.Errorf("unknown scenario %q", p.scenario)
}
