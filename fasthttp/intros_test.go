package fasthttp

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"strings"
	"sync"
	"testing"

	"cowrelay/cow/card/cardtest"
)

// introBody is the body of a post that introduces an agent. n tells its events apart.
func introBody(a cardtest.Agent, kind int, name string, n int) string {
	return fmt.Sprintf(`{"event":%s}`, a.Event(kind, name, fmt.Sprintf(`{"card":%s,"n":%d}`, canonicalCard(a), n)))
}

// canonicalCard is a card whose keys are in order, as events are signed.
func canonicalCard(a cardtest.Agent) []byte {
	var card map[string]any
	if err := json.Unmarshal(a.Card("{}"), &card); err != nil {
		panic(err)
	}
	doc, err := json.Marshal(card)
	if err != nil {
		panic(err)
	}
	return doc
}

func (g *rig) intro(nick, body string, headers ...string) reply {
	g.Helper()
	return g.call("POST", "/v1/handle/intro/"+nick, "", body, headers...)
}

// Every row of the contract: what is refused is refused for the first of its faults,
// and nothing of it is stored.
func TestIntro_Answers(t *testing.T) {
	g := newRig(t)
	m := g.allocate()
	paul, mary := cardtest.New("paul", 0), cardtest.New("mary", 0)
	g.intro("paul", introBody(mary, 1100, "pair_drop", 0)).want(t, 404)
	m.claim("paul", paul.Card("{}"), "").want(t, 201)
	good := introBody(mary, 1100, "pair_drop", 0)
	for body, status := range map[string]int{
		``: 400, `{`: 400, good + `x`: 400, `null`: 422, `{}`: 422, `{"event":1}`: 422, `{"event":{"event_id":"\ud800"}}`: 400,
		`{"event":{"pad":"` + strings.Repeat("x", 262_144) + `"}}`: 413,
		`{"event":{}}`:                               400,
		introBody(mary, 1, "pair_drop", 0):           400,
		introBody(mary, 1100, "other", 0):            400,
		strings.Replace(good, `1100`, `1100.0`, 1):   400,
		strings.Replace(good, `1100`, `"1100"`, 1):   400,
		strings.Replace(good, `"card"`, `"c"`, 1):    400,
		strings.Replace(good, `"body"`, `"b"`, 1):    400,
		strings.Replace(good, `"n":0`, `"n":1`, 1):   400, // the id is not that of the event
		strings.Replace(good, mary.DID, paul.DID, 1): 400, // another's
		introOf(mary, paul):                          400, // signed by one, with the card of another
	} {
		if r := g.intro("paul", body); r.status != status {
			t.Errorf("%.90s: %d %.200s, want %d", body, r.status, r.body, status)
		}
	}
	if r := g.intro("paul", introBody(mary, 7, "pair_drop", 0)); r.field(t, "got_kind") != 7.0 || r.field(t, "got_type") != "pair_drop" {
		t.Error(r.body)
	}
	if r := g.intro("paul", `{"event":{"kind":[1],"type":"`+strings.Repeat("x", 100)+`"}}`); r.field(t, "got_kind") != nil || r.field(t, "got_type") != nil {
		t.Error(r.body)
	}
	g.call("POST", "/v1/handle/intro/paul", "", good, "Content-Type", "text/plain").want(t, 415)
	g.call("GET", "/v1/handle/intro/paul", "", nil).want(t, 405)
	if n := g.store.Stats().Events.Load(); n != 0 {
		t.Fatalf("%d events of refused introductions are stored", n)
	}

	r := g.intro("paul", good)
	r.want(t, 201)
	if r.field(t, "status") != "dropped" || r.field(t, "to_nick") != "paul" || !strings.Contains(good, `"`+r.field(t, "event_id").(string)+`"`) {
		t.Error(r.body)
	}
	r = g.intro("paul", good)
	r.want(t, 200)
	if r.field(t, "status") != "duplicate" {
		t.Error(r.body)
	}
	g.intro("paul", introBody(mary, 1100, "agent_card", 1)).want(t, 201)
	if n := g.store.Stats().Events.Load(); n != 2 {
		t.Errorf("%d events, want 2", n)
	}
	if r := g.call("GET", "/v1/events/"+m.id, m.token, nil); !strings.Contains(r.body, mary.DID) {
		t.Errorf("the introduction is not in the mailbox: %s", r.body)
	}
	// The slot of a nick may be gone.
	g.call("DELETE", "/v1/slot/"+m.id, m.owner, nil).want(t, 204)
	g.intro("paul", introBody(mary, 1100, "pair_drop", 3)).want(t, 404)
}

// introOf is signed by one agent and carries the card of another.
func introOf(by, card cardtest.Agent) string {
	return fmt.Sprintf(`{"event":%s}`, by.Event(1100, "pair_drop", fmt.Sprintf(`{"card":%s}`, canonicalCard(card))))
}

