package engine

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"

	"cowrelay/cow"
	"cowrelay/cow/event"
	"cowrelay/cow/filelog"
	"cowrelay/cow/pebblestore"
)

// quiet keeps expected complaints out of the test's output.
var quiet = slog.New(slog.DiscardHandler)

// state is all that a store holds, but the events: those follow from slot and
// position (see scriptEvent).
type state struct {
	slots   map[cow.ID]cow.SlotRecord
	records map[string]string
	totals  cow.Totals
}

func (s state) clone() state {
	return state{maps.Clone(s.slots), maps.Clone(s.records), s.totals}
}

func (s state) equal(o state) bool {
	return maps.Equal(s.slots, o.slots) && maps.Equal(s.records, o.records) && s.totals == o.totals
}

func scriptEvent(slot cow.ID, pos uint64) event.Event {
	json := fmt.Appendf(nil, `{"slot":"%s","pos":%d,"event_id":"%d","x":"%s"}`, slot, pos, pos, strings.Repeat("x", int(pos%97)*9))
	return event.Event{JSON: json, IDOff: uint32(bytes.Index(json, []byte(`_id":`)) + 5)}
}

// script is a run of steps, each of which changes the store by one batch, and
// the states that follow on each other.
type script struct {
	rng    *rand.Rand
	ids    []cow.ID
	mu     sync.Mutex
	states []state // guarded by mu: some faults let a script go on while its states are compared
	// acked is the number of steps that the store has acknowledged; begun of
	// those that it was given.
	acked, begun atomic.Int64
}

func newScript(seed uint64) *script {
	s := &script{rng: rand.New(rand.NewPCG(seed, 7))}
	s.states = append(s.states, state{slots: map[cow.ID]cow.SlotRecord{}, records: map[string]string{}})
	for range 6 {
		var id cow.ID
		for i := range id {
			id[i] = byte(s.rng.Uint32())
		}
		s.ids = append(s.ids, id)
	}
	return s
}

// plan makes the next batch and the state behind it.
func (s *script) plan() []cow.Group {
	next := s.last().clone()
	var groups []cow.Group
	for _, id := range s.ids {
		r, ok := next.slots[id]
		switch n := s.rng.IntN(20); {
		case !ok && n < 12:
			groups = append(groups, cow.Group{Op: cow.OpCreate, Slot: id, Token: cow.HashToken(id[:]), Owner: cow.HashToken(id[1:])})
			next.slots[id] = cow.SlotRecord{Slot: id, Token: cow.HashToken(id[:]), Owner: cow.HashToken(id[1:])}
			next.totals.SlotAllocations++
		case ok && n == 0:
			groups = append(groups, cow.Group{Op: cow.OpRemove, Slot: id, Version: r.Version})
			delete(next.slots, id)
		case ok && n == 1:
			r.PulledAt = s.rng.Int64N(1 << 40)
			r.StreamedAt = s.rng.Int64N(2) * s.rng.Int64N(1<<40)
			groups = append(groups, cow.Group{Op: cow.OpTouch, Slot: id, PulledAt: r.PulledAt, StreamedAt: r.StreamedAt})
			next.slots[id] = r
		case ok && n < 12:
			g := cow.Group{Op: cow.OpAppend, Slot: id, Version: r.Version, First: r.Count}
			for range 1 + s.rng.IntN(60) {
				e := scriptEvent(id, r.Count)
				g.Events = append(g.Events, e)
				r.Count++
				r.Bytes += uint64(len(e.JSON))
				next.totals.EventsPosted++
			}
			g.Count, g.Bytes, r.Version = r.Count, r.Bytes, r.Count
			groups = append(groups, g)
			next.slots[id] = r
		}
	}
	s.push(next)
	return groups
}

// push adds a state, which nothing changes any more. last is the newest.
func (s *script) push(next state) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.states = append(s.states, next)
}

func (s *script) last() state {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.states[len(s.states)-1]
}

// between are the states low to high, or as far as there are any.
func (s *script) between(low, high int64) []state {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.states[low:min(high+1, int64(len(s.states)))]
}

// step gives the store its next change. It panics when an answer is wrong and
// does not return when the store fails.
func (s *script) step(l *Journal) {
	last := s.last()
	if s.rng.IntN(4) == 0 {
		key := fmt.Sprint("record-", s.rng.IntN(3))
		next := last.clone()
		_, version, _ := l.Value(key)
		s.begun.Add(1)
		var err error
		if _, ok := next.records[key]; ok && s.rng.IntN(3) == 0 {
			delete(next.records, key)
			s.push(next)
			err = l.Delete(key, version)
		} else {
			value := fmt.Sprint(s.rng.Uint64())
			next.records[key] = value
			count := cow.Totals{HandleClaims: uint64(s.rng.IntN(2)), HandleFirstClaims: uint64(s.rng.IntN(2))}
			next.totals = next.totals.Add(count)
			s.push(next)
			_, err = l.Put(key, []byte(value), version, count)
		}
		if err != nil {
			panic(err)
		}
		s.acked.Add(1)
		return
	}
	groups := s.plan()
	s.begun.Add(1)
	l.Commit(groups)
	for i := range groups {
		if groups[i].Outcome != cow.Stored {
			panic(fmt.Sprintf("group %d: outcome %d, %v", i, groups[i].Outcome, groups[i].Err))
		}
	}
	s.acked.Add(1)
}

