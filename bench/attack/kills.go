package attack

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"
)

// killWithin is the time from the start of an attack in which the relay is
// killed.
const killWithin = 3 * time.Second

// kills kills the relay at random moments under the attack, and looks at what
// is left each time.
func (r *run) kills(ctx context.Context) error {
	h := r.honest
	h.forgiving = true
	n, lost := 0, error(nil)
	for n < r.cfg.Kills && lost == nil {
		n++
		r.step("round %d of %d: under attack", n, r.cfg.Kills)
		if err := r.killOnce(ctx); err != nil {
			return err
		}
		r.step("round %d of %d: looking at what is left", n, r.cfg.Kills)
		if lost = r.relay.verify(ctx); lost != nil {
			break
		}
		if err := r.relay.start(ctx); err != nil {
			return fmt.Errorf("after a kill: %w", err)
		}
		lost = h.ledger.check(ctx, r.relay, h.slots)
		if ctx.Err() != nil {
			return ctx.Err()
		}
	}
	r.res.Acknowledged = h.ledger.count()
	if lost != nil {
		lost = fmt.Errorf("after kill %d: %w", n, lost)
	} else if r.res.Acknowledged == 0 {
		lost = errors.New("no post was acknowledged: this shows nothing")
	}
	r.res.bar(fmt.Sprintf("nothing lost in %d kills, and the store sound", r.cfg.Kills), lost, fmt.Sprintf("%d acknowledged posts are there", r.res.Acknowledged))
	if !r.relay.ended() {
		took, err := r.relay.stop(stopTimeout)
		r.res.bar("ends in order", err, took.Round(time.Millisecond).String())
	}
	return ctx.Err()
}

// killOnce loads and attacks the relay, and kills it.
func (r *run) killOnce(ctx context.Context) error {
	r.honest.run(ctx)
	stopped := sync.OnceFunc(r.honest.end)
	defer stopped()
	pause(ctx, 200*time.Millisecond)
	a := r.attack(ctx)
	pause(ctx, rand.N(killWithin))
	r.relay.kill()
	stopped()
	return errors.Join(a.end(), ctx.Err())
}
