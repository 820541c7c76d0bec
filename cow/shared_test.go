package cow_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"cowrelay/cow"
	"cowrelay/cow/frame"
	"cowrelay/cow/journaltest"
	"cowrelay/cow/token"
)

// sister is a store of a fleet.
type sister struct {
	*fixture
	m *journaltest.Member
}

// fleet opens stores whose journals share one log.
func fleet(t testing.TB, n int, opts cow.Options) []*sister {
	t.Helper()
	log := journaltest.NewFleet()
	var list []*sister
	for range n {
		list = append(list, join(t, log, opts))
	}
	return list
}

func join(t testing.TB, log *journaltest.Fleet, opts cow.Options) *sister {
	t.Helper()
	patience := opts.QueueTimeout
	if patience == 0 {
		patience = time.Minute
	}
	m := log.Join(patience)
	f := openJournal(t, m, m, opts)
	s := &sister{fixture: f, m: m}
	t.Cleanup(func() {
		f.close()
		m.Close()
	})
	return s
}

// sees waits until the store knows a slot.
func (s *sister) sees(id cow.ID) (slot *cow.Slot) {
	s.Helper()
	s.until("the slot to be known", func() bool { slot = s.Slot(id); return slot != nil })
	return slot
}

func (s *sister) barrier() {
	s.Helper()
	if err := s.Barrier(context.Background()); err != nil {
		s.Fatal(err)
	}
}

// What one store does takes effect in the others: slots, events, removals, times of
// reads, blocks and tokens.
func TestShared_Feed(t *testing.T) {
	s := fleet(t, 2, cow.Options{TouchInterval: 5 * time.Millisecond})
	a, b := s[0], s[1]
	id, first, _, err := a.Allocate()
	if err != nil {
		t.Fatal(err)
	}
	slot, there := a.Slot(id), b.sees(id)
	live := b.subscribe(there, false, "")
	defer live.Close()
	a.must(slot, ev("1"))
	b.must(there, ev("2"))
	a.barrier()
	a.holds(slot, ev("1"), ev("2"))
	b.holds(there, ev("1"), ev("2"))
	a.duplicate(slot, ev("2"))
	b.duplicate(there, ev("1"))
	if got := live.take(t, len(idFrame("1")+idFrame("2"))); got != idFrame("1")+idFrame("2") {
		t.Errorf("the stream got %q", got)
	}

	at := time.Unix(2_000_000_000, 0)
	slot.MarkPulled(at)
	b.until("the time of the pull", func() bool { return there.PulledAt() == at.Unix() })

	woken := make(bell, 1)
	sub, err := b.Subscribe(there, cow.Newest(), frame.Unread, woken)
	if err != nil {
		t.Fatal(err)
	}
	defer sub.Close()
	if err := a.Block(slot, []byte("why")); err != nil {
		t.Fatal(err)
	}
	b.until("the block", there.Blocked)
	<-woken
	if err := b.Unblock(there); err != nil {
		t.Fatal(err)
	}
	a.until("the end of the block", func() bool { return !slot.Blocked() })
	if a.BlockedSlots() != 0 || b.BlockedSlots() != 0 {
		t.Error("a slot counts as blocked")
	}

	rec := token.Record{May: token.Read}
	text, err := a.NewToken(slot, &rec, false)
	if err != nil {
		t.Fatal(err)
	}
	b.barrier()
	grant := there.Authorize(cow.HashToken([]byte(text)), time.Now().Unix())
	if !grant.May(token.Read) {
		t.Fatal("the token is not known behind a barrier")
	}
	for len(woken) > 0 {
		<-woken
	}
	if err := a.Revoke(slot, rec.ID); err != nil {
		t.Fatal(err)
	}
	<-woken
	if b.barrier(); grant.Live() {
		t.Error("a token lives that another store has revoked")
	}
	old := there.Authorize(cow.HashToken([]byte(first)), time.Now().Unix())
	fresh, err := b.Rotate(there)
	if err != nil {
		t.Fatal(err)
	}
	a.barrier()
	if !slot.Authorize(cow.HashToken([]byte(fresh)), time.Now().Unix()).OK() || old.Live() {
		t.Error("the slot token was not rotated everywhere")
	}

	if err := b.Remove(there); err != nil {
		t.Fatal(err)
	}
	if a.barrier(); a.Slot(slot.ID()) != nil || !slot.Gone() || a.Len() != 0 || a.Stats().Events.Load() != 0 {
		t.Error("the slot is still there")
	}
}

