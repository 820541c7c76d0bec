package replaytest

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"

	"cowrelay/cow"
	"cowrelay/cow/event"
	"cowrelay/cow/replay"
)

// Store is a store in memory. It checks that what it is given fits to what it has.
// NewStore makes it; it must not be copied.
type Store struct {
	Faults
	// FlushEvery makes what was applied durable after so many batches, 0 for never.
	// It must be set before the first call.
	FlushEvery int

	mu      sync.Mutex
	now     *state   // guarded by mu; a state never changes
	durable *state   // guarded by mu
	behind  []*state // that are not durable, one for each batch; guarded by mu
	views   int      // that are open; guarded by mu
	closed  bool     // guarded by mu
}

var _ replay.MemberStore = (*Store)(nil)

type state struct {
	applied uint64
	totals  cow.Totals
	slots   map[cow.ID]slot
	records map[string]record
	member  replay.Member // its Producers are in producers

	producers map[uint64]replay.Producer
}

type slot struct {
	cow.SlotRecord
	events []event.Event // own bytes
}

type record struct {
	value   string
	version uint64
}

// NewStore returns an empty store.
func NewStore() *Store {
	s := &state{slots: make(map[cow.ID]slot), records: make(map[string]record)}
	return &Store{now: s, durable: s}
}

// Apply implements replay.Store.
func (s *Store) Apply(b *replay.Batch) error {
	return s.run(Apply, func() error {
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.closed {
			return errors.New("BUG: apply to a closed store")
		}
		next, err := s.now.with(b)
		if err != nil {
			return err
		}
		s.now = next
		s.behind = append(s.behind, next)
		if s.FlushEvery > 0 && len(s.behind) >= s.FlushEvery {
			s.durable, s.behind = next, nil
		}
		return nil
	})
}

// with returns the state with a batch.
func (s *state) with(b *replay.Batch) (*state, error) {
	if b.Seq <= s.applied {
		return nil, fmt.Errorf("BUG: entry %d is applied behind entry %d", b.Seq, s.applied)
	}
	if b.Shared != (s.member.Log != replay.LogID{}) {
		return nil, fmt.Errorf("BUG: a batch of a shared log: %v; the store belongs to log %x", b.Shared, s.member.Log)
	}
	n := &state{applied: b.Seq, totals: b.Totals, slots: maps.Clone(s.slots), records: maps.Clone(s.records), member: s.member, producers: maps.Clone(s.producers)}
	if b.Shared {
		n.member.Digest = b.Digest
		if err := n.produce(b); err != nil {
			return nil, err
		}
	}
	for i := range b.Groups {
		if err := n.act(&b.Groups[i]); err != nil {
			return nil, err
		}
	}
	for _, r := range b.Records {
		if r.Version == 0 {
			if _, ok := n.records[r.Key]; !ok {
				return nil, fmt.Errorf("BUG: record %q is deleted and not there", r.Key)
			}
			delete(n.records, r.Key)
			continue
		}
		n.records[strings.Clone(r.Key)] = record{string(r.Value), r.Version}
	}
	return n, nil
}

// produce takes over what a batch says of producers.
func (s *state) produce(b *replay.Batch) error {
	if n := s.applied - s.member.Base; s.applied < s.member.Base || n == 0 {
		return fmt.Errorf("BUG: entry %d of a log that begins behind entry %d", s.applied, s.member.Base)
	}
	seen := make(map[uint64]bool)
	for _, p := range b.Producers {
		was := s.producers[p.ID]
		switch {
		case seen[p.ID]:
			return fmt.Errorf("BUG: producer %x stands twice in a batch", p.ID)
		case p.Number == 0:
			delete(s.producers, p.ID)
		case p.Seq > b.Seq, p.Seq <= was.Seq, p.Seq <= s.member.Base:
			return fmt.Errorf("BUG: producer %x is at entry %d in a batch up to entry %d, it was at entry %d", p.ID, p.Seq, b.Seq, was.Seq)
		default:
			p.Part = slices.Clone(p.Part)
			s.producers[p.ID] = p
		}
		seen[p.ID] = true
	}
	return nil
}

// JoinLog implements replay.MemberStore.
func (s *Store) JoinLog(log replay.LogID, digest uint64) error {
	return s.setMember(func(n *state) {
		n.member = replay.Member{Log: log, Base: n.applied, Digest: digest}
	})
}

// LeaveLog implements replay.MemberStore.
func (s *Store) LeaveLog() error {
	return s.setMember(func(n *state) { n.member = replay.Member{} })
}

