package attack

import (
	"context"
	"fmt"
	"time"
)

// How much more than at rest may be left when all have gone: a pool's workers
// and the connection that asks.
const (
	spareGoroutines = 16
	spareSockets    = 4
	spareFiles      = 64 // tables that the store opened
	// backTime is how long what an attack took may take to come back.
	backTime = 45 * time.Second
)

// recovered checks that what the attack took came back, that the books agree,
// and that all that was acknowledged is there; then it ends the relay in order.
func (r *run) recovered(ctx context.Context, rest *Books) error {
	r.step("waiting for what the attack took")
	var now Held
	var err error
	at := r.res.AtRest
	r.await(ctx, backTime, func() bool {
		now, err = r.relay.held(ctx)
		return err != nil || now.Goroutines <= at.Goroutines+spareGoroutines && now.Sockets <= at.Sockets+spareSockets && now.Files <= at.Files+spareFiles
	})
	if err != nil {
		return err
	}
	r.res.CameBack = &now
	back := func(what string, now, rest, spare int) {
		seen := fmt.Sprintf("%d, at rest %d", now, rest)
		var err error
		if now > rest+spare {
			err = fmt.Errorf("%s, %v after everybody left", seen, backTime)
		}
		r.res.bar(what+" came back", err, seen)
	}
	back("goroutines", now.Goroutines, at.Goroutines, spareGoroutines)
	back("sockets", now.Sockets, at.Sockets, spareSockets)
	back("descriptors", now.Files, at.Files, spareFiles)
	// Memory that is counted is a cache of slots, within its budget. What is not
	// counted must be as it was.
	b, err := ReadBooks(ctx, r.relay.admin, r.relay.token)
	if err != nil {
		return err
	}
	b.Rest = rest.Difference()
	r.res.Books = b
	r.res.bar("books", b.Check(), fmt.Sprintf("off by %s, allowed are %s", mib(b.Difference()-b.Rest), mib(b.Allowed())))
	r.step("looking for all that was acknowledged")
	h := r.honest
	r.res.bar("nothing lost", h.ledger.check(ctx, r.relay, h.slots), fmt.Sprintf("%d acknowledged posts are there", h.ledger.count()))
	took, err := r.relay.stop(stopTimeout)
	r.res.bar("ends in order", err, took.Round(time.Millisecond).String())
	return ctx.Err()
}

// stillThere starts a relay that has ended, and looks for all that was
// acknowledged.
func (r *run) stillThere(ctx context.Context) error {
	if !r.relay.ended() {
		r.relay.kill()
	}
	r.relay.args = relayArgs{}
	if err := r.relay.start(ctx); err != nil {
		return err
	}
	h := r.honest
	r.res.bar("nothing lost", h.ledger.check(ctx, r.relay, h.slots), fmt.Sprintf("%d acknowledged posts are there", h.ledger.count()))
	_, err := r.relay.stop(stopTimeout)
	return err
}
