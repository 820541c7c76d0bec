package cow_test

import (
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"

	"cowrelay/cow"
	"cowrelay/cow/event"
)

func (f *fixture) duplicate(slot *cow.Slot, event string) {
	f.Helper()
	if dup, err := f.post(slot, event); !dup || err != nil {
		f.Fatalf("post of %.60s: duplicate %v, error %v; want a duplicate", event, dup, err)
	}
}

// I5: the same id again, in the same batch, in a later one, from a cold slot,
// from an evicted chunk, over a restart, in another spelling.
func TestCommit_I5_Duplicates(t *testing.T) {
	f := open(t, cow.Options{})
	slot := f.slot()
	f.must(slot, ev("a"))
	f.duplicate(slot, ev("a"))
	f.duplicate(slot, `{"event_id":"\u0061","other":"content"}`)
	f.must(f.slot(), ev("a")) // another slot's ids are its own

	entered, release := f.m.Hold()
	defer release()
	hold := f.later(slot, ev("b"))
	<-entered
	same := []<-chan answer{f.queued(slot, ev("c")), f.queued(slot, ev("c")), f.queued(slot, ev("b")), f.queued(slot, ev("c"))}
	release()
	f.wait(hold)
	for i, c := range same {
		if a := f.wait(c); a.err != nil || a.dup != (i > 0) {
			t.Fatalf("post %d (%s) of the batch: duplicate %v, error %v", i, a.event, a.dup, a.err)
		}
	}
	f.Cool(slot)
	f.duplicate(slot, ev("b"))
	f.fill(slot, 3, 300)
	f.EvictChunks(slot)
	f.duplicate(slot, ev("a"))
	f.duplicate(slot, payload(slot.ID(), 10))
	f = f.restart()
	slot = f.Slot(slot.ID())
	f.duplicate(slot, ev("a"))
	f.duplicate(slot, payload(slot.ID(), 299))
	f.must(slot, ev("new"))
	if n := slot.Count(); n != 301 {
		t.Fatalf("I5: the slot counts %d events", n)
	}
	if got := f.Stats().PostsDuplicate.Load(); got != 2 {
		t.Errorf("%d duplicates are counted since the restart", got)
	}
}

// Events without an id are all new, however equal.
func TestCommit_EventsWithoutIDAreNeverDuplicates(t *testing.T) {
	f := open(t, cow.Options{})
	slot := f.slot()
	for range 3 {
		f.must(slot, `{"a":1}`)
		f.must(slot, `{"event_id":7}`)
	}
	f.must(slot, `{"event_id":""}`) // an id, if an empty one
	f.duplicate(slot, `{"event_id":""}`)
	if n := slot.Count(); n != 7 {
		t.Fatalf("the slot counts %d events", n)
	}
}

// I5 under concurrency: many posters of the same few ids, and exactly one of
// each is stored.
func TestCommit_I5_OneOfManyPostersIsStored(t *testing.T) {
	f := open(t, cow.Options{})
	slot := f.slot()
	const ids = 150
	var stored [ids]atomic.Int64
	var tasks []func()
	for w := range 12 {
		tasks = append(tasks, func() {
			for i := range ids {
				i = (i*7 + w*11) % ids
				dup, err := f.post(slot, ev(fmt.Sprint(i)))
				if err != nil {
					t.Error(err)
				} else if !dup {
					stored[i].Add(1)
				}
				if w == 0 && i%20 == 0 {
					f.Cool(slot)
				}
			}
		})
	}
	all(tasks...)
	for i := range stored {
		if n := stored[i].Load(); n != 1 {
			t.Errorf("I5: id %d was stored %d times", i, n)
		}
	}
	if n := slot.Count(); n != ids {
		t.Errorf("I5: %d events for %d ids", n, ids)
	}
}

