package drill

import (
	"context"
	"time"

	"cowrelay/bench/attack/relay"
)

// A Drill is one attack, in some variants.
type Drill struct {
	Name     string
	what     string
	Variants func(c Scale) []Variant
}

// An Attack attacks until ctx ends and returns when all its connections are
// closed. It calls armed once, when it is as large as it gets. Its error says
// that the attack could not be made, not that it failed.
type Attack func(ctx context.Context, r *Scene, armed func()) error

// A Variant is what is run.
type Variant struct {
	Name  string
	Relay relay.Args
	// Light has fewer honest clients, for a relay that can't have many.
	Light bool
	// Cold is how many cold slots the honest clients pull; 0: coldSlots.
	Cold int
	// Fill, if set, stores what the attack is about, before the relay starts
	// anew.
	Fill   func(ctx context.Context, r *Scene) error
	Attack Attack
	// Final, if set, takes the place of the recovery and of the orderly end: it
	// is called while the attack lasts, and adds bars.
	Final func(ctx context.Context, r *Scene)
	// AtLeast is how long it must last to show what it is for.
	AtLeast time.Duration
	// Disk, if set, is the size of a disk of its own for the relay's data, in
	// bytes. Honest posts may be refused then.
	Disk int64
	// Growth, if set, is how much the process may grow, in bytes.
	Growth int64
	// During, if set, is called when the attack has lasted, and adds bars.
	During func(ctx context.Context, r *Scene)
	// Gone, if set, is called when the attack has left, and adds bars.
	Gone func(ctx context.Context, r *Scene)
}