// A slot that is made, gets a token and is blocked at once: the records may be heard of
// before the slot is.
func TestShared_EarlyRecords(t *testing.T) {
	s := fleet(t, 2, cow.Options{})
	a, b := s[0], s[1]
	release := b.m.HoldFeed()
	slot := a.slot()
	rec := token.Record{May: token.Post}
	kept, err := a.NewToken(slot, &rec, false)
	if err != nil {
		t.Fatal(err)
	}
	rec = token.Record{May: token.Post}
	gone, err := a.NewToken(slot, &rec, false)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(a.Revoke(slot, rec.ID), a.Block(slot, nil)); err != nil {
		t.Fatal(err)
	}
	b.m.WaitApplied()
	if b.Slot(slot.ID()) != nil {
		t.Fatal("the feed is not held")
	}
	release()
	b.barrier()
	there := b.Slot(slot.ID())
	now := time.Now().Unix()
	if !there.Authorize(cow.HashToken([]byte(kept)), now).May(token.Post) || there.Authorize(cow.HashToken([]byte(gone)), now).OK() {
		t.Error("the tokens of the slot are not those of its records")
	}
	if !there.Blocked() || b.BlockedSlots() != 1 {
		t.Error("the slot is not blocked")
	}
	b.until("the loop to have no spots to look at", func() bool { n, _ := b.TokenStats(); return n == 1 })
}

// Appends come without their events: they are loaded, and a cold slot stays cold.
func TestShared_BareFeed(t *testing.T) {
	for _, state := range []string{"hot", "cold", "empty", "streamed"} {
		t.Run(state, func(t *testing.T) {
			s := fleet(t, 2, cow.Options{})
			a, b := s[0], s[1]
			slot := a.slot()
			there := b.sees(slot.ID())
			var events []string
			if state != "empty" {
				a.must(slot, ev("first"))
				events = append(events, ev("first"))
				b.barrier()
			}
			if state == "cold" || state == "streamed" {
				b.Cool(there)
			}
			want := ""
			var live *stream
			if state == "streamed" {
				live = b.subscribe(there, false, "")
				defer live.Close()
			}
			b.m.BareFeed(true)
			for i := range 30 {
				a.must(slot, ev(fmt.Sprint(i)))
				events = append(events, ev(fmt.Sprint(i)))
				want += idFrame(fmt.Sprint(i))
			}
			var w cow.Window
			if err := b.Current(context.Background(), there, cow.Oldest(), 1000, &w); err != nil || w.Events() != len(events) {
				t.Fatalf("a consistent pull has %d events of %d, %v", w.Events(), len(events), err)
			}
			b.holds(there, events...)
			if live != nil {
				if got := live.take(t, len(want)); got != want {
					t.Errorf("the stream got %q", got)
				}
			}
			b.m.BareFeed(false)
			a.must(slot, ev("last"))
			b.barrier()
			b.holds(there, append(events, ev("last"))...)
			if n := b.Stats().Bytes.Load(); n != int64(there.Bytes()) || n != a.Stats().Bytes.Load() {
				t.Errorf("the store counts %d bytes", n)
			}
		})
	}
}

// A cold slot of which the feed keeps events back is not read into memory for that.
func TestShared_BareFeedStaysCold(t *testing.T) {
	s := fleet(t, 2, cow.Options{})
	a, b := s[0], s[1]
	slot := a.slot()
	a.must(slot, ev("first"))
	there := b.sees(slot.ID())
	b.barrier()
	b.Cool(there)
	b.m.BareFeed(true)
	for i := range 10 {
		a.must(slot, ev(fmt.Sprint(i)))
	}
	b.until("the counts", func() bool { return there.Count() == 11 })
	if there.Hot() || there.Bytes() != slot.Bytes() {
		t.Errorf("hot: %v, %d bytes of %d", there.Hot(), there.Bytes(), slot.Bytes())
	}
}

