package bench

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"
)

// A scenario is one line of output: a load, its bound, and what is compared.
type scenario struct {
	name     string
	variant  string      // what tells it from others of the same name
	unit     string      // of Sample.Ops
	files    int         // open files that the generator needs
	ports    int         // connections that may be in TIME_WAIT at once
	bound    BoundConfig // without a Mode there is none, and relay runs alone
	compared metric      // zero: throughput
	point    *Point      // of its result on a curve; nil for none
	// ownsRelay says that it stops and starts the relay, so that one that runs
	// already will not do.
	ownsRelay bool
	relayArgs []string // before those of the configuration
	// other, if set, starts a peer in the place of the bound.
	other func(ctx context.Context, e *env) (*side, error)
	peer  *peer  // what other starts
	note  string // what a reader of the result must know
	// open prepares a side once; the result runs its rounds.
	open func(ctx context.Context, e *env, s *side) (runner, error)
	// drive, if set, takes the place of the plain alternation of rounds.
	drive func(ctx context.Context, e *env, relay, bound *side) ([]Result, error)
	// finish, if set, adds notes to a result of the plain alternation.
	finish func(*Result)
}

// A runner runs rounds on one side.
type runner interface {
	round(ctx context.Context) (Sample, error)
}

// env is what a run passes to its scenarios.
type env struct {
	cfg   *Config
	sc    scenario
	tmpl  *template
	track *track
	dir   string   // folder of this run
	args  []string // of the relay
	nonce string   // start of all event ids
	// profile takes profiles of the relay while a round is measured, or is nil.
	profile *profiler
}

// wait waits for d with progress, or until ctx ends.
func (e *env) wait(ctx context.Context, d time.Duration) error {
	end := time.Now().Add(d)
	for {
		left := time.Until(end)
		if left <= 0 {
			return nil
		}
		step := min(left, 200*time.Millisecond)
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(step):
			e.track.add(step)
		}
	}
}

// Names are the scenarios in the order of `all`.
var Names = []string{"poll", "connect", "window", "post", "fanout", "saturation", "idle", "churn", "mix", "growth", "restart"}

func scenariosOf(cfg *Config, name string) ([]scenario, error) {
	switch name {
	case "poll":
		return pollScenarios(cfg), nil
	case "window":
		return windowScenarios(cfg), nil
	case "post":
		return postScenarios(cfg), nil
	case "fanout":
		return fanoutScenarios(cfg), nil
	case "saturation":
		return saturationScenarios(cfg), nil
	case "connect":
		return connectScenarios(cfg), nil
	case "idle":
		return idleScenarios(cfg), nil
	case "churn":
		return churnScenarios(cfg), nil
	case "mix":
		return mixScenarios(cfg), nil
	case "growth":
		return growthScenarios(cfg), nil
	case "restart":
		return restartScenarios(cfg), nil
	}
	return nil, fmt.Errorf("unknown scenario %q", name)
}

// Run runs the named scenarios one after the other and gives each result to
// emit. It returns an error when a run could not be made; wrong answers are
// counted in the results. Every server it started is gone when it returns.
func Run(ctx context.Context, cfg Config, names []string, emit func(Result)) error {
	if err := cfg.Validate(); err != nil {
		return err
	}
	var all []scenario
	for _, n := range names {
		sc, err := scenariosOf(&cfg, n)
		if err != nil {
			return err
		}
		all = append(all, sc...)
	}
	return runAll(ctx, &cfg, all, emit)
}

// runAll runs scenarios one after the other.
func runAll(ctx context.Context, cfg *Config, all []scenario, emit func(Result)) error {
	files := 0
	for _, sc := range all {
		if sc.ownsRelay && cfg.Relay == "" {
			return fmt.Errorf("%s (%s) stops the relay and starts it again: it needs relay, not target", sc.name, sc.variant)
		}
		files = max(files, sc.files)
		if err := checkPorts(cfg, sc.ports); err != nil {
			return fmt.Errorf("%s (%s): %w", sc.name, sc.variant, err)
		}
	}
	if err := checkFiles(files); err != nil {
		return err
	}
	var prof *profiler
	if cfg.Profile != "" {
		var err error
		if prof, err = newProfiler(cfg, all); err != nil {
			return err
		}
	}
	machine := ReadMachine(cfg.Commit, cfg.Dir)
	for _, sc := range all {
		rs, err := runOne(ctx, cfg, sc, prof)
		cfg.Progress.Clear()
		for _, r := range rs {
			r.Machine = machine
			if prof != nil {
				r.Notes = append(r.Notes, "profiles were taken in the relay's rounds, which cost it something")
			}
			emit(r)
		}
		if err != nil {
			return fmt.Errorf("%s (%s): %w", sc.name, sc.variant, err)
		}
	}
	return prof.finish()
}

