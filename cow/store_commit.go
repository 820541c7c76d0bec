package cow

import (
	"context"
	"errors"
	"time"

	"cowrelay/cow/flight"
)

// commitEnv is what the commit pipeline gets of the store.
func (s *Store) commitEnv() commitEnv {
	return commitEnv{
		clock: s.clock, seed: s.seed, stats: &s.stats, budget: s.budget,
		wait:       s.opts.CommitWait,
		shared:     s.shared != nil,
		write:      s.journal.Commit,
		committed:  s.opts.Committed,
		room:       s.disk.room,
		slotsLeft:  func() int64 { return s.maxSlots.Load() - s.slotCount.Load() },
		slot:       s.Slot,
		enter:      s.enter,
		bury:       s.bury,
		loadSlot:   s.loads.startSlot,
		loadChunk:  s.loads.startChunk,
		loadBehind: s.loadBehind,
		catchUps:   s.opts.Loads,
	}
}

// enter makes a slot known, unless it is. Only the commit loop calls it.
func (s *Store) enter(slot *Slot) {
	if _, known := s.slots.LoadOrStore(slot.id, slot); known {
		return
	}
	s.slotCount.Add(1)
	s.stats.SlotsMade.Add(1)
	if s.shared != nil { // its records may have been heard of before the slot was
		s.followBlock(slot)
		s.claimTokens(slot)
	}
}

// bury makes a removed slot unreachable. The part of a page that was not written yet
// is gone with it. Only the commit loop calls it.
func (s *Store) bury(slot *Slot) {
	slot.dead.Store(true)
	s.followBlock(slot)
	s.slots.Delete(slot.id)
	s.slotCount.Add(-1)
	s.stats.SlotsRemoved.Add(1)
	s.stats.Events.Add(-int64(slot.count.Load() - uint64(slot.first.Load())))
	s.stats.Bytes.Add(-int64(slot.bytes.Load()))
	s.budget.cool(slot)
	s.tokens.Bury(&slot.tokens)
	slot.subs.wake(s.clock.now)
}

// loadBehind reads what the journal has of a slot from a position on, and then
// hands over a bounded part of it. more: that was not all.
func (s *Store) loadBehind(slot *Slot, from uint64, then func(got []foreign, more bool, err error)) {
	s.loads.pool.Go(func(err error) {
		var got []foreign
		if err == nil {
			size := 0
			err = s.loads.read(slot, from, func(a *Append) error {
				if size >= catchUpBytes {
					return errEnough
				}
				f := copyAppend(a)
				got, size = append(got, f), size+f.size()
				return nil
			})
		}
		if err == errEnough {
			then(got, true, nil)
			return
		}
		then(got, false, err)
	})
}

// NewPost returns an empty post.
func (s *Store) NewPost() *Post { return newPost(s.queue, s.seed) }

// Allocate makes a slot, durably, and returns its id, its slot token and its
// owner's. The tokens are not kept. Errors: ErrTooManySlots and those of Post.Commit.
func (s *Store) Allocate() (id ID, slotToken, owner string, err error) {
	slotToken, owner = NewToken(), NewToken()
	slot := &Slot{id: NewID(), token: HashToken([]byte(slotToken)), owner: HashToken([]byte(owner))}
	p := s.NewPost()
	defer p.Release()
	err = p.act(postCreate, slot)
	return slot.id, slotToken, owner, err
}

// Remove drops a slot with its token and events, durably. Its streams end, and its
// posts that wait get ErrNoSlot.
func (s *Store) Remove(slot *Slot) error { return s.remove(slot, nil) }

// RemoveUnused is Remove, unless the slot was used since last was its use: then it stays,
// and the error is ErrConflict. An event that anybody got an answer for is never removed
// by it, at whatever relay that was.
func (s *Store) RemoveUnused(slot *Slot, last Use) error { return s.remove(slot, &last) }

func (s *Store) remove(slot *Slot, still *Use) error {
	p := s.NewPost()
	defer p.Release()
	p.still = still
	if err := p.act(postRemove, slot); err != nil {
		return err
	}
	// Its id never comes again, so a record that a crash leaves here is dead
	// weight, not a fault.
	return errors.Join(s.dropRecord(healthKey(slot)), s.dropRecord(blockKey(slot.id)), s.DropLifetime(slot.id))
}

