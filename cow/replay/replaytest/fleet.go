package replaytest

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"cowrelay/cow"
	"cowrelay/cow/replay"
)

// Fleet is a run of relays that write to one log at random.
type Fleet struct {
	Relays int // at least 1
	Steps  int // of each
	Seed   uint64
	// Connect makes a connection to the log, which is empty at first. Every start of
	// a relay makes its own.
	Connect func(t testing.TB) replay.SharedLog
	// Large has some append more than one entry of the log takes.
	Large bool
	// Restarts has relays stop and crash in between.
	Restarts bool
	// Open makes the empty store of a relay. again opens what it holds: behind its
	// Close, or, for a crash, while the old one is still used. Default: a store in
	// memory.
	Open func(relay int) (s replay.MemberStore, again func(crash bool) replay.MemberStore)
	// Options of all relays. Logger, Fatal and Progress are set.
	Options replay.Options
	// Quiet is called when all relays have done their steps: what went wrong on the
	// way to the log must end.
	Quiet func()
}

// RunFleet runs a fleet and holds it to what package replay promises:
//
//   - in the end all relays have the same slots, events, records, totals, producers and
//     digest;
//   - an acknowledged event stands where it was acknowledged, unless a trim took it: then
//     it is nowhere. A conflict left none, and an unknown outcome at most one;
//   - a slot begins where a trim said, and behind each trim that was acknowledged;
//   - a counter that is raised by compare-and-set shows each acknowledged raise;
//   - behind a barrier a relay sees what any relay had acknowledged before, and its
//     feed had told of it;
//   - a feed tells nothing twice, and nothing is lost between Slots and Feed.
func RunFleet(t testing.TB, f Fleet) {
	r := &fleetRun{
		Fleet: f, TB: t, acked: make(map[string]place), refused: make(map[string]bool), removed: make(map[cow.ID]bool),
		floor: make(map[cow.ID]uint64), left: make(map[cow.ID]uint64), asked: make(map[cow.ID]map[uint64]bool),
	}
	r.Options.Logger = slog.New(slog.DiscardHandler)
	r.Options.Fatal = func(err error) { panic(fmt.Sprintf("a relay failed: %v", err)) }
	for i := range f.Relays {
		m := &fleetRelay{r: r, name: i, rng: rand.New(rand.NewPCG(f.Seed, uint64(i)))}
		open := f.Open
		if open == nil {
			open = m.inMemory
		}
		m.store, m.again = open(i)
		m.open()
		r.relays = append(r.relays, m)
	}
	var wg sync.WaitGroup
	for _, relay := range r.relays {
		wg.Go(func() {
			for n := range f.Steps {
				relay.step(n)
			}
		})
	}
	wg.Wait()
	if f.Quiet != nil {
		f.Quiet()
	}
	r.settle()
	r.check()
}

type fleetRun struct {
	Fleet
	testing.TB
	relays []*fleetRelay

	mu      sync.Mutex
	slots   []cow.ID          // that were created; guarded by mu
	acked   map[string]place  // events that must be there once; guarded by mu
	refused map[string]bool   // events that must not be there; guarded by mu
	removed map[cow.ID]bool   // slots that are removed, or may be; guarded by mu
	floor   map[cow.ID]uint64 // events that were acknowledged; guarded by mu
	raised  uint64            // of the counter, for certain; guarded by mu
	perhaps uint64            // beyond that, at most; guarded by mu
	trims   int               // that were acknowledged; guarded by mu

	left  map[cow.ID]uint64          // position of the oldest event behind all trims that were acknowledged; guarded by mu
	asked map[cow.ID]map[uint64]bool // where trims were to have a slot begin; guarded by mu
}

// place is where an event stands.
type place struct {
	slot cow.ID
	pos  uint64
}

// fleetRelay is one relay. It belongs to its goroutine, but for mirror.
type fleetRelay struct {
	r     *fleetRun
	name  int
	rng   *rand.Rand
	store replay.MemberStore
	again func(crash bool) replay.MemberStore
	j     *replay.SharedJournal
	made  int // events

	mu     sync.Mutex
	mirror map[cow.ID]uint64 // slots and their events, by Slots, the feed and own acts; guarded by mu
	own    map[cow.ID]uint64 // the position behind own appends: the feed may tell of the slot later; guarded by mu
	gone   map[cow.ID]bool   // slots that this relay removed, for the same reason; guarded by mu
	fed    map[cow.ID]uint64 // the position behind what Slots and the feed gave; guarded by mu
	oldest map[cow.ID]uint64 // where slots begin, by Slots, the feed and own acts; guarded by mu
}

