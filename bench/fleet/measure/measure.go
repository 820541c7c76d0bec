package measure

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"cowrelay/bench/fleet/fault"
	"cowrelay/bench/load"
	"cowrelay/bench/report"
	"cowrelay/bench/wire"
)

// Config says what is measured, and for how long.
type Config struct {
	Relay, Dir, Commit string
	Parts              []string // none: all of Names
	Rounds             int
	Warmup, Duration   time.Duration
	Posters            []int
	EventBytes         int
	Batch              int // events of a batch
	BatchPosters       int
	Replay             int // events that come while a relay is down
	Cold               int // slots that are pulled when they are cold
	Visible            int // events whose way to another relay is timed
	Step               func(string)
}

// Names are the parts, in their order.
var Names = []string{"post", "batch", "pull", "visible", "cold", "replay"}

// Defaults returns what the results in bench/results were measured with.
func Defaults() Config {
	return Config{
		Rounds: 7, Warmup: time.Second, Duration: 4 * time.Second, Posters: []int{255, 63}, EventBytes: 512,
		Batch: 100, BatchPosters: 15, Replay: 500_000, Cold: 2000, Visible: 4000, Step: func(string) {},
	}
}

// bench is a fleet that is measured.
type bench struct {
	cfg     Config
	fleet   *fault.Fleet
	relays  []*load.Server
	session *load.Session
	next    uint64 // number of the next event
	emit    func(report.Result)
}