// read reads the whole store and checks that each slot's events are gap-free,
// as they were written, and as many as its record says (I2).
func read(l *Journal) (state, error) {
	got := state{map[cow.ID]cow.SlotRecord{}, map[string]string{}, l.Totals()}
	err := l.Slots(func(r cow.SlotRecord) error {
		got.slots[r.Slot] = r
		pos := uint64(0)
		err := l.Load(r.Slot, 0, func(a *cow.Append) error {
			for _, e := range a.Events {
				if want := scriptEvent(r.Slot, pos); !bytes.Equal(e.JSON, want.JSON) || e.IDOff != want.IDOff {
					return fmt.Errorf("slot %s position %d: %s", r.Slot, pos, e.JSON)
				}
				pos++
			}
			return nil
		})
		if err == nil && pos != r.Count {
			err = fmt.Errorf("slot %s has %d events, its record says %d", r.Slot, pos, r.Count)
		}
		return err
	})
	return got, errors.Join(err, l.List("", func(key string, value []byte, _ uint64) error {
		got.records[key] = string(value)
		return nil
	}))
}

// crash is a copy of the disk as a crash would leave it.
type crash struct {
	write    int
	fs       *vfs.MemFS
	low      int64 // steps acknowledged before
	high     int64 // steps begun
	unsynced int
}

// TestJournal_I3_CrashAtEveryWrite stops the machine at each write to the disk in
// turn, from the first one of the making of the store, and opens what is left.
// In mode filelog.Always it is the state behind the last acknowledged step or the one
// behind a step that was begun; in the other modes the state behind some step:
// nothing torn, nothing out of order.
func TestJournal_I3_CrashAtEveryWrite(t *testing.T) {
	for _, sync := range modes {
		t.Run(sync.String(), func(t *testing.T) {
			t.Parallel()
			const seed = 11
			s := newScript(seed)
			disk := vfs.NewCrashableMem()
			every := 1
			if raceEnabled {
				every = 23 // the plain run looks at each. A prime, so that all kinds are among them
			}
			crashes := record(s, disk, seed, every)
			l := mustOpen(t, "data", small(Options{FS: crashes.fs, Sync: sync, Logger: quiet}))
			for i := range 70 {
				s.step(l)
				if i%15 == 14 { // tables, manifests and log rotations too
					if err := flush(l); err != nil {
						t.Fatal(err)
					}
				}
			}
			if err := l.Close(); err != nil {
				t.Fatal(err)
			}
			crashes.stop()
			t.Logf("%d crashes", crashes.seen)
			if crashes.seen < 200 {
				t.Fatalf("only %d writes were seen", crashes.seen/2)
			}
			for i, c := range crashes.list {
				crashes.list[i] = crash{} // a disk takes memory
				if sync != filelog.Always {
					c.low = 0
				}
				verify(t, s, c)
			}
		})
	}
}

// verify opens what a crash left; of some twice, as the first open writes, too.
func verify(t *testing.T, s *script, c crash) {
	t.Helper()
	if c.write%7 == 0 && c.low > 0 {
		if _, faults := inspect(t, "data", c.fs); len(faults) > 0 {
			t.Fatalf("crash at write %d with %d %% of the unsynced: %d faults, such as: %v", c.write, c.unsynced, len(faults), faults[0])
		}
	}
	for range 1 + c.write/2%3/2 {
		l, err := Open("data", small(Options{FS: c.fs, Logger: quiet}))
		if err != nil {
			t.Fatalf("crash at write %d with %d %% of the unsynced: %v", c.write, c.unsynced, err)
		}
		got, err := read(l)
		if err != nil {
			t.Fatalf("crash at write %d with %d %% of the unsynced: %v", c.write, c.unsynced, err)
		}
		ok := false
		for _, want := range s.between(c.low, c.high) {
			ok = ok || got.equal(want)
		}
		if !ok {
			t.Fatalf("crash at write %d with %d %% of the unsynced: the store is in none of the states %d to %d:\n%+v",
				c.write, c.unsynced, c.low, c.high, got)
		}
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

type recorder struct {
	fs   vfs.FS
	mu   sync.Mutex
	done bool
	seen int // the crashes there were; each every-th is in list
	list []crash
}

// record takes two copies of the disk before each write to it: one without
// anything unsynced, one with a random half of that. It keeps each every-th copy.
func record(s *script, disk *vfs.MemFS, seed uint64, every int) *recorder {
	r := &recorder{}
	reuse := &reuseFS{FS: disk}
	r.fs = errorfs.Wrap(reuse, errorfs.InjectorFunc(func(op errorfs.Op) error {
		if op.Kind.ReadOrWrite() != errorfs.OpIsWrite {
			return nil
		}
		r.mu.Lock()
		defer r.mu.Unlock()
		if r.done {
			return nil
		}
		for _, unsynced := range []int{0, 50} {
			c := crash{write: r.seen, low: s.acked.Load(), unsynced: unsynced}
			if r.seen++; c.write%every > 0 {
				continue
			}
			reuse.mu.Lock()
			c.fs = disk.CrashClone(vfs.CrashCloneCfg{
				UnsyncedDataPercent: unsynced,
				RNG:                 rand.New(rand.NewPCG(seed, uint64(c.write))),
			})
			reuse.mu.Unlock()
			c.high = s.begun.Load()
			r.list = append(r.list, c)
		}
		return nil
	}))
	return r
}

// reuseFS keeps CrashClone out of ReuseForWrite, which in MemFS (pebble
// v2.1.7) read-locks a lock that it holds for reading already: a clone that
// asks for the lock between the two waits for ever.
type reuseFS struct {
	vfs.FS
	mu sync.Mutex
}

func (f *reuseFS) ReuseForWrite(oldname, newname string, c vfs.DiskWriteCategory) (vfs.File, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.FS.ReuseForWrite(oldname, newname, c)
}

func (r *recorder) stop() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.done = true
}

// small makes stores that open fast.
func small(o Options) Options {
	o.CacheBytes, o.MemTableBytes, o.SegmentBytes = 1<<20, pebblestore.MinMemTableBytes, 64<<10
	return o
}
