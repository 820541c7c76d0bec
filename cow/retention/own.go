package retention

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math/bits"
	"slices"
	"strings"
	"sync"
	"time"

	"cowrelay/cow"
)

// A slot may have a lifetime of its own, see cow.Lifetime. Such slots have generations of
// their own, in classes: class c is for lifetimes from MinEvent<<c to below twice that. So
// each class has few generations, and a lifetime of a minute costs nothing of one of a
// year. They are stored as
//
//	retention-own/<class, 2 digits>/<Unix seconds, 12 digits>/<part, 4 digits>
//
// with the value of other generations. Memory follows the records: whoever wrote one, it
// is known when it is stored.
const (
	ownPrefix = "retention-own/"
	// MinEvent, MinSlot and Max bound the lifetimes that slots may ask for.
	MinEvent = time.Minute
	MinSlot  = time.Hour
	Max      = 10 * 365 * 24 * time.Hour
	classes  = 27 // of all times that a record can hold
	// ownGrains is how many generations a class has in the shortest of its times. A mark is
	// late by one of these at most, and a look at it by another: an eighth in all.
	ownGrains = 16
	ownEvery  = MinEvent / ownGrains
	ownBytes  = 64 // of memory, for each slot
)

// The times of a lifetime.
const (
	ownEvent = iota
	ownSlot
	ownTimes
)

// own is what is known of a slot with a lifetime of its own.
type own struct {
	after [ownTimes]uint32 // seconds; 0: as the operator says
	noted [ownTimes]uint32 // position behind what its class has named, plus one; 0: nothing
}

// ownPart is a record of a class.
type ownPart struct {
	part
	mine bool // this process wrote it
}

// ownSlots is all that is known of slots with lifetimes of their own.
type ownSlots struct {
	mu    sync.Mutex // guards what follows; not held while the journal is asked
	slots map[cow.ID]own
	parts [classes][]ownPart // the oldest first
	due   [classes]time.Time // when a class is looked at next; the sweeper's goroutine's
}

func classOf(seconds uint32) int {
	return max(0, bits.Len32(seconds/uint32(MinEvent/time.Second))-1)
}

// shortest is the shortest lifetime of a class.
func shortest(class int) time.Duration { return MinEvent << class }

func ownClassPrefix(class int) string { return fmt.Sprintf("%s%02d/", ownPrefix, class) }

// follow reads the records and hears of what changes.
func (s *Sweeper) follow() (unwatch func(), err error) {
	a := s.records.Watch(cow.LifetimePrefix, s.noteLifetime)
	b := s.records.Watch(ownPrefix, s.notePart)
	unwatch = func() { a(); b() }
	// What is deleted meanwhile may come back by these. It is found to be gone when it is
	// looked for.
	err = s.records.List(cow.LifetimePrefix, func(key string, value []byte, version uint64) error {
		s.noteLifetime(key, value, version)
		return nil
	})
	if err == nil {
		err = s.records.List(ownPrefix, func(key string, value []byte, version uint64) error {
			s.notePart(key, value, version)
			return nil
		})
	}
	if err != nil {
		unwatch()
		return nil, err
	}
	return unwatch, nil
}

