package life

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"cowrelay/cmd/cowrelay/internal/relaytest"
)

// lifetime is what admin slot tells of one.
type lifetime struct {
	Slot, Unused, Event, Ephemeral *lifetimeBound
	Keep                           *struct{ Events, Bytes int }
	Ends                           int64
	As                             string
}

type lifetimeBound struct {
	Seconds int
	By      string
}

func lifetimeOf(t *testing.T, r *relaytest.Relay, s relaytest.Slot) (l lifetime) {
	t.Helper()
	var told struct {
		Lifetime struct {
			Slot      *lifetimeBound               `json:"ttl"`
			Unused    *lifetimeBound               `json:"unused_ttl"`
			Event     *lifetimeBound               `json:"event_ttl"`
			Ephemeral *lifetimeBound               `json:"ephemeral_ttl"`
			Keep      *struct{ Events, Bytes int } `json:"event_keep"`
			Ends      int64                        `json:"ends_unix"`
			As        string                       `json:"ends_as"`
		} `json:"lifetime"`
	}
	if err := json.Unmarshal([]byte(r.Admin(t, "slot", s.ID)), &told); err != nil {
		t.Fatal(err)
	}
	return lifetime(told.Lifetime)
}

// newSlot makes a slot that asks for a lifetime.
func newSlot(t *testing.T, r *relaytest.Relay, args ...string) relaytest.Slot {
	t.Helper()
	out, errs, code := relaytest.Command(t, nil, append([]string{"slot", "new", "--relay", r.URL, "--json"}, args...)...)
	var made struct {
		ID    string `json:"slot_id"`
		Token string `json:"slot_token"`
	}
	if err := json.Unmarshal([]byte(out), &made); code != 0 || err != nil {
		t.Fatalf("slot new says %d: %s%s", code, out, errs)
	}
	return relaytest.Slot{ID: made.ID, Token: made.Token}
}

// An operator sees how long a slot is kept and by whose word, the same as the slot's own
// state tells, and when it ends. A stream holds the end.
func TestLifetime_AsOperatorsSeeIt(t *testing.T) {
	t.Parallel()
	r := relaytest.Start(t, t.TempDir(), "--slot-idle-ttl", "48h", "--event-ttl", "2h", "--ephemeral-ttl", "1h", "--event-keep", "100")
	began := time.Now()
	own, other := newSlot(t, r, "--ttl", "24h", "--event-ttl", "1m"), r.Allocate()
	hours := func(n int, by string) lifetimeBound { return lifetimeBound{n * 3600, by} }
	check := func(s relaytest.Slot, slot, event lifetimeBound, after time.Duration) {
		t.Helper()
		l := lifetimeOf(t, r, s)
		if l.Slot == nil || *l.Slot != slot || l.Event == nil || *l.Event != event || l.Unused == nil || *l.Unused != hours(720, "operator") || l.Ephemeral == nil || *l.Ephemeral != hours(1, "operator") || l.Keep == nil || l.Keep.Events != 100 || l.Keep.Bytes != 0 {
			t.Errorf("the lifetime is %+v", l)
		}
		if l.Ends < began.Add(after).Unix() || l.Ends > time.Now().Add(after*9/8).Unix() || l.As != "idle" {
			t.Errorf("it ends at %d as %s, which is not about %v from now", l.Ends, l.As, after)
		}
		var state struct {
			Slot  int `json:"ttl_seconds"`
			Event int `json:"event_ttl_seconds"`
		}
		if err := json.Unmarshal(s.MustSend(t, 200, "GET", r.URL+"/v1/slot/"+s.ID+"/state", nil), &state); err != nil || state.Slot != slot.Seconds || state.Event != event.Seconds {
			t.Errorf("the state says %+v, %v", state, err)
		}
	}
	check(own, hours(24, "slot"), lifetimeBound{60, "slot"}, 24*time.Hour)
	check(other, hours(48, "operator"), hours(2, "operator"), 48*time.Hour)

	live := relaytest.MustStream(r, own, "")
	if l := lifetimeOf(t, r, own); l.Ends != 0 || l.As != "" || l.Unused != nil {
		t.Errorf("a slot that is streamed: %+v", l)
	}
	r.Post(own, []byte(`{"event_id":"a"}`))
	if _, err := live.Next(); err != nil {
		t.Error(err)
	}
}

// When a slot ends outlives a restart. Without a word of the operator only what a slot asks
// for counts, and top has nothing to show.
func TestLifetime_OverARestart(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	r := relaytest.Start(t, dir, "--unused-slot-ttl", "0s")
	if l := lifetimeOf(t, r, r.Allocate()); l != (lifetime{}) {
		t.Errorf("nothing ends, and the lifetime is %+v", l)
	}
	if out, errs, code := relaytest.Command(t, nil, "top", "--every=100ms", "--admin="+r.AdminURL); code != 0 || strings.Contains(out, "retention") {
		t.Errorf("top says %d: %s%s", code, out, errs)
	}
	slot := newSlot(t, r, "--ttl", "1h")
	r.Post(slot, []byte(`{"event_id":"a"}`))
	// Before it is noted that the slot was used, its end moves with the time.
	ends := lifetimeOf(t, r, slot).Ends
	for deadline := time.Now().Add(2 * time.Minute); ; {
		time.Sleep(1100 * time.Millisecond)
		was := ends
		if ends = lifetimeOf(t, r, slot).Ends; ends == was {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("its end moves on")
		}
	}
	if in := time.Until(time.Unix(ends, 0)); in < 50*time.Minute || in > 70*time.Minute {
		t.Errorf("it ends in %v", in)
	}
	r.Stop()
	r = relaytest.Start(t, dir, "--unused-slot-ttl", "0s")
	if l := lifetimeOf(t, r, slot); l.Ends != ends || l.As != "idle" || l.Slot == nil || *l.Slot != (lifetimeBound{3600, "slot"}) || l.Event != nil {
		t.Errorf("after a restart it is %+v, and was to end at %d", l, ends)
	}
}