func (s *Store) setMember(set func(*state)) error {
	return s.run(Join, func() error {
		s.mu.Lock()
		defer s.mu.Unlock()
		n := *s.now
		n.producers = make(map[uint64]replay.Producer)
		set(&n)
		s.now, s.durable, s.behind = &n, &n, nil
		return nil
	})
}

func (s *state) act(g *replay.Group) error {
	was, ok := s.slots[g.Slot]
	if ok == (g.Op == cow.OpCreate) {
		return fmt.Errorf("BUG: op %d on slot %s, which is there: %v", g.Op, g.Slot, ok)
	}
	switch g.Op {
	case cow.OpCreate:
		was = slot{SlotRecord: cow.SlotRecord{Slot: g.Slot, Token: g.Token, Owner: g.Owner}}
	case cow.OpAppend:
		n := uint64(len(g.Events))
		if n == 0 || g.First != was.Count || g.Count != was.Count+n {
			return fmt.Errorf("BUG: %d events at position %d make %d, slot %s has %d", n, g.First, g.Count, g.Slot, was.Count)
		}
		bytes := was.Bytes
		was.events = slices.Clip(was.events) // other states share the array
		for _, e := range g.Events {
			bytes += uint64(len(e.JSON))
			was.events = append(was.events, event.Event{JSON: slices.Clone(e.JSON), IDOff: e.IDOff})
		}
		if bytes != g.Bytes {
			return fmt.Errorf("BUG: slot %s has %d bytes now, its group says %d", g.Slot, bytes, g.Bytes)
		}
		if g.Oldest != was.First {
			return fmt.Errorf("BUG: slot %s begins at position %d, its group says %d", g.Slot, was.First, g.Oldest)
		}
		was.Version, was.Count, was.Bytes = g.Count, g.Count, g.Bytes
	case cow.OpTrim:
		if g.First != was.First || g.Oldest <= g.First || g.Oldest > was.Count || g.Count != was.Count {
			return fmt.Errorf("BUG: a trim from position %d to %d of %d, slot %s has events from %d to %d", g.First, g.Oldest, g.Count, g.Slot, was.First, was.Count)
		}
		var bytes uint64
		for _, e := range was.events[:g.Oldest-g.First] {
			bytes += uint64(len(e.JSON))
		}
		if bytes != g.Gone || was.Bytes-bytes != g.Bytes {
			return fmt.Errorf("BUG: a trim of %d bytes of %d of slot %s, its group says %d and leaves %d", bytes, was.Bytes, g.Slot, g.Gone, g.Bytes)
		}
		was.events, was.First, was.Bytes = was.events[g.Oldest-g.First:], g.Oldest, g.Bytes
	case cow.OpRemove:
		if g.Count != was.Count {
			return fmt.Errorf("BUG: slot %s is removed with %d events, it has %d", g.Slot, g.Count, was.Count)
		}
		delete(s.slots, g.Slot)
		return nil
	case cow.OpTouch:
		was.PulledAt, was.StreamedAt = g.PulledAt, g.StreamedAt
	default:
		return fmt.Errorf("BUG: unknown op %d", g.Op)
	}
	s.slots[g.Slot] = was
	return nil
}

// Durable implements replay.Store.
func (s *Store) Durable() uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.durable.applied
}

// Flush implements replay.Store.
func (s *Store) Flush() error {
	return s.run(Flush, func() error {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.durable, s.behind = s.now, nil
		return nil
	})
}

// Value implements replay.Store.
func (s *Store) Value(key string) ([]byte, uint64, error) {
	s.mu.Lock()
	r, ok := s.now.records[key]
	s.mu.Unlock()
	if !ok {
		return nil, 0, cow.ErrNoRecord
	}
	return []byte(r.value), r.version, nil
}

// Close implements replay.Store. All views must be closed.
func (s *Store) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed || s.views != 0 {
		return fmt.Errorf("BUG: closed: %v, open views: %d", s.closed, s.views)
	}
	s.closed = true
	return nil
}

// Reopen returns the store as a next process finds it after Close: without hooks.
func (s *Store) Reopen() *Store {
	s.mu.Lock()
	defer s.mu.Unlock()
	return &Store{FlushEvery: s.FlushEvery, now: s.now, durable: s.now}
}

// Crash returns the store as a next process may find it after a crash, without
// hooks: with up to keep batches that were not durable. The old one may go on, and the
// new one does not see what it does.
func (s *Store) Crash(keep int) *Store {
	s.mu.Lock()
	defer s.mu.Unlock()
	left := s.durable
	if n := min(keep, len(s.behind)); n > 0 {
		left = s.behind[n-1]
	}
	return &Store{FlushEvery: s.FlushEvery, now: left, durable: left}
}
