package fasthttp

import (
	"time"

	"cowrelay/cow"
)

// waiter is a long poll: a subscriber that takes nothing, and only hears.
type waiter chan struct{}

// Wake implements cow.Waker.
func (w waiter) Wake(int64) {
	select {
	case w <- struct{}{}:
	default:
	}
}

// await fills w as soon as there is something to pull, or leaves it empty after
// the time that the client gives or when the relay drains.
func (r *Relay) await(slot *cow.Slot, q pullQuery, w *cow.Window) error {
	if r.waiters.Add(1) > int64(r.live.Load().MaxWaiters) {
		r.waiters.Add(-1)
		return errManyStreams
	}
	defer r.waiters.Add(-1)
	slot.MarkPulled(time.Now())
	wake := make(waiter, 1)
	sub, err := r.store.Subscribe(slot, false, nil, wake)
	if err != nil {
		return err
	}
	defer sub.Close()
	timer := time.NewTimer(q.wait)
	defer timer.Stop()
	for {
		// Subscribed first, read second: nothing falls between.
		if err := r.store.Window(slot, q.since, q.limit, w); err != nil || w.Events() > 0 {
			return err
		}
		if slot.Blocked() {
			return errBlocked
		}
		select {
		case <-wake:
		case <-timer.C:
			return nil
		case <-r.drain:
			return nil
		}
	}
}
