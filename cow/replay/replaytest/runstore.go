package replaytest

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"cowrelay/cow"
	"cowrelay/cow/event"
	"cowrelay/cow/replay"
)

// OpenStore gives a suite a store without slots and records. reopen flushes and closes
// it and opens what it holds again; it may be called any number of times. What is open
// at the end of the test is closed by a cleanup.
type OpenStore = func(t testing.TB) (s replay.Store, reopen func() replay.Store)

// RunStore holds a store to what package replay relies on.
func RunStore(t *testing.T, open OpenStore) {
	tests := []struct {
		name string
		run  func(*storeSuite)
	}{
		{"Empty", testStoreEmpty},
		{"Slot", testStoreSlot},
		{"OneBatch", testStoreOneBatch},
		{"Long", testStoreLong},
		{"LargeEvents", testStoreLargeEvents},
		{"OwnBytes", testStoreOwnBytes},
		{"YieldStops", testStoreYieldStops},
		{"Records", testStoreRecords},
		{"Views", testStoreViews},
		{"Durable", testStoreDurable},
		{"ReadWhileApplying", testStoreReadWhileApplying},
		{"Random", testStoreRandom},
		{"Member", testStoreMember},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			s := &storeSuite{T: t, model: NewStore()}
			s.s, s.reopenFunc = open(t)
			v := s.view(s.s)
			s.base = v.Applied()
			totals, err := v.Totals()
			if err != nil {
				t.Fatal(err)
			}
			s.closeView(v)
			s.script = NewScript(7, s.base)
			s.script.totals = totals
			s.model.now = &state{applied: s.base, totals: totals, slots: s.model.now.slots, records: s.model.now.records}
			test.run(s)
		})
	}
}

// storeSuite is a store beside a model of it.
type storeSuite struct {
	*testing.T
	s          replay.Store
	reopenFunc func() replay.Store
	model      *Store
	script     *Script
	base       uint64
}

func (s *storeSuite) view(of replay.Store) replay.View {
	s.Helper()
	v, err := of.View()
	if err != nil {
		s.Fatalf("view: %v", err)
	}
	return v
}

func (s *storeSuite) closeView(v replay.View) {
	s.Helper()
	if err := v.Close(); err != nil {
		s.Fatalf("closing a view: %v", err)
	}
}

func (s *storeSuite) apply(b *replay.Batch) {
	s.Helper()
	if err := s.model.Apply(b); err != nil {
		s.Fatal(err)
	}
	if err := s.s.Apply(b); err != nil {
		s.Fatalf("apply: %v", err)
	}
}

// groups applies a batch of groups.
func (s *storeSuite) groups(groups ...replay.Group) {
	s.Helper()
	s.script.seq++
	s.apply(&replay.Batch{Seq: s.script.seq, Groups: groups, Totals: s.script.totals})
}

func (s *storeSuite) check() {
	s.Helper()
	if err := Compare(s.s, s.model); err != nil {
		s.Fatal(err)
	}
}

func (s *storeSuite) reopen() {
	s.Helper()
	s.s = s.reopenFunc()
	s.check()
	if got := s.s.Durable(); got != s.model.now.applied {
		s.Fatalf("durable up to %d after opening again, want %d", got, s.model.now.applied)
	}
}

func testStoreEmpty(s *storeSuite) {
	s.check()
	v := s.view(s.s)
	if err := v.Load(cow.NewID(), 0, nil); !errors.Is(err, cow.ErrNoSlot) {
		s.Errorf("load of an unknown slot: %v, want ErrNoSlot", err)
	}
	s.closeView(v)
	if _, _, err := s.s.Value("none"); !errors.Is(err, cow.ErrNoRecord) {
		s.Errorf("an unknown record: %v, want ErrNoRecord", err)
	}
	s.groups() // entries that do nothing count too
	s.check()
	s.reopen()
}

