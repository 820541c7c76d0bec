package rendezvous

import (
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"cowrelay/cow"
	"cowrelay/cow/journaltest"
)

// sisterDesk is the desk of a relay of a fleet.
type sisterDesk struct {
	*Desk
	store *cow.Store
	m     *journaltest.Member
}

// fleetDesks opens desks of relays that share a log and a clock.
func fleetDesks(t *testing.T, n int, opts Options) (list []*sisterDesk, log *journaltest.Fleet, clock *atomic.Int64) {
	t.Helper()
	log, clock = journaltest.NewFleet(), new(atomic.Int64)
	clock.Store(time.Now().Unix())
	opts.Now = func() time.Time { return time.Unix(clock.Load(), 0) }
	for range n {
		list = append(list, joinDesk(t, log, opts))
	}
	return list, log, clock
}

func joinDesk(t *testing.T, log *journaltest.Fleet, opts Options) *sisterDesk {
	t.Helper()
	quiet := slog.New(slog.DiscardHandler)
	opts.Logger = quiet
	m := log.Join(time.Second)
	m.WaitApplied()
	store, err := cow.Open(m, m, cow.Options{Logger: quiet})
	if err != nil {
		t.Fatal(err)
	}
	desk, err := Open(store, opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		desk.Close()
		if n := store.Memory().Desk; n != 0 {
			t.Errorf("%d bytes stay charged", n)
		}
		store.Close()
		m.Close()
	})
	return &sisterDesk{desk, store, m}
}

func (d *sisterDesk) finds(t *testing.T, id string, as Role, want string) {
	t.Helper()
	d.m.WaitApplied()
	message, bootstrap, err := d.Pairs.Look(id, as)
	got := fmt.Sprint(err)
	if err == nil {
		got = "-"
		if message != nil {
			got = *message
		}
		if bootstrap != nil {
			got += " " + *bootstrap
		}
	}
	if got != want {
		t.Errorf("role %d finds %q, want %q", as, got, want)
	}
}

// A pair lives at all relays, also at one that comes later, until nobody has touched it
// for a time. A look at any relay touches it.
func TestSharedPairs_Life(t *testing.T) {
	desks, log, clock := fleetDesks(t, 2, Options{PairIdle: 100 * time.Second})
	a, b := desks[0], desks[1]
	id, err := a.Pairs.Open(1, "code", "m", Host)
	if err != nil {
		t.Fatal(err)
	}
	b.m.WaitApplied()
	if _, err := b.Pairs.Open(2, "code", "again", Host); !errors.Is(err, ErrRoleTaken) {
		t.Errorf("a role that has come: %v", err)
	}
	if other, err := b.Pairs.Open(2, "code", "n", Guest); err != nil || other != id {
		t.Fatal(other, err)
	}
	if err := b.Pairs.Bootstrap(2, id, "sealed", Guest); err != nil {
		t.Fatal(err)
	}
	a.finds(t, id, Host, "n sealed")
	b.finds(t, id, Guest, "m")
	c := joinDesk(t, log, Options{PairIdle: 100 * time.Second, Now: func() time.Time { return time.Unix(clock.Load(), 0) }})
	c.finds(t, id, Host, "n sealed")

	before := log.Len()
	for range 30 { // 270 s of looks, a write each 10 s at most
		clock.Add(9)
		a.finds(t, id, Host, "n sealed")
		waitUntil(t, func() bool { // the time is written beside the look
			p := a.Pairs.shared
			p.mu.Lock()
			defer p.mu.Unlock()
			for _, e := range p.books.byKey {
				if e.renewing {
					return false
				}
			}
			return true
		})
	}
	if n := log.Len() - before; n < 10 || n > 27 {
		t.Errorf("30 looks wrote %d entries", n)
	}
	b.finds(t, id, Guest, "m")
	clock.Add(100 + 10)
	for _, d := range desks {
		d.finds(t, id, Host, ErrNoPair.Error())
		if d.Pairs.Len() != 0 || d.Pairs.Has(id) {
			t.Error("the pair is still there")
		}
	}
	if err := a.Pairs.Bootstrap(1, id, "late", Host); !errors.Is(err, ErrNoPair) {
		t.Errorf("a late bootstrap: %v", err)
	}
	// Nobody has swept yet: the code is free all the same.
	again, err := b.Pairs.Open(2, "code", "new", Host)
	if err != nil || again == id {
		t.Fatal(again, err)
	}
	a.finds(t, again, Guest, "new")
	if n := a.store.Totals().PairOpens; n != 2 {
		t.Errorf("%d pairs were opened", n)
	}
	if there, err := a.Pairs.Abandon("code"); !there || err != nil {
		t.Error(there, err)
	}
	b.m.WaitApplied()
	if there, err := b.Pairs.Abandon("code"); there || err != nil {
		t.Error(there, err)
	}
	b.finds(t, again, Guest, ErrNoPair.Error())
}