// Ids whose 32-bit hashes are equal are told apart by comparing them: for
// dedupe, in one batch and later, and for since.
func TestIndex_I5_EqualHashesAreToldApart(t *testing.T) {
	f := open(t, cow.Options{})
	byHash := make(map[uint32]string)
	var pairs [][2]string
	for i := 0; len(pairs) < 2; i++ {
		id := fmt.Sprintf("id-%d", i)
		h := f.HashID(id)
		if other, ok := byHash[h]; ok {
			pairs = append(pairs, [2]string{other, id})
		}
		byHash[h] = id
	}
	slot := f.slot()
	a, b := pairs[0][0], pairs[0][1]
	f.must(slot, ev(a))
	if got := f.page(slot, b, 10); got != "["+ev(a)+"]" {
		t.Fatalf("since an unknown id with the hash of a known one gives %s", got)
	}
	f.must(slot, ev(b))
	f.must(slot, ev("last"))
	check := func() {
		t.Helper()
		f.duplicate(slot, ev(a))
		f.duplicate(slot, ev(b))
		if got := f.page(slot, a, 2); got != "["+ev(b)+","+ev("last")+"]" {
			t.Fatalf("since the first of two with equal hashes gives %s", got)
		}
		if got := f.page(slot, b, 1); got != "["+ev("last")+"]" {
			t.Fatalf("since the second of two with equal hashes gives %s", got)
		}
	}
	check()
	f.Cool(slot)
	check()
	// In one batch.
	c, d := pairs[1][0], pairs[1][1]
	entered, release := f.m.Hold()
	defer release()
	first := f.later(slot, ev("hold"))
	<-entered
	posts := []<-chan answer{f.queued(slot, ev(c)), f.queued(slot, ev(d)), f.queued(slot, ev(d))}
	release()
	f.wait(first)
	for i, p := range posts {
		if a := f.wait(p); a.dup != (i == 2) || a.err != nil {
			t.Errorf("post %d of the batch: duplicate %v, error %v", i, a.dup, a.err)
		}
	}
	// Where the bytes to compare with are not in memory.
	f.fill(slot, 6, 300)
	f.EvictChunks(slot)
	check()
}

// The quota counts exactly MaxSlotBytes; what a slot has already is a
// duplicate even when it is full.
func TestCommit_QuotaIsExact(t *testing.T) {
	f := open(t, cow.Options{MemoryBudget: 512 << 20})
	slot := f.slot()
	f.must(slot, ev("known"))
	body := func(n int) string { return `{"p":"` + strings.Repeat("q", n-8) + `"}` }
	for slot.Bytes()+event.MaxBytes <= cow.MaxSlotBytes {
		f.must(slot, body(event.MaxBytes))
	}
	rest := int(cow.MaxSlotBytes - slot.Bytes())
	full := func(n int) {
		t.Helper()
		if _, err := f.post(slot, body(n)); !errors.Is(err, cow.ErrSlotFull) {
			t.Fatalf("an event of %d bytes with %d left: error %v, want ErrSlotFull", n, cow.MaxSlotBytes-int(slot.Bytes()), err)
		}
	}
	full(rest + 1)
	// Of two that fit alone and not together, in one batch, one is stored.
	other := f.slot()
	entered, release := f.m.Hold()
	defer release()
	hold := f.later(other, ev("x"))
	<-entered
	two := []<-chan answer{f.queued(slot, body(rest-9)), f.queued(slot, body(10))}
	release()
	f.wait(hold)
	if a := f.wait(two[0]); a.err != nil {
		t.Fatal(a.err)
	}
	if a := f.wait(two[1]); !errors.Is(a.err, cow.ErrSlotFull) {
		t.Fatalf("the second of a batch that overruns the quota: error %v", a.err)
	}
	f.must(slot, body(9))
	if n := slot.Bytes(); n != cow.MaxSlotBytes {
		t.Fatalf("a full slot counts %d bytes", n)
	}
	full(9)
	f.duplicate(slot, ev("known"))
	f.Cool(slot)
	full(9)
	f.duplicate(slot, ev("known"))
}