// While the log takes nothing from a store, what others store goes on to come: to
// slots that its batch does not hold at once, to those that it holds behind the batch.
func TestShared_FeedBesideBatch(t *testing.T) {
	s := fleet(t, 2, cow.Options{})
	a, b := s[0], s[1]
	held, free, doomed := a.slot(), a.slot(), a.slot()
	bHeld, bFree, bDoomed := b.sees(held.ID()), b.sees(free.ID()), b.sees(doomed.ID())
	b.barrier()
	release := b.m.HoldSends()
	defer release()
	mine := b.later(bHeld, ev("mine"))
	b.until("the batch to be with the journal", func() bool { return b.CommitAge() > 0 })
	waiting := b.queued(bDoomed, ev("late"))
	for i := range 5 {
		a.must(held, ev(fmt.Sprint(i)))
		a.must(free, ev(fmt.Sprint(i)))
	}
	fresh := a.slot()
	if err := a.Remove(doomed); err != nil {
		t.Fatal(err)
	}
	b.until("the other slot", func() bool { return bFree.Count() == 5 })
	b.sees(fresh.ID())
	b.until("the removal", bDoomed.Gone)
	b.holds(bFree, ev("0"), ev("1"), ev("2"), ev("3"), ev("4"))
	b.unanswered(mine, "its batch is held")
	b.unanswered(waiting, "the batch before is held")
	if err := b.Alive(t.Context()); err != nil {
		t.Error(err)
	}
	release()
	if got := b.wait(mine); got.err != nil || got.dup {
		t.Errorf("the post to the slot that others wrote to: %+v", got)
	}
	if got := b.wait(waiting); !errors.Is(got.err, cow.ErrNoSlot) {
		t.Errorf("the post to the removed slot: %+v", got)
	}
	a.barrier()
	for _, x := range []*cow.Slot{held, bHeld} {
		f := a.fixture
		if x == bHeld {
			f = b.fixture
		}
		f.holds(x, ev("0"), ev("1"), ev("2"), ev("3"), ev("4"), ev("mine"))
	}
}

// Relays that post to one slot without a pause all get their turn.
func TestShared_HotSlotIsShared(t *testing.T) {
	s := fleet(t, 3, cow.Options{})
	s[0].m.Fleet().SetDelay(3 * time.Millisecond)
	slot := s[0].slot()
	var stored [3]atomic.Int64
	var worst [3]atomic.Int64
	end := time.Now().Add(2 * time.Second)
	var work []func()
	for i, x := range s {
		there := x.sees(slot.ID())
		for j := range 8 {
			work = append(work, func() {
				for k := 0; time.Now().Before(end); k++ {
					began := time.Now()
					if dup, err := x.post(there, ev(fmt.Sprint(i, j, k))); dup || err != nil {
						t.Error(dup, err)
						return
					}
					stored[i].Add(1)
					if took := int64(time.Since(began)); took > worst[i].Load() {
						worst[i].Store(took)
					}
				}
			})
		}
	}
	all(work...)
	for i := range s {
		t.Logf("relay %d: %d posts, the slowest took %v", i, stored[i].Load(), time.Duration(worst[i].Load()))
		if n := stored[i].Load(); n < (stored[0].Load()+stored[1].Load()+stored[2].Load())/50 {
			t.Errorf("relay %d: %d posts", i, n)
		}
	}
}

// What waits for a batch is bounded, and nothing of it is lost.
func TestShared_LaterIsBounded(t *testing.T) {
	s := fleet(t, 2, cow.Options{})
	a, b := s[0], s[1]
	slot := a.slot()
	there := b.sees(slot.ID())
	b.barrier()
	release := b.m.HoldSends()
	defer release()
	mine := b.later(there, ev("mine"))
	b.until("the batch to be with the journal", func() bool { return b.CommitAge() > 0 })
	const n = 60
	pad := strings.Repeat("x", 200<<10)
	for i := range n {
		a.must(slot, fmt.Sprintf(`{"event_id":"%d","pad":"%s"}`, i, pad))
	}
	b.m.WaitApplied()
	b.until("the bound", func() bool { return b.LaterBytes() > 4<<20 })
	time.Sleep(20 * time.Millisecond)
	if got := b.LaterBytes(); got > 9<<20 {
		t.Errorf("%d bytes wait", got)
	}
	release()
	if got := b.wait(mine); got.err != nil || got.dup {
		t.Errorf("%+v", got)
	}
	b.until("all events", func() bool { return there.Count() == n+1 })
}

// A slot that somebody wanted who gave up is removed when the log is back.
func TestShared_OrphanIsRemoved(t *testing.T) {
	s := fleet(t, 2, cow.Options{QueueTimeout: 50 * time.Millisecond})
	a, b := s[0], s[1]
	kept := b.slot()
	back := b.m.CutOff(0)
	if _, _, _, err := b.Allocate(); !errors.Is(err, cow.ErrAway) {
		t.Fatal(err)
	}
	back()
	b.until("the slot to be made and removed", func() bool { return b.Stats().SlotsMade.Load() == 2 && b.Stats().SlotsRemoved.Load() == 1 })
	a.barrier()
	if a.Len() != 1 || b.Len() != 1 || a.Slot(kept.ID()) == nil {
		t.Errorf("%d and %d slots", a.Len(), b.Len())
	}
	if posts, _ := b.Queue(); posts != 0 {
		t.Errorf("%d posts wait", posts)
	}
}