// Relays that sweep at once do not fight.
func TestSharedPairs_Sweep(t *testing.T) {
	desks, log, clock := fleetDesks(t, 3, Options{PairIdle: 100 * time.Second})
	for i := range 50 {
		if _, err := desks[i%3].Pairs.Open(0, fmt.Sprint(i), "m", Host); err != nil {
			t.Fatal(err)
		}
	}
	clock.Add(60)
	kept, err := desks[0].Pairs.Open(0, "kept", "m", Host)
	if err != nil {
		t.Fatal(err)
	}
	clock.Add(60)
	before := log.Len()
	var all sync.WaitGroup
	for _, d := range desks {
		d.m.WaitApplied()
		all.Go(d.Pairs.shared.sweep)
	}
	all.Wait()
	if n := log.Len() - before; n > 150 {
		t.Errorf("50 pairs were dropped by %d entries", n)
	}
	for _, d := range desks {
		d.finds(t, kept, Guest, "m")
		records := 0
		d.m.List(pairPrefix, func(string, []byte, uint64) error { records++; return nil })
		pairs := d.Pairs.Len()
		d.Pairs.shared.mu.Lock() // the look has the pair's time written
		b := &d.Pairs.shared.books
		if records != 1 || pairs != 1 || len(b.byKey) != 1 || len(b.due) != 1 || b.bytes != textBytes+1 {
			t.Errorf("%d records are left, %d pairs, %d bytes", records, pairs, b.bytes)
		}
		d.Pairs.shared.mu.Unlock()
	}
}

// The bounds are those of all relays together.
func TestSharedPairs_Bounds(t *testing.T) {
	desks, _, _ := fleetDesks(t, 2, Options{MaxPairs: 8})
	a, b := desks[0], desks[1]
	for i := range 2 {
		if _, err := desks[i].Pairs.Open(7, fmt.Sprint("of 7: ", i), "m", Host); err != nil {
			t.Fatal(err)
		}
	}
	a.m.WaitApplied()
	if _, err := a.Pairs.Open(7, "third", "m", Host); !errors.Is(err, ErrShare) {
		t.Errorf("beyond a share: %v", err)
	}
	for i := range 6 {
		b.m.WaitApplied()
		if _, err := b.Pairs.Open(Source(10+i), fmt.Sprint(i), "m", Host); err != nil {
			t.Fatal(err)
		}
	}
	a.m.WaitApplied()
	if _, err := a.Pairs.Open(99, "more", "m", Host); !errors.Is(err, ErrTooMany) {
		t.Errorf("beyond the bound: %v", err)
	}
	if _, err := a.Pairs.Open(99, "0", "m", Guest); err != nil {
		t.Errorf("the other role of a pair: %v", err)
	}
	if a.Pairs.Refused() != 2 || a.Pairs.shared.books.coming != 0 {
		t.Error("the refusals are not counted, or places are still held")
	}
	if there, err := b.Pairs.Abandon("of 7: 0"); !there || err != nil {
		t.Fatal(there, err)
	}
	a.m.WaitApplied()
	if _, err := a.Pairs.Open(7, "third", "m", Host); err != nil {
		t.Errorf("a share that was given back: %v", err)
	}
	a.Pairs.shared.env.bytes = 40_000
	if _, err := a.Pairs.Open(99, "1", strings.Repeat("x", 8<<10), Guest); err != nil {
		t.Error(err)
	}
	if _, err := a.Pairs.Open(99, "2", strings.Repeat("x", 8<<10), Guest); err != nil {
		t.Error(err)
	}
	if _, err := a.Pairs.Open(99, "3", strings.Repeat("x", 8<<10), Guest); !errors.Is(err, ErrShare) {
		t.Errorf("beyond a share of the bytes: %v", err)
	}
}