// noteLifetime brings memory in step with the record of a lifetime. A version of 0 is one
// that was deleted.
func (s *Sweeper) noteLifetime(key string, value []byte, version uint64) {
	o := &s.ownSlots
	if version == 0 {
		id, ok := cow.ParseID(strings.TrimPrefix(key, cow.LifetimePrefix))
		o.mu.Lock()
		defer o.mu.Unlock()
		if _, known := o.slots[id]; known && ok {
			delete(o.slots, id)
			s.store.Charge(-ownBytes)
		}
		return
	}
	id, l, err := cow.ParseLifetime(key, value)
	if err != nil {
		s.log.Error("how long a slot is kept can't be read: it is kept as long as others", "error", err)
		return
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if _, known := o.slots[id]; known {
		return // it never changes
	}
	if o.slots == nil {
		o.slots = make(map[cow.ID]own)
	}
	o.slots[id] = own{after: [ownTimes]uint32{ownEvent: uint32(l.Event / time.Second), ownSlot: uint32(l.Slot / time.Second)}}
	s.store.Charge(ownBytes)
}

// notePart brings memory in step with the record of a class.
func (s *Sweeper) notePart(key string, value []byte, version uint64) {
	class, p, ok := parseOwn(key)
	if !ok {
		return
	}
	o := &s.ownSlots
	o.mu.Lock()
	defer o.mu.Unlock()
	list := o.parts[class]
	at := slices.IndexFunc(list, func(have ownPart) bool { return have.key == key })
	switch {
	case version == 0 && at >= 0:
		o.parts[class] = slices.Delete(list, at, at+1)
	case version != 0 && at < 0:
		behind, _ := slices.BinarySearchFunc(list, key, func(have ownPart, key string) int { return cmp.Compare(have.key, key) })
		o.parts[class] = slices.Insert(list, behind, ownPart{part: p})
		if err := entries(value, func(e entry) { o.note(e.slot, class, uint32(e.end+1)) }); err != nil {
			s.log.Error("a list of when events came can't be read: what it names stays longer", "record", key)
		}
	}
}

func parseOwn(key string) (class int, p part, ok bool) {
	text, _, ok := strings.Cut(strings.TrimPrefix(key, ownPrefix), "/")
	if n, err := fmt.Sscanf(text, "%02d", &class); !ok || n != 1 || err != nil || class < 0 || class >= classes {
		return 0, p, false
	}
	p, ok = parsePart(ownClassPrefix(class), key)
	return class, p, ok
}

// note remembers what a class has named of a slot. mu is held.
func (o *ownSlots) note(id cow.ID, class int, noted uint32) {
	known, ok := o.slots[id]
	if !ok {
		return
	}
	for i, after := range known.after {
		if after > 0 && classOf(after) == class {
			known.noted[i] = noted
		}
	}
	o.slots[id] = known
}

// any says whether there is something to do for slots with lifetimes of their own.
func (o *ownSlots) any() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, parts := range o.parts {
		if len(parts) > 0 {
			return true
		}
	}
	return len(o.slots) > 0
}

// sweepOwn does once what the lifetimes of slots ask for now.
func (s *Sweeper) sweepOwn(now time.Time) error {
	if !s.ownSlots.any() {
		return nil
	}
	for class := range classes {
		grain := shortest(class) / ownGrains
		if due := s.ownSlots.due[class]; now.Before(due) && due.Sub(now) <= grain {
			continue
		}
		if err := s.forgetParts(class, func(p ownPart) bool { return p.at.Sub(now) > 2*grain }); err != nil {
			return err
		}
		if err := s.writeOwn(class, now.Truncate(grain).Add(grain)); err != nil {
			return err
		}
		if s.clock.believed() {
			if err := s.expireOwn(class, now); err != nil {
				return err
			}
		}
		s.ownSlots.due[class] = now.Add(grain)
	}
	return nil
}

// writeOwn names the slots of a class that have changed.
func (s *Sweeper) writeOwn(class int, at time.Time) error {
	type changed struct {
		id cow.ID
		own
	}
	var list []changed
	o := &s.ownSlots
	o.mu.Lock()
	for id, known := range o.slots {
		if classOf(known.after[ownEvent]) == class && known.after[ownEvent] > 0 || classOf(known.after[ownSlot]) == class && known.after[ownSlot] > 0 {
			list = append(list, changed{id, known})
		}
	}
	o.mu.Unlock()
	var value []byte
	var lost []cow.ID
	n, number := 0, 0
	for _, c := range list {
		slot := s.store.Slot(c.id)
		if slot == nil {
			lost = append(lost, c.id)
			continue
		}
		_, end := slot.Positions()
		wanted := false
		for i, after := range c.after {
			// A slot without events has none that could leave, but may end.
			if after > 0 && classOf(after) == class && uint64(c.noted[i]) != end+1 && (end > 0 || i == ownSlot) {
				wanted = true
			}
		}
		if !wanted {
			continue
		}
		value, n = appendEntry(value, entry{c.id, end}), n+1
		if n == partSlots {
			if err := s.putOwn(class, at, &number, value); err != nil {
				return err
			}
			value, n = value[:0], 0
		}
	}
	if n > 0 {
		if err := s.putOwn(class, at, &number, value); err != nil {
			return err
		}
	}
	return s.dropLost(lost)
}

