package cow

import (
	"context"
	"errors"
	"time"
)

// commitEnv is what the commit pipeline gets of the store.
func (s *Store) commitEnv() commitEnv {
	return commitEnv{
		clock: s.clock, seed: s.seed, stats: &s.stats, budget: s.budget,
		wait:       s.opts.CommitWait,
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
	if _, known := s.slots.LoadOrStore(slot.id, slot); !known {
		s.slotCount.Add(1)
		s.stats.SlotsMade.Add(1)
	}
}

// bury makes a removed slot unreachable. The part of a page that was not written yet
// is gone with it. Only the commit loop calls it.
func (s *Store) bury(slot *Slot) {
	slot.dead.Store(true)
	s.markBlocked(slot, false)
	s.slots.Delete(slot.id)
	s.slotCount.Add(-1)
	s.stats.SlotsRemoved.Add(1)
	s.stats.Events.Add(-int64(slot.count.Load()))
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
func (s *Store) Remove(slot *Slot) error {
	p := s.NewPost()
	defer p.Release()
	if err := p.act(postRemove, slot); err != nil {
		return err
	}
	// Its id never comes again, so a record that a crash leaves here is dead
	// weight, not a fault.
	return errors.Join(s.dropRecord(healthKey(slot)), s.forgetBlock(slot))
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