// Both sides open and leave texts at different relays at once: nothing is lost.
func TestSharedPairs_AtOnce(t *testing.T) {
	desks, _, _ := fleetDesks(t, 2, Options{})
	for i := range 30 {
		code := fmt.Sprint(i)
		var ids [2]string
		var both sync.WaitGroup
		for role, d := range desks {
			both.Go(func() {
				var err error
				if ids[role], err = d.Pairs.Open(0, code, fmt.Sprint("m", role), Role(role)); err != nil {
					t.Error(err)
				}
				if err := d.Pairs.Bootstrap(0, ids[role], fmt.Sprint("b", role), Role(role)); err != nil {
					t.Error(err)
				}
			})
		}
		both.Wait()
		if ids[0] != ids[1] {
			t.Fatalf("the ids are %s and %s", ids[0], ids[1])
		}
		desks[0].finds(t, ids[0], Host, "m1 b1")
		desks[1].finds(t, ids[0], Guest, "m0 b0")
	}
	if n := desks[0].store.Totals().PairOpens; n != 30 {
		t.Errorf("%d pairs were opened", n)
	}
}

// While the log is away a look goes on, and what must be written fails.
func TestSharedPairs_Away(t *testing.T) {
	desks, _, clock := fleetDesks(t, 1, Options{})
	d := desks[0]
	id, err := d.Pairs.Open(0, "code", "m", Host)
	if err != nil {
		t.Fatal(err)
	}
	back := d.m.CutOff(0)
	clock.Add(100)
	if m, _, err := d.Pairs.Look(id, Guest); err != nil || *m != "m" {
		t.Error(m, err)
	}
	if err := d.Pairs.Bootstrap(0, id, "x", Host); !errors.Is(err, cow.ErrAway) {
		t.Errorf("a bootstrap: %v", err)
	}
	back()
	if err := d.Pairs.Bootstrap(0, id, "y", Host); err != nil {
		t.Error(err)
	}
	d.finds(t, id, Guest, "m y")
}

// A relay that shares its records no more forgets the pairs that are there.
func TestPairs_DropsShared(t *testing.T) {
	m := journaltest.NewMemory()
	for i := range 40 {
		if _, err := m.Put(pairKey(fmt.Sprint(i)), (&pairRecord{ID: "x"}).encode(), 0, cow.Totals{}); err != nil {
			t.Fatal(err)
		}
	}
	quiet := slog.New(slog.DiscardHandler)
	store, err := cow.Open(m, m, cow.Options{Logger: quiet})
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	desk, err := Open(store, Options{Logger: quiet})
	if err != nil {
		t.Fatal(err)
	}
	defer desk.Close()
	m.List("", func(key string, _ []byte, _ uint64) error { t.Errorf("a record is left: %s", key); return nil })
}

// Relays drop the records of invites at once: no record is fought for.
func TestInvites_SharedSweep(t *testing.T) {
	desks, log, clock := fleetDesks(t, 3, Options{})
	for i := range 30 {
		if _, err := desks[i%3].Invites.Register(0, "wire://pair?x", time.Minute, nil); err != nil {
			t.Fatal(err)
		}
	}
	clock.Add(int64((keepOver + 2*time.Minute) / time.Second))
	before := log.Len()
	var all sync.WaitGroup
	for _, d := range desks {
		d.m.WaitApplied()
		all.Go(d.Invites.sweep)
	}
	all.Wait()
	if n := log.Len() - before; n > 90 {
		t.Errorf("30 invites were dropped by %d entries", n)
	}
	swept := uint64(0)
	for _, d := range desks {
		d.m.WaitApplied()
		swept += d.Invites.Stats.Swept.Load()
		d.m.List(invitePrefix, func(key string, _ []byte, _ uint64) error { t.Error("a record is left"); return nil })
		d.Invites.sweep()
		if n := len(d.Invites.books.byToken); n != 0 {
			t.Errorf("%d invites are still known", n)
		}
	}
	if swept != 30 {
		t.Errorf("%d were swept", swept)
	}
}

func waitUntil(t *testing.T, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(time.Minute); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("not within a minute")
		}
	}
}
