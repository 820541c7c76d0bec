package attack

import (
	"context"
	"fmt"
	"time"

	"cowrelay/bench/attack/books"
	"cowrelay/bench/attack/relay"
)

// How much more than at rest may be left when all clients have gone: the workers of
// a pool, and the connection that asks.
const (
	spareGoroutines = 16
	spareSockets    = 4
	spareFiles      = 64 // files that the store opened
	// backTime is how long it may take until what an attack took is back.
	backTime = 45 * time.Second
)

// recovered checks that what the attack took is back, that the books agree, and
// that all that was acknowledged is there. Then it ends the relay in order.
func (r *run) recovered(ctx context.Context, rest *books.Books) error {
	r.step("waiting for what the attack took")
	var now relay.Held
	var err error
	at := r.res.AtRest
	r.Await(ctx, backTime, func() bool {
		now, err = r.Relay.Held(ctx)
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
	// Counted memory is a cache of slots, within its budget. Memory that is not
	// counted must be as it was.
	b, err := books.Read(ctx, r.Relay.Admin, r.Relay.Token)
	if err != nil {
		return err
	}
	b.Rest = rest.Difference()
	r.res.Books = b
	r.res.bar("books", b.Check(), fmt.Sprintf("off by %s, allowed are %s", books.MiB(b.Difference()-b.Rest), books.MiB(b.Allowed())))
	r.step("looking for all that was acknowledged")
	h := r.honest
	r.res.bar("nothing lost", h.Ledger.Check(ctx, r.Relay, h.Slots), fmt.Sprintf("%d acknowledged posts are there", h.Ledger.Count()))
	took, err := r.Relay.Stop(relay.StopTimeout)
	r.res.bar("ends in order", err, took.Round(time.Millisecond).String())
	return ctx.Err()
}

// stillThere starts the relay after its end, and looks for all that was
// acknowledged.
func (r *run) stillThere(ctx context.Context) error {
	if !r.Relay.Ended() {
		r.Relay.Kill()
	}
	r.Relay.Args = relay.Args{}
	if err := r.Relay.Start(ctx); err != nil {
		return err
	}
	h := r.honest
	r.res.bar("nothing lost", h.Ledger.Check(ctx, r.Relay, h.Slots), fmt.Sprintf("%d acknowledged posts are there", h.Ledger.Count()))
	_, err := r.Relay.Stop(relay.StopTimeout)
	return err
}
