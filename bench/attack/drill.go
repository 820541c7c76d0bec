package attack

import (
	"context"
	"time"
)

// A drill is one attack, in some variants.
type drill struct {
	name     string
	what     string
	variants func(c *Config) []variant
}

// An attackFunc attacks until ctx ends and returns when all its connections are
// closed. It calls armed once, when it is as large as it gets. Its error says
// that the attack could not be made, not that it failed.
type attackFunc func(ctx context.Context, r *run, armed func()) error

// A variant is what is run.
type variant struct {
	name  string
	relay relayArgs
	// light has fewer honest clients, for a relay that can't have many.
	light bool
	// cold is how many cold slots the honest clients pull; 0: coldSlots.
	cold int
	// fill, if set, stores what the attack is about, before the relay starts
	// anew.
	fill   func(ctx context.Context, r *run) error
	attack attackFunc
	// final, if set, takes the place of the recovery and of the orderly end: it
	// is called while the attack lasts, and adds bars.
	final func(ctx context.Context, r *run)
	// atLeast is how long it must last to show what it is for.
	atLeast time.Duration
	// disk, if set, is the size of a disk of its own for the relay's data, in
	// bytes. Honest posts may be refused then.
	disk int64
	// growth, if set, is how much the process may grow, in bytes.
	growth int64
	// during, if set, is called when the attack has lasted, and adds bars.
	during func(ctx context.Context, r *run)
	// gone, if set, is called when the attack has left, and adds bars.
	gone func(ctx context.Context, r *run)
}

// coldSlots are enough for some minutes.
const coldSlots = 150

// armTime bounds how long an attack may take to be as large as it gets.
const armTime = 2 * time.Minute

// drills are all of them, in the order in which they run.
var drills = []drill{
	descriptorsDrill, logpipeDrill, bodiesDrill, headsDrill, pagesDrill, connectionsDrill,
	longpollsDrill, streamsDrill, drainDrill, adminDrill, diskDrill,
}