func testStoreSlot(s *storeSuite) {
	s.groups(s.script.create())
	s.check()
	s.groups(s.script.append(0, 1, 100))
	s.groups(s.script.append(0, 3, 100))
	s.groups(replay.Group{Op: cow.OpTouch, Slot: s.script.slots[0].Slot, PulledAt: 5, StreamedAt: -1})
	s.check()
	s.reopen()
	s.groups(s.script.append(0, 2, 100))
	s.check()
	gone := s.script.slots[0].Slot
	s.groups(s.script.remove(0))
	s.check()
	v := s.view(s.s)
	for _, from := range []uint64{0, 3, 100} {
		if err := v.Load(gone, from, nil); !errors.Is(err, cow.ErrNoSlot) {
			s.Errorf("load of a removed slot from %d: %v, want ErrNoSlot", from, err)
		}
	}
	s.closeView(v)
	s.reopen()
}

// testStoreOneBatch: all acts of one slot may stand in one batch.
func testStoreOneBatch(s *storeSuite) {
	create := s.script.create()
	again := []replay.Group{create, s.script.append(0, 1, 60), s.script.append(0, 2, 70)}
	again = append(again, s.script.remove(0))
	s.groups(again...)
	s.check()
	s.script.slots = append(s.script.slots, cow.SlotRecord{Slot: create.Slot, Token: create.Token, Owner: create.Owner})
	s.groups(create, s.script.append(0, 1, 60), s.script.append(0, 300, 70), s.script.append(0, 1, 80))
	s.check()
	s.reopen()
	// Removed and made again with fewer events: none of the old ones is left.
	remove := s.script.remove(0)
	s.script.slots = append(s.script.slots, cow.SlotRecord{Slot: create.Slot, Token: create.Token, Owner: create.Owner})
	s.groups(remove, create, s.script.append(0, 2, 50), replay.Group{Op: cow.OpTouch, Slot: create.Slot, PulledAt: 1})
	s.check()
	s.groups(s.script.append(0, 2, 50))
	s.check()
	s.reopen()
}

func testStoreLong(s *storeSuite) {
	s.groups(s.script.create())
	s.groups(s.script.create())
	for i, n := range []int{1, 255, 256, 257, 700, 3, 3000} {
		s.groups(s.script.append(0, n, 90), s.script.append(1, i+1, 90))
		s.check()
	}
	s.reopen()
	s.groups(s.script.remove(0))
	s.check()
	s.reopen()
}

func testStoreLargeEvents(s *storeSuite) {
	s.groups(s.script.create(), s.script.append(0, 16, event.MaxBytes-100), s.script.append(0, 1, 10), s.script.append(0, 1, 65_536))
	s.check()
	for _, size := range []int{2, 1000, 32_768, 65_535, 65_537, 131_072, event.MaxBytes - 100} {
		s.groups(s.script.append(0, 3, size))
	}
	s.check()
	s.reopen()
}

// testStoreOwnBytes: the store keeps no reference to a batch.
func testStoreOwnBytes(s *storeSuite) {
	s.groups(s.script.create())
	b := &replay.Batch{Seq: s.script.seq + 1, Groups: []replay.Group{s.script.append(0, 3, 200)}, Totals: s.script.totals}
	b.Records = []replay.Record{{Key: "a", Value: []byte("value"), Version: 9}}
	s.script.seq++
	s.apply(b)
	for _, e := range b.Groups[0].Events {
		clear(e.JSON)
	}
	clear(b.Groups[0].Events)
	clear(b.Records[0].Value)
	clear(b.Groups)
	clear(b.Records)
	s.check()
	s.reopen()
}

// testStoreYieldStops: the error of yield comes back as it is.
func testStoreYieldStops(s *storeSuite) {
	for range 3 {
		s.groups(s.script.create(), s.script.append(len(s.script.slots)-1, 2000, 400))
	}
	s.apply(&replay.Batch{Seq: s.script.seq + 1, Records: []replay.Record{{Key: "a", Version: 1, Value: []byte{}}, {Key: "b", Version: 2, Value: []byte{}}}})
	s.script.seq++
	stop := errors.New("stop")
	v := s.view(s.s)
	defer s.closeView(v)
	for name, call := range map[string]func() error{
		"Load":     func() error { return v.Load(s.script.slots[0].Slot, 5, func(*cow.Append) error { return stop }) },
		"Slots":    func() error { return v.Slots(func(cow.SlotRecord) error { return stop }) },
		"List":     func() error { return v.List("", func(string, []byte, uint64) error { return stop }) },
		"Versions": func() error { return v.Versions(func([]byte, uint64) error { return stop }) },
	} {
		if err := call(); err != stop {
			s.Errorf("%s returned %v, want the error of yield", name, err)
		}
	}
}

