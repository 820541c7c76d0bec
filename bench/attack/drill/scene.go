package drill

import (
	"context"
	"net/http"
	"time"

	"cowrelay/bench/attack/client"
	"cowrelay/bench/attack/relay"
)

// A Scale is one of the two sizes of all attacks.
type Scale struct {
	// Short is for machines that do other work meanwhile.
	Short bool
}

// Of returns one of two numbers.
func (s Scale) Of(full, short int) int {
	if s.Short {
		return short
	}
	return full
}

// A Scene is what a drill sees of a run.
type Scene struct {
	Scale
	Relay *relay.Process
	// Kept is the honest clients' HTTP client that keeps its connections. What
	// is stored before the attack goes over it.
	Kept *http.Client
	// victims are the slots that attackers read.
	victims []client.Slot
	// Lasted is the time from the start of the attack to its end. It is set at
	// the end.
	Lasted time.Duration
	// Bar adds a bar to the result, which holds if err is nil.
	Bar func(name string, err error, seen string)
	// Note adds a note to the result.
	Note func(text string)
}

// Await calls ask until it returns true, or until limit has passed.
func (*Scene) Await(ctx context.Context, limit time.Duration, ask func() bool) bool {
	end := time.Now().Add(limit)
	for !ask() {
		if time.Now().After(end) || !client.Pause(ctx, 100*time.Millisecond) {
			return false
		}
	}
	return true
}