// Two stores post the same ids at the same time: each is stored once.
func TestShared_I5_SameIDs(t *testing.T) {
	s := fleet(t, 3, cow.Options{})
	slot := s[0].slot()
	var stored, dups atomic.Int64
	var work []func()
	for _, x := range s {
		there := x.sees(slot.ID())
		for range 4 {
			work = append(work, func() {
				for i := range 50 {
					dup, err := x.post(there, ev(fmt.Sprint(i)))
					switch {
					case err != nil:
						t.Error(err)
					case dup:
						dups.Add(1)
					default:
						stored.Add(1)
					}
				}
			})
		}
	}
	all(work...)
	if stored.Load() != 50 || dups.Load() != 550 {
		t.Errorf("%d are stored and %d duplicates", stored.Load(), dups.Load())
	}
	for _, x := range s {
		x.barrier()
		if n := x.Slot(slot.ID()).Count(); n != 50 {
			t.Errorf("%d events", n)
		}
	}
}

// The log is away: posts wait their patience and get ErrAway, whether the journal has
// them or not. The books stay right, and when the log is back everything is stored once.
func TestShared_Away(t *testing.T) {
	s := fleet(t, 2, cow.Options{QueueTimeout: 300 * time.Millisecond, QueuePosts: 8, StallAfter: time.Millisecond})
	a, b := s[0], s[1]
	slot, other := b.slot(), b.slot()
	b.must(slot, ev("0"))
	back := b.m.CutOff(0)
	began := time.Now()
	flying := b.later(slot, ev("flying"))
	b.until("the batch to be with the journal", func() bool { return b.CommitAge() > 0 })
	var queued []<-chan answer
	for i := range 8 {
		queued = append(queued, b.later(other, ev(fmt.Sprint("queued", i))))
	}
	b.until("the posts to be queued", func() bool { n, _ := b.Queue(); return n == 8 })
	if _, err := b.post(other, ev("too many")); !errors.Is(err, cow.ErrBusy) {
		t.Errorf("a post to a full queue: %v", err)
	}
	for _, c := range append(queued, flying) {
		if got := b.wait(c); !errors.Is(got.err, cow.ErrAway) {
			t.Errorf("%s: %v", got.event, got.err)
		}
	}
	if took := time.Since(began); took < 300*time.Millisecond {
		t.Errorf("posts were turned away after %v", took)
	}
	if posts, bytes := b.Queue(); posts != 0 || bytes != 0 {
		t.Errorf("%d posts and %d bytes wait", posts, bytes)
	}
	// Reads go on, and posters that gave up take no places from those who come.
	b.holds(slot, ev("0"))
	if err := b.Barrier(context.Background()); !errors.Is(err, cow.ErrAway) {
		t.Errorf("a barrier: %v", err)
	}
	if err := b.SetHealth(slot, []byte("{}")); !errors.Is(err, cow.ErrAway) {
		t.Errorf("a record: %v", err)
	}
	var late <-chan answer
	b.until("a place in the queue", func() bool {
		late = b.later(other, ev("late"))
		time.Sleep(20 * time.Millisecond)
		n, _ := b.Queue()
		return n == 1
	})
	back()
	if got := b.wait(late); got.err != nil {
		t.Errorf("a post that waited until the log was back: %v", got.err)
	}
	b.barrier()
	b.holds(slot, ev("0"), ev("flying"))
	b.duplicate(slot, ev("flying"))
	a.barrier()
	there := a.sees(slot.ID())
	a.holds(there, ev("0"), ev("flying"))
	if got := a.page(a.sees(other.ID()), "", 100); strings.Contains(got, "queued") || strings.Count(got, "late") != 1 {
		t.Errorf("the other slot holds %s", got)
	}
	if n := b.Stats().PostsStored.Load(); n != 3 {
		t.Errorf("%d posts count as stored", n)
	}
	if n := b.Stats().CommitsStalled.Load() + b.Stats().PostsStalled.Load(); n != 0 {
		t.Errorf("%d stalls", n)
	}
}

