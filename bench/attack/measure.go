package attack

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"cowrelay/bench/attack/books"
	"cowrelay/bench/attack/client"
	"cowrelay/bench/attack/honest"
	"cowrelay/bench/attack/relay"
)

// measure runs the phases and then the recovery.
func (r *run) measure(ctx context.Context) (err error) {
	r.step("reading the relay at rest")
	rest, err := books.Read(ctx, r.Relay.Admin, r.Relay.Token)
	if err != nil {
		return err
	}
	if r.res.AtRest, err = r.Relay.Held(ctx); err != nil {
		return err
	}
	h := r.honest
	h.Run(ctx)
	stopped := sync.OnceFunc(h.End)
	defer stopped()
	r.step("warming up")
	if !client.Pause(ctx, r.cfg.Before/5) {
		return ctx.Err()
	}
	r.step("before the attack")
	h.Phase.Store(honest.Before)
	if !client.Pause(ctx, r.cfg.Before) {
		return ctx.Err()
	}
	h.Phase.Store(honest.During)
	w := relay.StartWatch(ctx, r.Relay)
	began := time.Now()
	attack := r.attack(ctx)
	attacked := r.underAttack(ctx, attack)
	r.Lasted, r.died = time.Since(began), r.Relay.Ended()
	if r.v.During != nil && attacked == nil && !r.died {
		r.v.During(ctx, r.Scene)
	}
	if r.v.Final != nil && attacked == nil && !r.died {
		// What is under way still counts in its phase.
		h.Phase.Store(honest.Between)
		r.Await(ctx, client.Timeout+5*time.Second, h.Quiet)
		h.Phase.Store(honest.Ending)
		r.v.Final(ctx, r.Scene)
		stopped()
		err = attack.end()
		r.res.Peak = w.End()
		r.figures()
		r.bars()
		return errors.Join(err, r.stillThere(ctx), ctx.Err())
	}
	h.Phase.Store(honest.Between)
	err = attack.end()
	if r.v.Gone != nil && !r.Relay.Ended() {
		r.v.Gone(ctx, r.Scene)
	}
	r.res.Peak = w.End()
	if err = errors.Join(attacked, err, ctx.Err()); err != nil {
		return err
	}
	r.step("after the attack")
	if !r.Relay.Ended() && client.Pause(ctx, r.cfg.After/2) {
		h.Phase.Store(honest.After)
		client.Pause(ctx, r.cfg.After)
		h.Phase.Store(honest.Between)
		// What is under way still counts in its phase.
		r.Await(ctx, client.Timeout+5*time.Second, h.Quiet)
	}
	stopped()
	r.figures()
	r.bars()
	if r.Relay.Ended() {
		return ctx.Err()
	}
	return r.recovered(ctx, rest)
}

// An assault is a running attack.
type assault struct {
	cancel context.CancelFunc
	armed  chan struct{}
	done   chan struct{}
	err    error // read after done
}

// attack begins the attack.
func (r *run) attack(ctx context.Context) *assault {
	ctx, cancel := context.WithCancel(ctx)
	a := &assault{cancel: cancel, armed: make(chan struct{}), done: make(chan struct{})}
	// It ends with end, which waits for it.
	go func() {
		defer close(a.done)
		once := sync.OnceFunc(func() { close(a.armed) })
		a.err = r.v.Attack(ctx, r.Scene, once)
		once()
	}()
	return a
}

// end ends the attack and waits for it.
func (a *assault) end() error {
	a.cancel()
	<-a.done
	return a.err
}

// underAttack waits until the attack is armed and has lasted long enough.
func (r *run) underAttack(ctx context.Context, a *assault) error {
	r.step("the attack comes")
	select {
	case <-a.armed:
	case <-r.Relay.Done:
		return nil
	case <-time.After(armTime):
		return fmt.Errorf("the attack was not at its full size after %v", armTime)
	case <-ctx.Done():
		return ctx.Err()
	}
	r.step("under attack")
	select {
	case <-time.After(max(r.cfg.During, r.v.AtLeast)):
	case <-r.Relay.Done:
	case <-ctx.Done():
		return ctx.Err()
	}
	return nil
}