func testStoreRecords(s *storeSuite) {
	put := func(records ...replay.Record) {
		s.Helper()
		s.script.seq++
		s.apply(&replay.Batch{Seq: s.script.seq, Records: records, Totals: s.script.totals})
	}
	big := strings.Repeat("b", 300_000)
	put(replay.Record{Key: "a", Value: []byte("one"), Version: 1 << 40}, replay.Record{Key: "key/with:odd ünicode", Value: []byte(big), Version: 3})
	s.check()
	put(replay.Record{Key: "a", Value: []byte{}, Version: 1<<40 + 1}, replay.Record{Key: "a", Value: []byte("two"), Version: 1<<40 + 2})
	put(replay.Record{Key: "b", Value: []byte{}, Version: 7}, replay.Record{Key: "c", Value: []byte("c"), Version: 8}, replay.Record{Key: "c"})
	s.check()
	for _, key := range []string{"h/b", "h/a", "h/", "h", "i/x", "g/z", "h/a/c", "h0", "h/\xff", "h/\xffz", "\xff\xff"} {
		put(replay.Record{Key: key, Value: []byte("value of " + key), Version: s.script.seq})
	}
	s.groups(s.script.create(), s.script.append(0, 3, 100)) // slots are no records
	for range 2 {
		for _, prefix := range []string{"", "h", "h/", "h/a", "h/\xff", "\xff", "z"} {
			list := func(of replay.Store) (got []string) {
				v := s.view(of)
				defer s.closeView(v)
				err := v.List(prefix, func(key string, value []byte, version uint64) error {
					got = append(got, fmt.Sprintf("%q %.50q %d", key, value, version))
					clear(value)
					return nil
				})
				if err != nil {
					s.Fatalf("list of %q: %v", prefix, err)
				}
				return got
			}
			if got, want := fmt.Sprint(list(s.s)), fmt.Sprint(list(s.model)); got != want {
				s.Fatalf("list of %q gives %s, want %s", prefix, got, want)
			}
		}
		v, _, err := s.s.Value("h/a")
		if err != nil {
			s.Fatal(err)
		}
		clear(v)
		s.check()
		s.reopen()
	}
	put(replay.Record{Key: "a"}, replay.Record{Key: "h/a"})
	s.check()
	if _, _, err := s.s.Value("a"); !errors.Is(err, cow.ErrNoRecord) {
		s.Errorf("a deleted record: %v, want ErrNoRecord", err)
	}
	s.reopen()
}

// testStoreViews: a view stays as it was, whatever is applied.
func testStoreViews(s *storeSuite) {
	var got, want []replay.View
	for range 12 {
		for range 5 {
			s.apply(s.script.Batch(20))
		}
		got, want = append(got, s.view(s.s)), append(want, s.view(s.model))
		if len(got)%5 == 0 {
			if err := s.s.Flush(); err != nil {
				s.Fatal(err)
			}
		}
	}
	for i := range got {
		if err := CompareViews(got[i], want[i]); err != nil {
			s.Fatalf("view %d: %v", i, err)
		}
		s.closeView(got[i])
		s.closeView(want[i])
	}
}

// testStoreDurable: Flush makes durable what was applied, and Durable never goes back.
func testStoreDurable(s *storeSuite) {
	last := s.s.Durable()
	for i := range 60 {
		s.apply(s.script.Batch(30))
		d := s.s.Durable()
		if d < last || d > s.script.seq {
			s.Fatalf("durable up to %d, was %d, applied up to %d", d, last, s.script.seq)
		}
		last = d
		if i%20 == 19 {
			if err := s.s.Flush(); err != nil {
				s.Fatalf("flush: %v", err)
			}
			if last = s.s.Durable(); last != s.script.seq {
				s.Fatalf("durable up to %d behind a flush, applied up to %d", last, s.script.seq)
			}
		}
	}
	s.reopen()
}