// A store closes in time although the log is away, answers everybody, and what the
// journal has stays as it is until the journal returns.
func TestShared_CloseWhileAway(t *testing.T) {
	s := fleet(t, 2, cow.Options{})
	a, b := s[0], s[1]
	slot := b.slot()
	there := a.sees(slot.ID())
	release := b.m.HoldSends()
	var posts []<-chan answer
	var want []string
	for i := range 4 { // one batch
		posts = append(posts, b.later(slot, ev(fmt.Sprint(i))))
	}
	b.until("the batch to be with the journal", func() bool { return b.CommitAge() > 0 })
	for i := range 20 {
		posts = append(posts, b.later(slot, ev(fmt.Sprint("queued", i))))
	}
	began := time.Now()
	b.close()
	if took := time.Since(began); took > 30*time.Second {
		t.Errorf("closing took %v", took)
	}
	for _, c := range posts {
		got := b.wait(c)
		if !errors.Is(got.err, cow.ErrAway) && !errors.Is(got.err, cow.ErrClosed) {
			t.Errorf("%s: %v", got.event, got.err)
		}
		if errors.Is(got.err, cow.ErrAway) {
			want = append(want, got.event)
		}
	}
	for range 100 { // these would use the memory of posts that were given back
		p := a.NewPost()
		if err := p.Accept([]byte(`{"event":{"event_id":"xxxxxxxxx"}}`)); err != nil {
			t.Fatal(err)
		}
		p.Release()
	}
	release()
	a.until("the batch", func() bool { return there.Count() == uint64(len(want)) })
	for _, event := range want {
		if !strings.Contains(a.page(there, "", 100), event) {
			t.Errorf("%s is not there", event)
		}
	}
	if _, err := b.post(slot, ev("closed")); !errors.Is(err, cow.ErrClosed) {
		t.Errorf("a post to a closed store: %v", err)
	}
}

// A barrier waits for what others have acknowledged, and ends in time.
func TestShared_Barrier(t *testing.T) {
	s := fleet(t, 2, cow.Options{QueueTimeout: 2 * time.Second, LoadWaiters: 3})
	a, b := s[0], s[1]
	release := b.m.HoldBack()
	slot := a.slot()
	a.must(slot, ev("1"))
	done := make(chan error, 1)
	go func() { done <- b.Barrier(context.Background()) }()
	time.Sleep(20 * time.Millisecond)
	if len(done) > 0 || b.Slot(slot.ID()) != nil {
		t.Fatal("the barrier does not wait")
	}
	ctx, cancel := context.WithCancel(context.Background())
	left := make(chan error, 2)
	for range 2 {
		go func() { left <- b.Barrier(ctx) }()
	}
	b.until("all to wait", func() bool { return b.BarrierWaiters() == 3 })
	if err := b.Barrier(context.Background()); !errors.Is(err, cow.ErrBusy) {
		t.Errorf("one too many: %v", err)
	}
	cancel()
	for range 2 {
		if err := <-left; !errors.Is(err, context.Canceled) {
			t.Errorf("a caller that leaves: %v", err)
		}
	}
	release()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	b.holds(b.Slot(slot.ID()), ev("1"))

	defer b.m.HoldBack()()
	go func() { done <- b.Barrier(context.Background()) }()
	time.Sleep(20 * time.Millisecond)
	b.close()
	if err := <-done; !errors.Is(err, cow.ErrClosed) {
		t.Errorf("a barrier of a store that closes: %v", err)
	}
	if h, shared := a.SharedLog(); !shared || h.Away != 0 || h.Applied == 0 {
		t.Errorf("%+v, %v", h, shared)
	}
	alone := open(t, cow.Options{})
	if err := alone.Barrier(context.Background()); err != nil {
		t.Error(err)
	}
}

// A pull from what this store has not yet waits for that; one from what nobody has
// reads as ever.
func TestShared_Reach(t *testing.T) {
	s := fleet(t, 2, cow.Options{})
	a, b := s[0], s[1]
	slot := a.slot()
	there := b.sees(slot.ID())
	a.must(slot, ev("1"))
	b.barrier()
	for name, c := range map[string]struct {
		start  cow.Start
		missed bool
	}{
		"id": {cow.After([]byte("3")), false}, "position": {cow.From(3), false}, "far": {cow.From(99), true}, "unknown": {cow.After([]byte("x")), true},
	} {
		t.Run(name, func(t *testing.T) {
			release := b.m.HoldBack()
			base := slot.Count()
			for i := range 3 {
				a.must(slot, ev(fmt.Sprint(name, base, i)))
			}
			start := c.start
			switch name {
			case "id":
				start = cow.After([]byte(fmt.Sprint(name, base, 2)))
			case "position":
				start = cow.From(base + 3)
			}
			var w cow.Window
			if err := b.Window(there, start, 100, &w); err != nil || !w.Missed() {
				t.Fatalf("missed: %v, %v", w.Missed(), err)
			}
			time.AfterFunc(10*time.Millisecond, release)
			if err := b.Reach(context.Background(), there, start); err != nil {
				t.Fatal(err)
			}
			if err := b.Window(there, start, 100, &w); err != nil || w.Missed() != c.missed || w.End() != slot.Count() {
				t.Errorf("missed: %v, end %d of %d, %v", w.Missed(), w.End(), slot.Count(), err)
			}
		})
	}
}