// From one DID a nick takes five. What is there already counts nothing, and can be
// sent again also beyond the limit.
func TestIntro_LimitOfADID(t *testing.T) {
	t.Parallel()
	g := newRig(t)
	m := g.allocate()
	m.claim("paul", cardtest.New("paul", 0).Card("{}"), "").want(t, 201)
	m.claim("bob", cardtest.New("bob", 0).Card("{}"), "").want(t, 201)
	mary, john := cardtest.New("mary", 0), cardtest.New("john", 0)
	for n := range 5 {
		g.intro("paul", introBody(mary, 1100, "pair_drop", n)).want(t, 201)
		for range 10 {
			g.intro("paul", introBody(mary, 1100, "pair_drop", n)).want(t, 200)
		}
		g.intro("paul", introBody(mary, 1, "pair_drop", n)).want(t, 400)
	}
	r := g.intro("paul", introBody(mary, 1100, "pair_drop", 5))
	r.want(t, 429)
	g.refused("intros", 1)
	if wait := r.header.Get("Retry-After"); wait == "" || wait == "0" {
		t.Errorf("Retry-After is %q", wait)
	}
	g.intro("paul", introBody(mary, 1100, "pair_drop", 4)).want(t, 200)
	g.intro("bob", introBody(mary, 1100, "pair_drop", 5)).want(t, 201)  // another nick
	g.intro("paul", introBody(john, 1100, "pair_drop", 5)).want(t, 201) // another agent
}

// Many at once do not pass a limit of five together.
func TestIntro_LimitAtOnce(t *testing.T) {
	t.Parallel()
	g := newRig(t)
	m := g.allocate()
	m.claim("paul", cardtest.New("paul", 0).Card("{}"), "").want(t, 201)
	mary := cardtest.New("mary", 0)
	var mu sync.Mutex
	got := map[int]int{}
	var wg sync.WaitGroup
	for n := range 40 {
		wg.Go(func() {
			r, err := g.tryCall("POST", "/v1/handle/intro/paul", "", introBody(mary, 1100, "pair_drop", n))
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				t.Error(err)
			}
			got[r.status]++
		})
	}
	wg.Wait()
	if got[201] != 5 || got[429] != 35 {
		t.Errorf("statuses %v, want 5 times 201 and 35 times 429", got)
	}
}

// Junk from one address fills what that address has at a nick. Others still come
// through: those of other addresses, and, since junk counts for nobody else, the
// agents whose DIDs stand in it.
func TestIntro_JunkOfOneSource(t *testing.T) {
	g := newRig(t, func(o *rigOptions) {
		o.relay.TrustedProxies = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}
	})
	from := func(addr string) []string { return []string{"X-Forwarded-For", addr} }
	r := g.call("POST", "/v1/slot/allocate", "", "{}", from("192.0.2.9")...)
	r.want(t, 201)
	m := mailbox{rig: g, id: r.field(t, "slot_id").(string), token: r.field(t, "slot_token").(string)}
	m.claim("paul", cardtest.New("paul", 0).Card("{}"), "").want(t, 201)
	for n := range 5 {
		g.intro("paul", introBody(cardtest.New("junk", n), 1100, "pair_drop", n), from("192.0.2.1")...).want(t, 201)
	}
	mary := cardtest.New("mary", 0)
	for n := range 12 {
		g.intro("paul", introBody(mary, 1100, "pair_drop", n), from("192.0.2.1")...).want(t, 429)
	}
	g.intro("paul", introBody(mary, 1100, "pair_drop", 0), from("192.0.2.2")...).want(t, 201)
	for n := range 4 {
		g.intro("paul", introBody(mary, 1100, "pair_drop", 1+n), from(fmt.Sprintf("2001:db8:%d::1", n))...).want(t, 201)
	}
}

// A stream hears introductions like any other event.
func TestIntro_WakesStreams(t *testing.T) {
	g := newRig(t)
	m := g.allocate()
	m.claim("paul", cardtest.New("paul", 0).Card("{}"), "").want(t, 201)
	got := make(chan string, 1)
	go func() {
		r, err := g.tryCall("GET", "/v1/events/"+m.id+"?wait=20", m.token, nil)
		if err != nil {
			t.Error(err)
		}
		got <- r.body
	}()
	g.eventually("the long poll waits", func() bool { return g.store.Stats().Subscribers.Load() == 1 })
	mary := cardtest.New("mary", 0)
	g.intro("paul", introBody(mary, 1100, "pair_drop", 0)).want(t, 201)
	if body := <-got; !strings.Contains(body, mary.DID) {
		t.Errorf("the long poll got %s", body)
	}
}