// Run measures and gives each result to emit.
func Run(ctx context.Context, cfg Config, emit func(report.Result)) (err error) {
	for _, name := range cfg.Parts {
		if !slices.Contains(Names, name) {
			return fmt.Errorf("unknown part %q: want %s", name, strings.Join(Names, ", "))
		}
	}
	t, err := wire.NewTemplate(cfg.EventBytes, wire.NewNonce())
	if err != nil {
		return err
	}
	cfg.Step("starting servers and relays")
	f, err := fault.StartFleet(ctx, fault.FleetConfig{Binary: cfg.Relay, Dir: cfg.Dir, Relays: 3, Servers: 3, Direct: true})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	machine := report.ReadMachine(cfg.Commit, cfg.Dir)
	b := &bench{
		cfg: cfg, fleet: f,
		session: &load.Session{Template: t, Warmup: cfg.Warmup, Duration: cfg.Duration},
		emit:    func(r report.Result) { r.Machine = machine; emit(r) },
	}
	for i, url := range f.Relays() {
		b.relays = append(b.relays, &load.Server{Name: fmt.Sprintf("relay-%d", i), Addr: strings.TrimPrefix(url, "http://")})
	}
	parts := map[string]func(context.Context) error{
		"post": b.posts, "batch": b.batches, "pull": b.pulls, "visible": b.visible, "cold": b.cold, "replay": b.replay,
	}
	for _, name := range Names {
		if len(cfg.Parts) > 0 && !slices.Contains(cfg.Parts, name) {
			continue
		}
		if err := parts[name](ctx); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	return nil
}

// numbers sets event numbers aside for n posters and returns the first.
func (b *bench) numbers(n int) uint64 {
	first := b.next
	b.next += uint64(n) * load.NumbersPerPoster
	return first
}

// bareKinds are how bare publishers connect: over as many connections as the relays
// have, or over one each, as clients without a relay would.
var bareKinds = []struct {
	name  string
	conns int // 0: one each
}{{"bare publish", 3}, {"bare publish, a connection each", 0}}

// posts runs posts through all relays by turns with bare publishes.
func (b *bench) posts(ctx context.Context) error {
	bare, err := openBare(ctx, b.fleet)
	if err != nil {
		return err
	}
	defer bare.close()
	for _, n := range b.cfg.Posters {
		var into taken
		sides := []func() (load.Sample, error){func() (load.Sample, error) {
			return bare.watch(ctx, &into, func() (load.Sample, int64, error) { return b.postRound(ctx, n) })
		}}
		for _, kind := range bareKinds {
			sides = append(sides, func() (load.Sample, error) { return bare.round(ctx, b, n, kind.conns) })
		}
		samples := make([][]load.Sample, len(sides))
		for round := range b.cfg.Rounds {
			for k := range sides {
				side := (round + k) % len(sides) // none is always the first
				b.cfg.Step(fmt.Sprintf("post, %d posters: round %d of %d, side %d of %d", n, round+1, b.cfg.Rounds, k+1, len(sides)))
				s, err := sides[side]()
				if err != nil {
					return err
				}
				samples[side] = append(samples[side], s)
			}
		}
		for i, kind := range bareKinds {
			b.emit(report.Compare(report.Subject{
				Note:     into.note(),
				Scenario: "fleet-post", Variant: fmt.Sprintf("%d posters, %d B, three relays on three servers", n, b.cfg.EventBytes), Unit: "requests",
				Peer: kind.name, Promises: "three copies synced before the acknowledgement, as the relays; no check of events, no slots, no tokens, no dedupe",
			}, samples[0], samples[i+1], report.Throughput))
		}
	}
	return nil
}

// postRound posts from n connections, a third to each relay. posted also counts what
// came in the warm-up.
func (b *bench) postRound(ctx context.Context, n int) (s load.Sample, posted int64, err error) {
	ws := make([]load.Worker, 0, n)
	first := b.numbers(n)
	for i, s := range b.relays {
		each := (n + len(b.relays) - 1 - i) / len(b.relays)
		slots, err := s.AllocateN(ctx, each)
		if err != nil {
			return load.Sample{}, 0, err
		}
		for _, sl := range slots {
			ws = append(ws, load.NewPoster(b.session.Template, s, sl, first+uint64(len(ws))*load.NumbersPerPoster))
		}
	}
	s, err = b.session.RunClosed(ctx, &load.Server{Name: "fleet"}, ws)
	for i, w := range ws {
		posted += int64(w.(*load.Poster).Next - first - uint64(i)*load.NumbersPerPoster)
	}
	return s, posted, err
}

// batches posts batches through all relays.
func (b *bench) batches(ctx context.Context) error {
	bare, err := openBare(ctx, b.fleet)
	if err != nil {
		return err
	}
	defer bare.close()
	var all []load.Sample
	var into taken
	n := b.cfg.BatchPosters
	for round := range b.cfg.Rounds {
		b.cfg.Step(fmt.Sprintf("batch: round %d of %d", round+1, b.cfg.Rounds))
		s, err := bare.watch(ctx, &into, func() (s load.Sample, posted int64, err error) {
			first := b.numbers(n)
			ws := make([]load.Worker, n)
			for i := range ws {
				ws[i] = load.NewBatchPoster(b.session.Template, b.relays[i%len(b.relays)], b.cfg.Batch, first+uint64(i)*load.NumbersPerPoster)
			}
			s, err = b.session.RunClosed(ctx, &load.Server{Name: "fleet"}, ws)
			for i, w := range ws {
				posted += int64(w.(*load.BatchPoster).Next - first - uint64(i)*load.NumbersPerPoster)
			}
			return s, posted, err
		})
		if err != nil {
			return err
		}
		s.CountEvents(b.cfg.Batch, b.cfg.EventBytes)
		all = append(all, s)
	}
	b.emit(report.Compare(report.Subject{
		Scenario: "fleet-batch", Variant: fmt.Sprintf("%d posters, %d x %d B a request, three relays on three servers", n, b.cfg.Batch, b.cfg.EventBytes), Unit: "events",
		Note: into.note(),
	}, all, nil, report.Throughput))
	return nil
}

// folder makes a folder's name beside those of the fleet.
func (b *bench) folder(name string) string { return filepath.Join(b.cfg.Dir, name) }