// heldMember is a journal whose commits end late: the log has them, and other relays
// show them.
type heldMember struct {
	*journaltest.Member
	gate atomic.Pointer[chan struct{}]
}

func (m *heldMember) Commit(groups []cow.Group) {
	m.Member.Commit(groups)
	if gate := m.gate.Load(); gate != nil {
		<-*gate
	}
}

// What another relay shows of this relay's own batch is in what a reader waits for, also
// if the batch is not finished here.
func TestShared_ReachBesideOwnBatch(t *testing.T) {
	log := journaltest.NewFleet()
	a := join(t, log, cow.Options{})
	m := &heldMember{Member: log.Join(time.Minute)}
	b := openJournal(t, m, m.Member, cow.Options{})
	t.Cleanup(func() { b.close(); m.Close() })
	slot := a.slot()
	a.must(slot, ev("0"))
	var there *cow.Slot
	b.until("the slot to be known", func() bool { there = b.Slot(slot.ID()); return there != nil })
	if err := b.Barrier(context.Background()); err != nil {
		t.Fatal(err)
	}
	for i, ask := range map[string]func(id string) error{
		"reach": func(id string) error { return b.Reach(context.Background(), there, cow.After([]byte(id))) },
		"current": func(id string) error {
			var w cow.Window
			defer w.Reset()
			err := b.Current(context.Background(), there, cow.After([]byte(id)), 10, &w)
			if err == nil && w.Missed() {
				err = errors.New("a consistent pull does not know the event")
			}
			return err
		},
	} {
		gate := make(chan struct{})
		m.gate.Store(&gate)
		posted, before := make(chan struct{}), slot.Count()
		go func() {
			b.must(there, ev(i))
			close(posted)
		}()
		a.until("the event to be there", func() bool { return slot.Count() > before })
		done := make(chan error, 1)
		go func() { done <- ask(i) }()
		time.Sleep(20 * time.Millisecond)
		if len(done) > 0 {
			t.Errorf("%s does not wait: %v", i, <-done)
			done <- nil
		}
		m.gate.Store(nil)
		close(gate)
		if err := <-done; err != nil {
			t.Errorf("%s: %v", i, err)
		}
		var w cow.Window
		if err := b.Window(there, cow.After([]byte(i)), 10, &w); err != nil || w.Missed() {
			t.Errorf("%s: missed %v, %v", i, w.Missed(), err)
		}
		<-posted
	}
}

// A load that began before the barrier must not show less than what the barrier brought.
func TestShared_CurrentBesideLoad(t *testing.T) {
	s := fleet(t, 2, cow.Options{})
	a, b := s[0], s[1]
	slot := a.slot()
	a.must(slot, ev("1"))
	there := b.sees(slot.ID())
	b.barrier()
	b.Cool(there)
	read, goOn := make(chan struct{}), make(chan struct{})
	var once sync.Once
	b.m.OnLoaded(func() {
		once.Do(func() { close(read); <-goOn })
	})
	loaded := make(chan error, 1)
	go func() {
		var w cow.Window
		loaded <- b.Window(there, cow.After([]byte("1")), 10, &w)
	}()
	<-read
	a.must(slot, ev("2"))
	consistent := make(chan string, 1)
	go func() {
		var w cow.Window
		var text bytes.Buffer
		if err := b.Current(context.Background(), there, cow.Oldest(), 10, &w); err != nil {
			t.Error(err)
		}
		w.WriteTo(&text)
		consistent <- text.String()
	}()
	b.barrier()
	time.AfterFunc(10*time.Millisecond, func() { close(goOn) })
	if got := <-consistent; got != "["+ev("1")+","+ev("2")+"]" {
		t.Errorf("a consistent pull got %s", got)
	}
	if err := <-loaded; err != nil {
		t.Error(err)
	}
}

// lateJournal has another writer write between the reading of the slots and its end.
type lateJournal struct {
	*journaltest.Memory
	write func()
}

func (j *lateJournal) Slots(yield func(cow.SlotRecord) error) error {
	err := j.Memory.Slots(yield)
	j.write()
	return err
}

// What others write while a store reads which slots there are is not lost.
func TestOpen_HearsBeforeItReads(t *testing.T) {
	m := journaltest.NewMemory()
	old, made, gone := cow.NewID(), cow.NewID(), cow.NewID()
	m.ForeignCreate(old, cow.TokenHash{1})
	m.ForeignCreate(gone, cow.TokenHash{1})
	m.Foreign(old, foreign("1"))
	j := &lateJournal{m, func() {
		m.Foreign(old, foreign("2"))
		m.ForeignCreate(made, cow.TokenHash{2})
		m.Foreign(made, foreign("3"))
		m.ForeignRemove(gone)
	}}
	f := openJournal(t, j, m, cow.Options{})
	t.Cleanup(func() { f.close(); m.Close() })
	f.until("the slots", func() bool { return f.Slot(made) != nil && f.Slot(gone) == nil })
	f.until("the events", func() bool { return f.Slot(old).Count() == 2 && f.Slot(made).Count() == 1 })
	f.holds(f.Slot(old), ev("1"), ev("2"))
	f.holds(f.Slot(made), ev("3"))
}

