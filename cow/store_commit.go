package cow

// What the commit pipeline gets of the store.

func (s *Store) commitEnv() commitEnv {
	return commitEnv{
		clock: s.clock, seed: s.seed, stats: &s.stats, budget: s.budget,
		write:      s.journal.Commit,
		committed:  s.opts.Committed,
		room:       s.room,
		slotsLeft:  func() int64 { return s.maxSlots.Load() - s.slotCount.Load() },
		slot:       s.Slot,
		enter:      s.enter,
		bury:       s.bury,
		loadSlot:   s.loads.startSlot,
		loadChunk:  s.loads.startChunk,
		loadBehind: s.loads.startBehind,
		catchUps:   s.opts.Loads,
	}
}

// enter makes a slot known, unless it is. Only the commit loop calls it.
func (s *Store) enter(slot *Slot) {
	if _, known := s.slots.LoadOrStore(slot.id, slot); !known {
		s.slotCount.Add(1)
	}
}

// bury makes a removed slot unreachable. Of pages under way, what was not
// written yet is gone with it. Only the commit loop calls it.
func (s *Store) bury(slot *Slot) {
	slot.dead.Store(true)
	s.markBlocked(slot, false)
	s.slots.Delete(slot.id)
	s.slotCount.Add(-1)
	s.stats.Events.Add(-int64(slot.count.Load()))
	s.stats.Bytes.Add(-int64(slot.bytes.Load()))
	s.budget.cool(slot)
	slot.wakeSubscribers(s.now)
}

// startBehind reads what the journal has of a slot from a position on, and then
// hands over a bounded part of it. more: that was not all.
func (l *loader) startBehind(slot *Slot, from uint64, then func(got []foreign, more bool, err error)) {
	l.background(func(err error) {
		var got []foreign
		if err == nil {
			size := 0
			err = l.read(slot, from, func(a *Append) error {
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