// newNonce is a start of event ids that no other run has.
func newNonce() string {
	b := make([]byte, (idDigits-counterDigits)/2)
	_, _ = rand.Read(b) // never fails
	return hex.EncodeToString(b)
}

// runOne starts the servers of a scenario, runs it, and stops them.
func runOne(ctx context.Context, cfg *Config, sc scenario, prof *profiler) (rs []Result, err error) {
	dir, err := os.MkdirTemp(cfg.Dir, "relaybench-")
	if err != nil {
		return nil, fmt.Errorf("cannot make a folder: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	if dir, err = filepath.Abs(dir); err != nil {
		return nil, err
	}
	sc.bound.Nonce = newNonce()
	e := &env{cfg: cfg, sc: sc, track: newTrack(cfg.Progress, sc.name+" "+sc.variant), profile: prof}
	e.dir, e.nonce, e.args = dir, sc.bound.Nonce, slices.Concat(sc.relayArgs, prof.relayArgs(cfg.RelayArgs))
	if e.tmpl, err = newTemplate(sc.bound.EventBytes, sc.bound.Nonce); err != nil {
		return nil, err
	}
	var relay, bound *side
	defer func() { err = errors.Join(err, relay.stop(), bound.stop()) }()
	e.track.step("starting the relay")
	if cfg.Relay != "" {
		relay, err = startRelay(ctx, cfg.Relay, e.args, dir)
	} else {
		relay, err = attach(cfg.Target, cfg.TargetPID)
	}
	if err != nil {
		return nil, err
	}
	switch {
	case sc.other != nil:
		e.track.step("starting the peer")
		if bound, err = sc.other(ctx, e); err != nil {
			return nil, err
		}
	case len(cfg.Self) > 0 && sc.bound.Mode != "":
		e.track.step("starting the bound")
		if bound, err = startBound(ctx, cfg.Self, sc.bound, dir); err != nil {
			return nil, err
		}
	}
	for _, s := range []*side{relay, bound} {
		if s != nil {
			s.header = cfg.Header
		}
	}
	if sc.drive != nil {
		return sc.drive(ctx, e, relay, bound)
	}
	r, err := alternate(ctx, e, sc, relay, bound)
	if err != nil {
		return nil, err
	}
	return []Result{r}, nil
}

// alternate runs the rounds of both sides by turns. Each pair begins with the
// side that ended the last one, so that neither is always the first.
func alternate(ctx context.Context, e *env, sc scenario, relay, bound *side) (Result, error) {
	var res Result
	sides := []*side{relay}
	if bound != nil {
		sides = append(sides, bound)
	}
	runners := make([]runner, len(sides))
	for i, s := range sides {
		e.track.step("preparing the " + s.name)
		r, err := sc.open(ctx, e, s)
		if err != nil {
			return res, fmt.Errorf("%s: %w", s.name, err)
		}
		runners[i] = r
	}
	samples := make([][]Sample, len(sides))
	e.track.begin(time.Duration(e.cfg.Rounds*len(sides)) * (e.cfg.Warmup + e.cfg.Duration))
	for n := range e.cfg.Rounds {
		for k := range sides {
			i := (n + k) % len(sides)
			e.track.step(fmt.Sprintf("round %d of %d, %s", n+1, e.cfg.Rounds, sides[i].name))
			s, err := runners[i].round(ctx)
			if err != nil {
				return res, fmt.Errorf("%s: %w", sides[i].name, err)
			}
			samples[i] = append(samples[i], s)
		}
	}
	samples = append(samples, nil) // no bound
	m := sc.compared
	if m.of == nil {
		m = throughput
	}
	res = compare(sc, samples[0], samples[1], m)
	if sc.finish != nil {
		sc.finish(&res)
	}
	return res, nil
}
