package rendezvous

import (
	"errors"
	"testing"
	"time"

	"cowrelay/cow"
)

// Operators see live invites without their URLs, and end them over a restart.
func TestInvites_Operators(t *testing.T) {
	f := openInvites(t, 100)
	two := int64(2)
	late, soon, other := f.must(7, 2*time.Hour, nil), f.must(7, time.Hour, &two), f.must(8, time.Hour, nil)
	ofSeven := func(_ string, by Source) bool { return by == 7 }
	check := func(most, matching int, want ...Invite) {
		t.Helper()
		list, n, err := f.Live(ofSeven, most)
		if err != nil || n != matching || len(list) != len(want) {
			t.Fatalf("%d of %d invites, %v; want %d of %d", len(list), n, err, len(want), matching)
		}
		for i, got := range list {
			if got.Token != want[i].Token || got.URL != "" || !got.Created.Equal(want[i].Created) || got.By != 7 {
				t.Errorf("%d: %+v, want %+v", i, got, want[i])
			}
		}
	}
	check(10, 2, soon, late)
	check(1, 2, soon)
	if err := f.Revoke(soon.Token); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		f.want(soon.Token, ErrInviteGone)
		f.want(late.Token, nil)
		f.want(other.Token, nil)
		check(10, 1, late)
		if err := f.Revoke(soon.Token); !errors.Is(err, ErrInviteGone) {
			t.Errorf("revoked again: %v", err)
		}
		f.restart(100)
	}
	if err := f.Revoke("0123456789abcdef"); !errors.Is(err, ErrNoInvite) {
		t.Errorf("an unknown invite: %v", err)
	}
	full := cow.ErrNoSpace
	f.gate.Store(&full)
	if err := f.Revoke(late.Token); !errors.Is(err, cow.ErrNoSpace) {
		t.Errorf("without room: %v", err)
	}
	f.gate.Store(nil)
	f.want(late.Token, nil)
	f.now.Add(3 * 3600)
	check(10, 0)
}