func (s *Sweeper) putOwn(class int, at time.Time, number *int, value []byte) error {
	p, err := s.put(ownClassPrefix(class), at, number, value)
	if err != nil {
		return err
	}
	o := &s.ownSlots
	o.mu.Lock()
	defer o.mu.Unlock()
	for i := range o.parts[class] {
		if o.parts[class][i].key == p.key {
			o.parts[class][i].mine = true
		}
	}
	return nil
}

// dropLost deletes the lifetimes of slots that are gone: of those that a crash has left.
func (s *Sweeper) dropLost(ids []cow.ID) error {
	if len(ids) == 0 {
		return nil
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	// A slot is in the log before its lifetime. So what is not known behind the barrier
	// is gone.
	if err := s.store.Barrier(ctx); err != nil {
		return err
	}
	for _, id := range ids {
		if s.store.Slot(id) == nil {
			if err := s.store.DropLifetime(id); err != nil {
				return err
			}
			s.noteLifetime(cow.LifetimePrefix+id.String(), nil, 0)
		}
	}
	return nil
}

// expireOwn ends what is old enough in a class.
func (s *Sweeper) expireOwn(class int, now time.Time) error {
	o := &s.ownSlots
	o.mu.Lock()
	parts := slices.Clone(o.parts[class])
	o.mu.Unlock()
	for _, p := range parts {
		age := now.Sub(p.at) - s.lateness(max(shortest(class)/ownGrains, ownEvery))
		if age < shortest(class) {
			continue
		}
		value, _, err := s.records.Value(p.key)
		switch {
		case errors.Is(err, cow.ErrNoRecord): // another relay has done all of it
			s.notePart(p.key, nil, 0)
			continue
		case err != nil:
			return err
		}
		last := age >= 2*shortest(class)
		if err := s.applyOwn(class, value, age, last, now); err != nil {
			return err
		}
		if last && s.mayTrim {
			if err := s.drop(p.key); err != nil {
				return err
			}
		}
	}
	return nil
}

// applyOwn applies a part of a class that is so old. last says that it is not looked at
// again.
func (s *Sweeper) applyOwn(class int, value []byte, age time.Duration, last bool, now time.Time) error {
	a := s.newActs()
	o := &s.ownSlots
	// What can't be read was told of when it came.
	_ = entries(value, func(e entry) {
		o.mu.Lock()
		known, ok := o.slots[e.slot]
		o.mu.Unlock()
		slot := s.store.Slot(e.slot)
		if !ok || slot == nil {
			return
		}
		due := func(i int) bool {
			after := known.after[i]
			return after > 0 && classOf(after) == class && age >= time.Duration(after)*time.Second
		}
		again := func() { // the next generation is to name it
			o.mu.Lock()
			o.note(e.slot, class, 0)
			o.mu.Unlock()
		}
		if use := slot.LastUse(); due(ownSlot) && use.End == e.end {
			if now.Sub(time.Unix(use.ReadAt, 0)) >= time.Duration(known.after[ownSlot])*time.Second {
				a.do(func() error { return s.remove(slot, use, &s.store.Stats().SlotsIdle, again) })
				return
			}
			if last { // it is read
				again()
			}
		}
		if first, _ := slot.Positions(); due(ownEvent) && first < e.end && s.mayTrim {
			a.do(func() error { return s.trim(slot, e.end) })
		}
	})
	return a.wait("lifetimes of slots")
}

// forgetParts deletes parts of a class. What they name is noted again.
func (s *Sweeper) forgetParts(class int, which func(ownPart) bool) error {
	o := &s.ownSlots
	o.mu.Lock()
	parts := slices.DeleteFunc(slices.Clone(o.parts[class]), func(p ownPart) bool { return !which(p) })
	o.mu.Unlock()
	if len(parts) == 0 {
		return nil
	}
	for _, p := range parts {
		if err := s.drop(p.key); err != nil {
			return err
		}
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	for id := range o.slots {
		o.note(id, class, 0)
	}
	return nil
}

// ownBehind is for how long something of a class should have ended that has not.
func (s *Sweeper) ownBehind(now time.Time) (d time.Duration) {
	s.ownSlots.mu.Lock()
	defer s.ownSlots.mu.Unlock()
	for class, parts := range s.ownSlots.parts {
		if len(parts) > 0 {
			d = max(d, now.Sub(parts[0].at)-2*shortest(class))
		}
	}
	return d
}