// Trim drops the oldest events of a slot, up to below a position, durably, and returns how
// many and how many bytes these are. Readers that have taken a window go on, as far as it
// is in memory. It wakes no cold slot: it reads the sizes of what leaves from the journal.
// ErrConflict: the slot was trimmed meanwhile. Other errors are those of Post.Commit and
// of a load.
func (s *Store) Trim(slot *Slot, to uint64) (events, bytes uint64, err error) {
	first, end := slot.Positions()
	if to = min(to, end); to <= first {
		return 0, 0, nil
	}
	p := s.NewPost()
	defer p.Release()
	if bytes, err = s.sizeOf(slot, first, to); err != nil {
		return 0, 0, err
	}
	p.trim = trimmed{first, to, bytes}
	if err := p.act(postTrim, slot); err != nil {
		return 0, 0, err
	}
	return to - first, bytes, nil
}

// MayTrim says whether the journal takes trims. One that relays share may not yet, as some
// of them may be too old to read them.
func (s *Store) MayTrim() bool {
	j, limited := s.journal.(interface{ Allowed(Op) bool })
	return !limited || j.Allowed(OpTrim)
}

// Within returns the lowest position from which on the slot's events have at most so many
// bytes. The newest event is always among them. It reads the sizes of those before from
// the journal, and wakes no cold slot. Errors are those of a load.
func (s *Store) Within(slot *Slot, most uint64) (pos uint64, err error) {
	pos, end := slot.Positions()
	bytes := slot.Bytes()
	if bytes <= most || end-pos <= 1 {
		return pos, nil
	}
	err = s.loads.pool.Do(func() error {
		return s.loads.read(slot, pos, func(a *Append) error {
			for i, ev := range a.Events {
				switch at := a.First + uint64(i); {
				case at < pos:
					continue
				case bytes <= most || at+1 >= end:
					return errEnough
				default:
					bytes -= min(bytes, uint64(len(ev.JSON)))
					pos = at + 1
				}
			}
			return nil
		})
	})
	if err == errEnough {
		err = nil
	}
	return pos, err
}

// While returns the position of the slot's first event that is not what is asked for, at
// most to. It reads those before from the journal, and wakes no cold slot. Errors are those
// of a load.
func (s *Store) While(slot *Slot, to uint64, is func(json []byte) bool) (pos uint64, err error) {
	pos, end := slot.Positions()
	if to = min(to, end); pos >= to {
		return pos, nil
	}
	err = s.loads.pool.Do(func() error {
		return s.loads.read(slot, pos, func(a *Append) error {
			for i, ev := range a.Events {
				switch at := a.First + uint64(i); {
				case at < pos:
				case at >= to || !is(ev.JSON):
					return errEnough
				default:
					pos = at + 1
				}
			}
			return nil
		})
	})
	if err == errEnough {
		err = nil
	}
	return pos, err
}

// sizeOf returns how many bytes the events have that stand from position from up to
// below to.
func (s *Store) sizeOf(slot *Slot, from, to uint64) (bytes uint64, err error) {
	if h := slot.hot.Load(); h != nil {
		if bytes, ok := h.snap.Load().size(from, to); ok {
			return bytes, nil
		}
	}
	next := from
	err = s.loads.pool.Do(func() error {
		return s.loads.read(slot, from, func(a *Append) error {
			if a.Op == OpTrim {
				return ErrConflict
			}
			for i, ev := range a.Events {
				switch pos := a.First + uint64(i); {
				case pos < from:
				case pos == to:
					return errEnough
				case pos != next:
					return gapError(slot, pos, next)
				default:
					bytes += uint64(len(ev.JSON))
					next++
				}
			}
			return nil
		})
	})
	if err == errEnough {
		err = nil
	}
	if err == nil && next != to {
		err = gapError(slot, next, to)
	}
	return bytes, err
}

// touchLoop hands the times of pulls to the commit loop now and then.
func (s *Store) touchLoop() {
	t := time.NewTicker(s.opts.TouchInterval)
	defer t.Stop()
	for {
		select {
		case <-t.C:
			s.touch(false)
		case <-s.stop:
			return
		}
	}
}

// streamTouch is how often the time of an open stream goes to the journal, so that a
// crash does not forget a stream that was open for long.
const streamTouch = 10 * time.Minute

// touch collects the slots that were read since the last time. It does nothing
// while some of those are still to be written: the slots themselves remember. The
// last call does not wait for them.
func (s *Store) touch(last bool) {
	if !last && s.inbox.touchesLeft.Load() > 0 {
		return
	}
	var slots []*Slot
	now := time.Now()
	due := stamp(now.Add(-streamTouch).Unix())
	s.slots.Range(func(_ ID, slot *Slot) bool {
		if slot.subs.Load() != nil && slot.streamedAt.Load() <= due {
			slot.markStreamed(now)
		}
		if slot.touched.Swap(false) {
			slots = append(slots, slot)
		}
		return true
	})
	if len(slots) > 0 {
		s.inbox.askTouch(slots)
	}
}

