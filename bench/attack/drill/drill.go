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

// An Attack attacks until ctx ends, and returns when all its connections are
// closed. It calls armed once, when it is as large as it gets. An error says
// that the attack could not be made, and not that the relay withstood it.
type Attack func(ctx context.Context, r *Scene, armed func()) error

// A Variant is one way to run a drill.
type Variant struct {
	Name  string
	Relay relay.Args
	// Light has fewer honest clients, for a relay that cannot have many.
	Light bool
	// Meets has honest agents find each other, through the proxy at client.ProxyIP. Full says
	// that the attack leaves no room for new things: they use what they have.
	Meets, Full bool
	// Cold is how many cold slots the honest clients pull; 0: as many as usual.
	Cold int
	// Fill stores what the attack needs, before the relay is started anew; nil:
	// nothing.
	Fill   func(ctx context.Context, r *Scene) error
	Attack Attack
	// Final takes the place of the recovery and of the orderly end. It is
	// called while the attack lasts, and adds bars. nil: there is none.
	Final func(ctx context.Context, r *Scene)
	// AtLeast is how long the attack must last to show its effect.
	AtLeast time.Duration
	// Disk is the size in bytes of a disk of its own for the relay's data; 0:
	// none. Honest posts may be refused then.
	Disk int64
	// Growth is how much the process may grow, in bytes; 0: as much as its
	// limit.
	Growth int64
	// During is called when the attack has lasted, and adds bars; nil: none.
	During func(ctx context.Context, r *Scene)
	// Gone is called when the attack has left, and adds bars; nil: none.
	Gone func(ctx context.Context, r *Scene)
}