// Stores of a fleet do everything at once, with feeds that keep events back, with so little
// memory that slots go cold beside trims, and with a log that comes and goes. In the end
// all hold the same, and everything that was acknowledged is there once, or a trim took it.
// A stream passes over what trims took, and over nothing else.
func TestShared_Hammer(t *testing.T) {
	rounds := 300
	if testing.Short() {
		rounds = 60
	}
	s := fleet(t, 3, cow.Options{MemoryBudget: 512 << 10, LoadPatience: 20 * time.Second, QueueTimeout: 20 * time.Second, TouchInterval: 3 * time.Millisecond})
	var ids []cow.ID
	trims := make(map[cow.ID]*trimNotes)
	for range 6 {
		ids = append(ids, s[0].slot().ID())
		trims[ids[len(ids)-1]] = &trimNotes{to: map[uint64]bool{}}
	}
	for _, x := range s {
		x.barrier()
	}
	var mu sync.Mutex
	acknowledged := make(map[cow.ID][]string)
	stop := make(chan struct{})
	var chaos sync.WaitGroup
	for i, x := range s {
		chaos.Go(func() {
			r := rand.New(rand.NewPCG(1, uint64(i)))
			for {
				select {
				case <-stop:
					return
				case <-time.After(time.Duration(r.IntN(8)) * time.Millisecond):
				}
				switch r.IntN(4) {
				case 0:
					x.m.BareFeed(r.IntN(2) == 0)
				case 1:
					back := x.m.CutOff(0)
					time.Sleep(time.Duration(r.IntN(10)) * time.Millisecond)
					back()
				case 2:
					back := x.m.HoldSends()
					time.Sleep(time.Duration(r.IntN(10)) * time.Millisecond)
					back()
				case 3:
					if slot := x.Slot(ids[r.IntN(len(ids))]); slot != nil {
						x.Cool(slot)
					}
				}
			}
		})
	}
	var work []func()
	for i, x := range s {
		for j := range 3 {
			work = append(work, func() {
				r := rand.New(rand.NewPCG(2, uint64(10*i+j)))
				for k := range rounds {
					id := ids[r.IntN(len(ids))]
					slot := x.Slot(id)
					event := fmt.Sprintf(`{"event_id":"%d-%d-%d","pad":"%s"}`, i, j, k, strings.Repeat("x", r.IntN(500)))
					dup, err := x.post(slot, event)
					if err != nil || dup {
						t.Errorf("%v, %v", dup, err)
						return
					}
					if r.IntN(10) == 0 {
						if err := trims[id].trim(x.Store, slot, r); err != nil {
							t.Error(err)
							return
						}
					}
					mu.Lock()
					acknowledged[id] = append(acknowledged[id], event)
					mu.Unlock()
					var w cow.Window
					if r.IntN(4) == 0 {
						mu.Lock()
						least := len(acknowledged[id])
						mu.Unlock()
						if err := x.Current(context.Background(), slot, cow.From(0), 1, &w); err != nil || w.End() < uint64(least) {
							t.Errorf("a consistent pull ends at %d of %d at least, %v", w.End(), least, err)
						}
					}
				}
			})
		}
	}
	for i, x := range s { // slots that come and go, with what stands beside them
		work = append(work, func() {
			next := s[(i+1)%len(s)]
			for k := range rounds / 10 {
				slot := x.slot()
				next.barrier()
				there := next.Slot(slot.ID())
				if there == nil {
					t.Error("a slot is not known behind a barrier")
					return
				}
				if dup, err := next.post(there, ev(fmt.Sprint(k))); dup || err != nil {
					t.Error(dup, err)
				}
				if err := x.Block(slot, nil); err != nil {
					t.Error(err)
				}
				rec := token.Record{May: token.Read}
				if _, err := x.NewToken(slot, &rec, false); err != nil {
					t.Error(err)
				}
				if err := next.Remove(there); err != nil {
					t.Error(err)
				}
				if dup, err := x.post(slot, ev("late")); !errors.Is(err, cow.ErrNoSlot) {
					t.Error(dup, err)
				}
			}
		})
	}
	var readers sync.WaitGroup
	var trails []*trail
	for i, id := range ids {
		tr := &trail{store: s[i%3].Store, slot: s[i%3].Slot(id), notes: trims[id]}
		trails = append(trails, tr)
		readers.Go(func() { tr.read(stop) })
	}
	all(work...)
	close(stop)
	chaos.Wait()
	// A barrier of a slot waits for what its store still catches up with.
	for _, x := range s {
		for _, id := range ids {
			var w cow.Window
			if err := x.Current(context.Background(), x.Slot(id), cow.From(0), 1, &w); err != nil {
				t.Fatal(err)
			}
		}
	}
	readers.Wait()
	for _, tr := range trails {
		tr.read(nil) // the rest
		if begin, end := tr.slot.Positions(); tr.err != nil || tr.next != end && begin != end {
			t.Errorf("a stream of slot %v came to position %d of %d: %v", tr.slot.ID(), tr.next, end, tr.err)
		}
	}
	taken := uint64(0)
	for _, id := range ids {
		begin, end := s[0].Slot(id).Positions()
		if end != uint64(len(acknowledged[id])) || begin < trims[id].done || begin > 0 && !trims[id].to[begin] {
			t.Errorf("slot %v has positions %d to %d; %d events are acknowledged, a trim to %d is", id, begin, end, len(acknowledged[id]), trims[id].done)
		}
		taken += begin
		known := make(map[string]bool)
		for _, e := range acknowledged[id] {
			known[e] = true
		}
		var first string
		for i, x := range s {
			var w cow.Window
			var text bytes.Buffer
			for from := uint64(0); ; from = w.Next() {
				if err := x.Window(x.Slot(id), cow.From(from), 1000, &w); err != nil {
					t.Fatal(err)
				}
				if w.Events() == 0 {
					break
				}
				w.WriteTo(&text)
			}
			if i == 0 {
				first = text.String()
				var got []string
				for _, e := range strings.SplitAfter(strings.NewReplacer("[", "", "]", "", "},{", "}\n{", "}{", "}\n{").Replace(first), "\n") {
					if e = strings.TrimSpace(e); e != "" {
						got = append(got, e)
					}
				}
				for _, e := range got {
					if !known[e] {
						t.Errorf("slot %v holds what was not acknowledged, or twice: %.50s", id, e)
					}
					delete(known, e)
				}
				if uint64(len(known)) != begin {
					t.Errorf("slot %v: %d acknowledged events are not there, trims took %d", id, len(known), begin)
				}
			} else if strings.NewReplacer("][", ",").Replace(text.String()) != strings.NewReplacer("][", ",").Replace(first) {
				t.Errorf("slot %v differs", id)
			}
		}
	}
	for _, x := range s {
		x.m.WaitApplied()
		if m := x.Memory(); m.EvictedSlots+m.EvictedChunks == 0 {
			t.Error("nothing left the memory")
		}
	}
	if taken == 0 {
		t.Error("no trim took an event")
	}
	if !s[0].m.Same(s[1].m) || !s[0].m.Same(s[2].m) {
		t.Error("the journals differ")
	}
	for _, x := range s {
		if x.Len() != len(ids) || x.BlockedSlots() != 0 || x.Stats().Events.Load() != s[0].Stats().Events.Load() || x.Stats().Bytes.Load() != s[0].Stats().Bytes.Load() {
			t.Errorf("%d slots, %d blocked, %d events of %d bytes", x.Len(), x.BlockedSlots(), x.Stats().Events.Load(), x.Stats().Bytes.Load())
		}
	}
}

// An event that another relay has stored keeps a slot that this relay takes for unused: it
// has not heard of the event when it decides, and the log says so.
func TestShared_RemoveUnused(t *testing.T) {
	s := fleet(t, 2, cow.Options{})
	a, b := s[0], s[1]
	slot := a.slot()
	there := b.sees(slot.ID())
	b.barrier()
	release := b.m.HoldSends()
	defer release()
	removed := make(chan error, 1)
	go func() { removed <- b.RemoveUnused(there, cow.Use{}) }()
	b.until("the removal to be with the journal", func() bool { return b.CommitAge() > 0 })
	a.must(slot, ev("1"))
	release()
	if err := <-removed; !errors.Is(err, cow.ErrConflict) {
		t.Errorf("the removal: error %v, want ErrConflict", err)
	}
	b.barrier()
	b.holds(there, ev("1"))
	a.holds(slot, ev("1"))
	if err := b.RemoveUnused(there, there.LastUse()); err != nil {
		t.Error(err)
	}
	if a.barrier(); !slot.Gone() {
		t.Error("the slot is still there")
	}
}