// Barrier returns when all that any relay acknowledged before the call is known here:
// slots and records. Events are in the journal then, and a slot may still catch up with
// them: Current and Reach wait for that. Where no other relay writes, Barrier returns at
// once. Errors: ErrAway
// when the log that they share does not answer in time, ErrBusy when too many wait,
// ErrClosed, and those of ctx.
func (s *Store) Barrier(ctx context.Context) error {
	_, err := s.barrier(ctx, nil)
	return err
}

// barrier is Barrier, and returns how many events the slot has then, which may be nil.
func (s *Store) barrier(ctx context.Context, slot *Slot) (count uint64, err error) {
	if s.shared == nil {
		return 0, nil
	}
	if s.barriers.Add(1) > int64(s.opts.LoadWaiters) {
		s.barriers.Add(-1)
		return 0, ErrBusy
	}
	defer s.barriers.Add(-1)
	inTime, cancel := context.WithTimeoutCause(ctx, s.opts.QueueTimeout, ErrAway)
	defer cancel()
	defer context.AfterFunc(s.ending, cancel)()
	if err = s.shared.Barrier(inTime); err == nil {
		count, err = s.settled(inTime, slot)
	}
	switch {
	case err == nil:
		return count, nil
	case s.ending.Err() != nil:
		return 0, ErrClosed
	case ctx.Err() != nil:
		return 0, ctx.Err()
	case inTime.Err() != nil:
		return 0, ErrAway
	}
	return 0, err
}

// settled returns how many events a slot has, with all that was fed before the call.
func (s *Store) settled(ctx context.Context, slot *Slot) (count uint64, err error) {
	select {
	case got := <-s.inbox.settle(slot):
		return got.count, got.err
	case <-ctx.Done():
		return 0, ctx.Err()
	}
}

// Reach returns when the relay has what start names, or when no relay has it: so a
// reader who has seen it at another relay goes on behind it. Errors are those of
// Barrier and of a load.
func (s *Store) Reach(ctx context.Context, slot *Slot, start Start) error {
	if s.shared == nil || start.back || len(start.id) == 0 && start.pos <= slot.end() {
		return nil
	}
	if len(start.id) == 0 {
		_, err := s.barrier(ctx, slot)
		return err
	}
	asked, count := false, uint64(0)
	for range mostLooks {
		h, err := s.loads.hot(slot, flight.By{Client: start.client, Ended: ctx.Done()})
		if err != nil {
			return err
		}
		switch pos, err := s.after(slot, h, start); {
		case err != nil || pos > 0:
			return err
		case !asked:
			asked = true
			if count, err = s.barrier(ctx, slot); err != nil {
				return err
			}
		case h.snap.Load().count >= count:
			return nil
		default: // a load that began before the barrier: the loop brings the rest
			if _, err := s.barrier(ctx, slot); err != nil {
				return err
			}
		}
	}
	return ErrBusy
}

// mostLooks is how often a reader looks again for what a barrier has promised, while
// the slot goes cold and is loaded again and again.
const mostLooks = 16

// Current fills w as Window does, with all that any relay acknowledged before the
// call. Errors are those of both.
func (s *Store) Current(ctx context.Context, slot *Slot, start Start, limit int, w *Window) error {
	count, err := s.barrier(ctx, slot)
	for look := 0; err == nil; look++ {
		if look == mostLooks {
			err = ErrBusy
			break
		}
		if err = s.Window(slot, start, limit, w); err != nil || w.End() >= count {
			return err
		}
		_, err = s.barrier(ctx, slot) // a load began before: the loop brings the rest
	}
	w.Reset()
	return err
}

// SharedLog returns how the relay stands to the log that it shares with others, and whether
// it shares one.
func (s *Store) SharedLog() (h Health, shared bool) {
	if s.shared == nil {
		return h, false
	}
	return s.shared.Health(), true
}

// ErrStuck says that the commit loop does not answer, and that the disk is not
// why.
var ErrStuck = errors.New("cow: the commit loop does not answer")

// Alive asks the commit loop for an answer and returns nil when it has come. It
// also returns nil if ctx ends while the loop waits for the journal: a slow disk is
// no faster after a restart, and readers are served meanwhile. ErrStuck says that
// ctx ended without such a reason. It must not be called after Close.
func (s *Store) Alive(ctx context.Context) error {
	answered := s.inbox.probe()
	select {
	case <-answered:
		return nil
	case <-ctx.Done():
	}
	if s.queue.writing() {
		return nil
	}
	return ErrStuck
}
