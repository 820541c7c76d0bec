package run

import (
	"context"

	"cowrelay/bench/bound"
	"cowrelay/bench/load"
	"cowrelay/bench/report"
)

// A Variant is one load of a scenario: what is done, what it is held against,
// and what is compared.
type Variant struct {
	Scenario string        // its name
	Text     string        // what tells it from other variants of the scenario
	Unit     string        // of Sample.Ops
	Files    int           // how many open files the generator needs
	Ports    int           // how many connections may be in TIME_WAIT at once
	Bound    bound.Config  // without a Mode the relay runs alone
	Compared report.Metric // without a name: throughput
	Point    *report.Point // of the result; nil: on no curve
	// OwnsRelay says that the variant stops and starts the relay. Then it must
	// not be one that runs already.
	OwnsRelay bool
	// RunsCommands says that the variant runs commands of the relay's binary. Then it
	// needs that.
	RunsCommands bool
	RelayArgs    []string // before those of the Config
	// Prepare puts what the relay needs into a folder that is there as long as the
	// relay is, and returns further arguments; nil: nothing.
	Prepare func(dir string) ([]string, error)
	// GroupMemory is the memory, in bytes, of a control group of one core in which
	// the relay runs; 0: in none. As with OwnsRelay, the relay must be ours.
	GroupMemory int64
	// Other starts a peer in the place of the bound; nil: none.
	Other func(ctx context.Context, e *Env) (*load.Server, error)
	// Peer names what Other starts, and Promises is what that promises less
	// than the relay.
	Peer, Promises string
	Note           string // what a reader of the result must know
	// Open prepares a server once. What it returns runs its rounds.
	Open func(ctx context.Context, e *Env, s *load.Server) (Runner, error)
	// Drive takes the place of Open and Alternate; nil: these are called.
	Drive func(ctx context.Context, e *Env, relay, bound *load.Server) ([]report.Result, error)
	// Finish adds notes to the result; nil: none. It is not called after Drive.
	Finish func(*report.Result)
}

// Subject says which load the results of sc are of.
func (sc *Variant) Subject() report.Subject {
	return report.Subject{
		Scenario: sc.Scenario, Variant: sc.Text, Unit: sc.Unit, Point: sc.Point,
		Peer: sc.Peer, Promises: sc.Promises, Note: sc.Note,
	}
}

// A Runner runs rounds on one server.
type Runner interface {
	Round(ctx context.Context) (load.Sample, error)
}
