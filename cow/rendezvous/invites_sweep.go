package rendezvous

import (
	"context"
	"errors"
	"math/rand/v2"
	"runtime/pprof"
	"sync"
	"time"

	"cowrelay/cow"
)

const (
	sweepEvery = 10 * time.Second
	sweepBatch = 1024 // records of one turn
	sweepers   = 16   // that drop records at once, so that they share a sync
)

// sweeps drops the records of invites that have been over for long enough, until
// Close.
func (v *Invites) sweeps() {
	pprof.Do(context.Background(), pprof.Labels("cow", "invites"), func(context.Context) {
		defer close(v.ended)
		tick := time.NewTicker(sweepEvery)
		defer tick.Stop()
		for {
			select {
			case <-v.stop:
				return
			case <-tick.C:
			}
			if v.opts.Away == nil {
				v.sweep()
				continue
			}
			select { // one of the relays is first, and the others hear of it
			case <-v.stop:
				return
			case <-time.After(rand.N(sweepEvery)):
			}
			if v.opts.Away() == 0 {
				v.sweep()
			}
		}
	})
}

// sweep drops all records that are due, or as many as it can.
func (v *Invites) sweep() {
	for {
		tokens := v.books.takeLeaving(v.opts.Now(), sweepBatch)
		if len(tokens) == 0 {
			return
		}
		if failed, err := v.drop(tokens); err != nil {
			v.books.putBack(failed)
			v.opts.Logger.Warn("expired invites can't be dropped; the next sweep tries again", "invites", len(failed), "err", err)
			return
		}
	}
}

// drop drops the records of the tokens. It returns those that are still there,
// with an error.
func (v *Invites) drop(tokens []string) (failed []string, err error) {
	var mu sync.Mutex // guards failed, err and the rest of the tokens
	var all sync.WaitGroup
	for range min(sweepers, len(tokens)) {
		all.Go(func() {
			for {
				mu.Lock()
				if len(tokens) == 0 || err != nil {
					mu.Unlock()
					return
				}
				token := tokens[0]
				tokens = tokens[1:]
				mu.Unlock()
				if e := v.dropOne(token); e != nil {
					mu.Lock()
					failed, err = append(failed, token), e
					mu.Unlock()
				}
			}
		})
	}
	all.Wait()
	return append(failed, tokens...), err
}

func (v *Invites) dropOne(token string) error {
	select {
	case <-v.stop:
		return cow.ErrClosed
	default:
	}
	done, err := toDrop(v.opts.Gate)
	if err != nil {
		return err
	}
	defer done()
	value, version, err := v.records.Value(InviteKey(token))
	if errors.Is(err, cow.ErrNoRecord) {
		v.books.forget(token)
		return nil
	}
	if err != nil {
		return err
	}
	// The record knows best: the clock may have been set back meanwhile.
	if invite, err := DecodeInvite(token, value); err != nil || !invite.over(v.opts.Now()) {
		v.books.forget(token)
		v.note(InviteKey(token), value)
		return nil
	}
	switch err := v.records.Delete(InviteKey(token), version); {
	case errors.Is(err, cow.ErrConflict): // another relay has dropped it, or changed it, which is noted
		v.books.leaveAgain(token)
		return nil
	case err != nil:
		return err
	}
	v.Stats.Swept.Add(1)
	v.books.forget(token)
	return nil
}
