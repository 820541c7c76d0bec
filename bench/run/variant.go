package run

import (
	"context"

	"cowrelay/bench/bound"
	"cowrelay/bench/load"
	"cowrelay/bench/report"
)

// A scenario is one line of output: a load, its bound, and what is compared.
type Variant struct {
	Scenario string
	Text     string        // what tells it from others of the same name
	Unit     string        // of Sample.Ops
	Files    int           // open files that the generator needs
	Ports    int           // connections that may be in TIME_WAIT at once
	Bound    bound.Config  // without a Mode there is none, and relay runs alone
	Compared report.Metric // zero: throughput
	Point    *report.Point // of its result on a curve; nil for none
	// OwnsRelay says that it stops and starts the relay, so that one that runs
	// already will not do.
	OwnsRelay bool
	RelayArgs []string // before those of the configuration
	// Other, if set, starts a peer in the place of the bound.
	Other func(ctx context.Context, e *Env) (*load.Server, error)
	// Peer is what other starts, and promises is what it promises less than the
	// relay.
	Peer, Promises string
	Note           string // what a reader of the result must know
	// Open prepares a side once; the result runs its rounds.
	Open func(ctx context.Context, e *Env, s *load.Server) (Runner, error)
	// Drive, if set, takes the place of the plain alternation of rounds.
	Drive func(ctx context.Context, e *Env, relay, bound *load.Server) ([]report.Result, error)
	// Finish, if set, adds notes to a result of the plain alternation.
	Finish func(*report.Result)
}

// Subject is what a result of sc is of.
func (sc *Variant) Subject() report.Subject {
	return report.Subject{
		Scenario: sc.Scenario, Variant: sc.Text, Unit: sc.Unit, Point: sc.Point,
		Peer: sc.Peer, Promises: sc.Promises, Note: sc.Note,
	}
}

// A Runner runs rounds on one side.
type Runner interface {
	Round(ctx context.Context) (load.Sample, error)
}
