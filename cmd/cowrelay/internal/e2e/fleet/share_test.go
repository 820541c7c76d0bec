package fleet

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"cowrelay/cmd/cowrelay/internal/relaytest"
	"cowrelay/cow/card/cardtest"
)

// Three relays on three servers are one relay to their clients: whatever one of them
// acknowledged, the others know at once.
func TestFleet_IsOneRelay(t *testing.T) {
	f := newFleet(t).start(3)
	a, b, c := f.relays[0], f.relays[1], f.relays[2]

	// A slot made here takes a post there. What was posted here is pulled there.
	s := a.Allocate()
	b.Post(s, relaytest.Event("b", 0, 200))
	eventually(t, "the event of the other relay", 5*time.Second, func() bool { return len(c.Pull(s, "")) == 1 })

	// A stream on one relay gets what the others are sent, in one order, each once.
	live := relaytest.MustStream(c, s, "")
	for i := range 30 {
		f.relays[i%3].Post(s, relaytest.Event("x", i, 100))
	}
	for i := range 30 {
		ev, err := live.Next()
		if err != nil || ev.ID != fmt.Sprintf("x-%d", i) {
			t.Fatalf("event %d of the stream: %q, %v", i, ev.ID, err)
		}
	}
	// The same event sent to another relay is a duplicate.
	if code := status(t, s, "POST", a.EventsURL(s), relaytest.PostBody(relaytest.Event("b", 0, 200))); code != 200 {
		t.Errorf("a duplicate: %d", code)
	}
	// The stream goes on at another relay behind the last event that it had.
	moved := relaytest.MustStream(b, s, "x-14")
	if ev, err := moved.Next(); err != nil || ev.ID != "x-15" {
		t.Errorf("behind x-14 comes %q, %v", ev.ID, err)
	}

	// A handle that is claimed at one relay is known at another, and taken at the third.
	agent := cardtest.New("paul", 1)
	body := fmt.Appendf(nil, `{"nick":"paul","slot_id":%q,"card":%s}`, s.ID, agent.Card(`{}`))
	s.MustSend(t, 201, "POST", a.URL+"/v1/handle/claim", body)
	relaytest.Contains(t, string(relaytest.Slot{}.MustSend(t, 200, "GET", b.URL+"/.well-known/wire/agent?handle=paul", nil)), agent.DID)
	other := cardtest.New("paul", 2)
	s.MustSend(t, 409, "POST", c.URL+"/v1/handle/claim", fmt.Appendf(nil, `{"nick":"paul","slot_id":%q,"card":%s}`, s.ID, other.Card(`{}`)))

	// An invite with one use is used up once, wherever that is asked for.
	var invite struct{ Token string }
	if err := json.Unmarshal(relaytest.Slot{}.MustSend(t, 201, "POST", a.URL+"/v1/invite/register", []byte(`{"invite_url":"wire://pair?x=1","uses":1}`)), &invite); err != nil {
		t.Fatal(err)
	}
	codes := map[int]int{}
	for _, r := range f.relays {
		codes[status(t, relaytest.Slot{}, "GET", r.URL+"/i/"+invite.Token, nil)]++
	}
	if codes[200] != 1 || codes[410] != 2 {
		t.Errorf("an invite of one use: %v", codes)
	}

	// A block at one relay holds at all, and ends the streams there.
	a.Admin(t, "block", s.ID, "--reason", "loud")
	eventually(t, "the block at the other relays", time.Second, func() bool {
		return status(t, s, "GET", b.EventsURL(s), nil) == 403 && status(t, s, "POST", c.EventsURL(s), relaytest.PostBody(relaytest.Event("z", 1, 100))) == 403
	})
	if _, err := live.Next(); err != io.EOF {
		t.Errorf("the stream of a blocked slot at another relay: %v", err)
	}
	b.Admin(t, "unblock", s.ID)
	eventually(t, "the end of the block", time.Second, func() bool { return status(t, s, "GET", a.EventsURL(s), nil) == 200 })

	// A slot that was removed is gone everywhere, and its streams end.
	last := relaytest.MustStream(a, s, "x-29")
	s.AsOwner().MustSend(t, 204, "DELETE", b.URL+"/v1/slot/"+s.ID, nil)
	eventually(t, "the removal", time.Second, func() bool { return status(t, s, "GET", c.EventsURL(s), nil) == 404 })
	if _, err := last.Next(); err != io.EOF {
		t.Errorf("the stream of a removed slot at another relay: %v", err)
	}

	// Totals are the fleet's.
	eventually(t, "the same totals at all relays", 5*time.Second, func() bool {
		seen := map[string]bool{}
		for _, r := range f.relays {
			var v map[string]any
			if err := json.Unmarshal(relaytest.Slot{}.MustSend(t, 200, "GET", r.URL+"/stats.json", nil), &v); err != nil {
				t.Fatal(err)
			}
			seen[fmt.Sprint(v["events_posted_total"], v["slot_allocations_total"], v["handle_claims_total"])] = true
		}
		return len(seen) == 1 && seen["31 1 1"]
	})
	for i, r := range f.relays {
		if text := r.Log.String(); strings.Contains(text, s.Token) || strings.Contains(text, invite.Token) {
			t.Errorf("the log of relay %d holds a token", i)
		}
		r.Stop()
	}
}

// A token that is revoked at one relay is dead on all within a second, its streams too.
func TestFleet_RevokedTokenIsDeadEverywhere(t *testing.T) {
	f := newFleet(t).start(3)
	a, b, c := f.relays[0], f.relays[1], f.relays[2]
	s := a.Allocate()
	var made struct {
		Token string `json:"token"`
		ID    string `json:"token_id"`
	}
	if err := json.Unmarshal(s.AsOwner().MustSend(t, 201, "POST", a.URL+"/v1/slot/"+s.ID+"/tokens", []byte(`{"may":["read"]}`)), &made); err != nil {
		t.Fatal(err)
	}
	reader := relaytest.Slot{ID: s.ID, Token: made.Token}
	eventually(t, "the token at the other relays", time.Second, func() bool {
		return status(t, reader, "GET", b.EventsURL(s), nil) == 200 && status(t, reader, "GET", c.EventsURL(s), nil) == 200
	})
	live := relaytest.MustStream(c, reader, "")
	s.AsOwner().MustSend(t, 204, "DELETE", b.URL+"/v1/slot/"+s.ID+"/tokens/"+made.ID, nil)
	eventually(t, "the end of the token", time.Second, func() bool {
		for _, r := range f.relays {
			if status(t, reader, "GET", r.EventsURL(s), nil) != 403 {
				return false
			}
		}
		return true
	})
	if _, err := live.Next(); err != io.EOF {
		t.Errorf("the stream of a dead token: %v", err)
	}
	// The slot's token is replaced, and the old one is dead.
	var fresh struct {
		Token string `json:"slot_token"`
	}
	if err := json.Unmarshal(s.AsOwner().MustSend(t, 201, "POST", c.URL+"/v1/slot/"+s.ID+"/tokens/rotate", nil), &fresh); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the new token", time.Second, func() bool {
		return status(t, s, "GET", a.EventsURL(s), nil) == 403 && status(t, relaytest.Slot{ID: s.ID, Token: fresh.Token}, "GET", b.EventsURL(s), nil) == 200
	})
}