// testStoreReadWhileApplying: each view is of one batch, while others apply.
func testStoreReadWhileApplying(s *storeSuite) {
	const rounds, size = 150, 7
	s.groups(s.script.create())
	id := s.script.slots[0].Slot
	first := s.script.seq
	var applied atomic.Uint64
	applied.Store(first)
	var wg sync.WaitGroup
	stop := make(chan struct{})
	for range 3 {
		wg.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				before := applied.Load()
				v, err := s.s.View()
				if err != nil {
					s.Errorf("view: %v", err)
					return
				}
				n := v.Applied()
				events, err := eventsOf(v, id, 0)
				if err != nil || n < before || uint64(len(events)) != (n-first)*size {
					s.Errorf("a view up to %d, at least %d, has %d events, %v", n, before, len(events), err)
				}
				for i, e := range events {
					if want := Event(id, uint64(i), 120); !bytes.Equal(e.JSON, want.JSON) {
						s.Errorf("position %d: %s", i, e.JSON)
						break
					}
				}
				var version uint64
				v.Versions(func(_ []byte, x uint64) error { version = x; return nil })
				if want := n - first; version != want {
					s.Errorf("a view up to %d has a record of version %d, want %d", n, version, want)
				}
				v.Close()
				if _, x, err := s.s.Value("k"); before > first && (err != nil || x < before-first) {
					s.Errorf("record of version %d, %v, at least %d was applied", x, err, before-first)
				}
				if s.Failed() {
					return
				}
			}
		})
	}
	for i := range uint64(rounds) {
		s.script.seq++
		s.apply(&replay.Batch{
			Seq: s.script.seq, Groups: []replay.Group{s.script.append(0, size, 120)}, Totals: s.script.totals,
			Records: []replay.Record{{Key: "k", Value: []byte("x"), Version: i + 1}},
		})
		applied.Store(s.script.seq)
	}
	close(stop)
	wg.Wait()
	s.check()
	s.reopen()
}

func testStoreRandom(s *storeSuite) {
	batches := 300
	if testing.Short() {
		batches = 100
	}
	for i := range batches {
		s.apply(s.script.Batch(40))
		if i%50 == 49 {
			s.check()
		}
		if i%100 == 99 {
			s.reopen()
		}
	}
	s.reopen()
}

// testStoreMember: a store that belongs to a shared log keeps the log's id, the digest
// and the producers, in the batch of what the entries did.
func testStoreMember(s *storeSuite) {
	member, ok := s.s.(replay.MemberStore)
	if !ok {
		s.Fatal("the store is no MemberStore")
	}
	s.groups(s.script.create(), s.script.append(0, 3, 100))
	log, rng := replay.LogID{1, 2, 3}, rand.New(rand.NewPCG(5, 6))
	for round := range 3 {
		for _, m := range []replay.MemberStore{member, s.model} {
			if err := m.JoinLog(log, 77); err != nil {
				s.Fatal(err)
			}
		}
		if got := s.s.Durable(); got != s.model.now.applied {
			s.Fatalf("durable up to %d when it has joined, want %d", got, s.model.now.applied)
		}
		s.check()
		s.reopen()
		for step := range 40 {
			b := s.script.Batch(10)
			b.Shared, b.Digest = true, rng.Uint64()
			for id := range uint64(6) {
				switch k := rng.IntN(6); {
				case k == 0 && step > 0:
					b.Producers = append(b.Producers, replay.Producer{ID: id << 60})
				case k < 3:
					p := replay.Producer{ID: id << 60, Number: 1 + rng.Uint64N(1<<40), Seq: b.Seq}
					if rng.IntN(3) == 0 {
						p.Part = bytes.Repeat([]byte{byte(id)}, rng.IntN(2000))
					}
					b.Producers = append(b.Producers, p)
				}
			}
			s.apply(b)
			if step%13 == 0 {
				s.reopen()
			}
		}
		s.check()
		log[15] = byte(round)
		member = s.s.(replay.MemberStore)
	}
	for _, m := range []replay.MemberStore{member, s.model} {
		if err := m.LeaveLog(); err != nil {
			s.Fatal(err)
		}
	}
	s.reopen()
	s.apply(s.script.Batch(10))
	s.reopen()
}
