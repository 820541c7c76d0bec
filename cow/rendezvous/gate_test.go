package rendezvous

import (
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"cowrelay/cow"
	"cowrelay/cow/card/cardtest"
	"cowrelay/cow/journaltest"
)

// On a full disk nobody claims a nick, and holder and operator can still give one
// up: that makes room. When the store closes, nobody writes any more.
func TestGate_OfHandles(t *testing.T) {
	log := slog.New(slog.DiscardHandler)
	var free atomic.Uint64
	free.Store(1 << 30)
	m := journaltest.NewMemory()
	store, err := cow.Open(m, m, cow.Options{Logger: log, Free: func() (uint64, error) { return free.Load(), nil }})
	if err != nil {
		t.Fatal(err)
	}
	d, err := Open(store, Options{Logger: log})
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	id, _, _, err := store.Allocate()
	if err != nil {
		t.Fatal(err)
	}
	claim := func(nick string) error {
		_, _, err := d.Handles.Claim(Claim{Nick: nick, Slot: store.Slot(id), Card: cardtest.New(nick, 0).Card("{}")})
		return err
	}
	unclaim := func(nick string) error { return d.Handles.Unclaim(nick, func(Handle) error { return nil }) }
	for _, nick := range []string{"paul", "mary", "john", "jane"} {
		if err := claim(nick); err != nil {
			t.Fatal(err)
		}
	}
	free.Store(0)
	for deadline := time.Now().Add(time.Minute); store.Room() == nil; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("the disk never counts as full")
		}
	}
	if err := claim("bob"); !errors.Is(err, cow.ErrNoSpace) {
		t.Errorf("a claim on a full disk: %v", err)
	}
	if err := errors.Join(unclaim("paul"), d.Handles.Drop("mary")); err != nil {
		t.Errorf("on a full disk: %v", err)
	}
	store.Close()
	if err := unclaim("john"); !errors.Is(err, cow.ErrClosed) {
		t.Errorf("unclaim while the store closes: %v", err)
	}
	if err := d.Handles.Drop("jane"); !errors.Is(err, cow.ErrClosed) {
		t.Errorf("drop while the store closes: %v", err)
	}
}

// Many wait to use one invite. While they wait, they take no place of those who
// write other records.
func TestGate_OfOneInvite(t *testing.T) {
	var inside, most atomic.Int64
	v, err := OpenInvites(journaltest.NewMemory(), InviteOptions{
		Most: 10, Now: time.Now, Logger: slog.New(slog.DiscardHandler),
		Gate: func() (func(), error) {
			n := inside.Add(1)
			for old := most.Load(); n > old && !most.CompareAndSwap(old, n); old = most.Load() {
			}
			time.Sleep(time.Millisecond) // as a sync takes
			return func() { inside.Add(-1) }, nil
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	defer v.Close()
	uses := int64(30)
	invite, err := v.Register(0, someInvite, time.Hour, &uses)
	if err != nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	for range uses {
		all.Go(func() {
			if _, err := v.Script(invite.Token, false); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if n := most.Load(); n != 1 {
		t.Errorf("%d were past the gate at once, want 1", n)
	}
}