// inMemory is the default of Fleet.Open.
func (m *fleetRelay) inMemory(relay int) (replay.MemberStore, func(bool) replay.MemberStore) {
	s := NewStore()
	s.FlushEvery = 1 + relay
	return s, func(crash bool) replay.MemberStore {
		if crash {
			s = s.Crash(m.rng.IntN(3))
		} else {
			s = s.Reopen()
		}
		return s
	}
}

func (m *fleetRelay) open() {
	r := m.r
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	j, err := replay.OpenShared(ctx, r.Connect(r.TB), m.store, r.Options)
	if err != nil {
		panic(fmt.Sprintf("relay %d: %v", m.name, err))
	}
	m.j = j
	m.gone = make(map[cow.ID]bool)
	m.mirror, m.own, m.fed, m.oldest = make(map[cow.ID]uint64), make(map[cow.ID]uint64), make(map[cow.ID]uint64), make(map[cow.ID]uint64)
	err = j.Slots(func(s cow.SlotRecord) error {
		m.mirror[s.Slot], m.fed[s.Slot], m.oldest[s.Slot] = s.Count, s.Count, s.First
		return nil
	})
	if err != nil {
		panic(err)
	}
	if m.rng.IntN(2) == 0 { // what comes now must not be lost
		time.Sleep(time.Duration(m.rng.IntN(20)) * time.Millisecond)
	}
	j.Feed(m.deliver)
}

// deliver is what the feed calls.
func (m *fleetRelay) deliver(a *cow.Append) {
	r, loaded := m.r, uint64(0)
	if a.Op == cow.OpAppend && len(a.Events) == 0 { // the journal has it
		c, _ := m.counts(a.Slot)
		loaded = c.count
	}
	r.mu.Lock()
	removed := r.removed[a.Slot]
	r.mu.Unlock()
	m.mu.Lock()
	defer m.mu.Unlock()
	count, known := m.mirror[a.Slot]
	switch a.Op {
	case cow.OpCreate:
		if known {
			r.Errorf("relay %d: the feed creates slot %s, which is there", m.name, a.Slot)
		}
		if !m.gone[a.Slot] {
			m.mirror[a.Slot] = m.own[a.Slot]
		}
	case cow.OpRemove:
		delete(m.mirror, a.Slot)
	case cow.OpTrim:
		// Own trims are fed too, and one that this relay saw end may come after others.
		m.oldest[a.Slot] = max(m.oldest[a.Slot], a.First)
	case cow.OpAppend:
		if a.First < m.fed[a.Slot] {
			r.Errorf("relay %d: the feed gives position %d of slot %s again, it was behind %d", m.name, a.First, a.Slot, m.fed[a.Slot])
		}
		if n := uint64(len(a.Events)); n > 0 && a.Version != a.First+n {
			r.Errorf("relay %d: an append of %d events at %d has version %d", m.name, n, a.First, a.Version)
		}
		m.fed[a.Slot] = a.Version
		switch {
		case known:
			m.mirror[a.Slot] = max(count, a.Version, loaded)
		case !removed:
			r.Errorf("relay %d: the feed appends to slot %s, which is not there", m.name, a.Slot)
		}
	}
}

// restart stops a relay or has it crash, and starts it again.
func (m *fleetRelay) restart() {
	old := m.j
	if m.rng.IntN(2) == 0 {
		if err := old.Close(); err != nil {
			panic(err)
		}
		m.store = m.again(false)
		m.open()
		return
	}
	var wg sync.WaitGroup
	wait := time.Duration(m.rng.IntN(3)) * time.Millisecond
	wg.Go(func() { m.append(2) }) // that is under way
	time.Sleep(wait)
	old.Stop()
	wg.Wait()
	m.store = m.again(true)
	if err := old.Close(); err != nil { // writes to a store that is not used any more
		panic(err)
	}
	m.open()
}
