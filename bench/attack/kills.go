package attack

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"cowrelay/bench/attack/client"
	"cowrelay/bench/attack/relay"
)

// killWithin is how long after the start of an attack the relay is killed, at
// most.
const killWithin = 3 * time.Second

// kills kills the relay at random moments under attack, and each time checks
// what is left.
func (r *run) kills(ctx context.Context) error {
	h := r.honest
	h.Forgiving = true
	n, lost := 0, error(nil)
	for n < r.cfg.Kills && lost == nil {
		n++
		r.step("round %d of %d: under attack", n, r.cfg.Kills)
		if err := r.killOnce(ctx); err != nil {
			return err
		}
		r.step("round %d of %d: looking at what is left", n, r.cfg.Kills)
		if lost = r.Relay.Verify(ctx); lost != nil {
			break
		}
		if err := r.Relay.Start(ctx); err != nil {
			return fmt.Errorf("after a kill: %w", err)
		}
		lost = h.Ledger.Check(ctx, r.Relay, h.Slots)
		if ctx.Err() != nil {
			return ctx.Err()
		}
	}
	r.res.Acknowledged = h.Ledger.Count()
	if lost != nil {
		lost = fmt.Errorf("after kill %d: %w", n, lost)
	} else if r.res.Acknowledged == 0 {
		lost = errors.New("no post was acknowledged: this shows nothing")
	}
	r.res.bar(fmt.Sprintf("nothing lost in %d kills, and the store sound", r.cfg.Kills), lost, fmt.Sprintf("%d acknowledged posts are there", r.res.Acknowledged))
	if !r.Relay.Ended() {
		took, err := r.Relay.Stop(relay.StopTimeout)
		r.res.bar("ends in order", err, took.Round(time.Millisecond).String())
	}
	return ctx.Err()
}

// killOnce loads and attacks the relay, and kills it.
func (r *run) killOnce(ctx context.Context) error {
	r.honest.Run(ctx)
	stopped := sync.OnceFunc(r.honest.End)
	defer stopped()
	client.Pause(ctx, 200*time.Millisecond)
	a := r.attack(ctx)
	client.Pause(ctx, rand.N(killWithin))
	r.Relay.Kill()
	stopped()
	return errors.Join(a.end(), ctx.Err())
}
