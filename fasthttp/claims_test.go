package fasthttp

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"cowrelay/cow"
	"cowrelay/cow/card"
	"cowrelay/cow/card/cardtest"
)

// claim is the body of a claim; members, which begin with a comma, are added.
func (m mailbox) claimBody(nick string, doc []byte, members string) string {
	return fmt.Sprintf(`{"nick":%q,"slot_id":%q,"card":%s%s}`, nick, m.id, doc, members)
}

func (m mailbox) claim(nick string, doc []byte, members string) reply {
	m.Helper()
	return m.call("POST", "/v1/handle/claim", m.token, m.claimBody(nick, doc, members))
}

// Every row of the contract, each fault alone and in the order in which they win
// over each other.
func TestClaim_AnswersInOrder(t *testing.T) {
	g := newRig(t)
	m, other := g.allocate(), g.allocate()
	a := cardtest.New("paul", 0)
	good := m.claimBody("paul", a.Card("{}"), "")
	claim := func(token, body string, headers ...string) reply {
		return g.call("POST", "/v1/handle/claim", token, body, headers...)
	}
	claim("", "{", "Content-Type", "text/plain").want(t, 401) // before the body and its type
	claim("", good, "Authorization", "Bearer ").want(t, 401)
	claim(m.token, good, "Content-Type", "text/plain").want(t, 415)
	claim(m.token, good, "Content-Type", "").want(t, 415)
	big := `{"pad":"` + strings.Repeat("x", 70<<10) + `"}`
	for body, status := range map[string]int{
		``: 400, `{`: 400, good + `x`: 400, `{"nick":"\ud800"}`: 400, `{"x":1e999}`: 400, // whatever the slot is
		`null`: 422, `[]`: 422, `{}`: 422,
		strings.Replace(good, `"paul"`, `1`, 1):                        422,
		strings.Replace(good, `"slot_id"`, `"s"`, 1):                   422,
		strings.Replace(good, `"card"`, `"c"`, 1):                      422,
		m.claimBody("paul", a.Card("{}"), `,"relay_url":1`):            422,
		m.claimBody("paul", a.Card("{}"), `,"discoverable":"no"`):      422,
		mailbox{id: noSlot}.claimBody("Bad", a.Card(big), ""):          413, // before the slot and the nick
		good[:len(good)-1] + strings.Repeat(" ", 128<<10) + "}":        413,
		mailbox{id: noSlot}.claimBody("Bad nick", []byte(`1`), ""):     404,
		mailbox{id: "nope"}.claimBody("Bad nick", []byte(`1`), ""):     404,
		other.claimBody("Bad nick", []byte(`1`), ``):                   403,
		m.claimBody("Bad nick", []byte(`1`), `,"relay_url":"ftp://x"`): 400,
		m.claimBody("paul", []byte(`1`), `,"relay_url":"ftp://x"`):     400,
		m.claimBody("paul", []byte(`1`), ``):                           400,
		m.claimBody("bob", a.Card("{}"), ``):                           400,
	} {
		r := claim(m.token, body)
		if r.status != status {
			t.Errorf("%.90s: %d %.200s, want %d", body, r.status, r.body, status)
		}
	}
	if r := claim(m.token, m.claimBody("paul", a.Card(big), "")); r.status != 413 || r.field(t, "max_bytes") != 65536.0 {
		t.Errorf("a large card: %s", r.body)
	}
	// The members of errors say which of the faults won.
	if r := claim(m.token, m.claimBody("Bad nick", []byte(`1`), `,"relay_url":"ftp://x"`)); r.field(t, "nick") != "Bad nick" {
		t.Error(r.body)
	}
	if r := claim(m.token, m.claimBody("paul", []byte(`1`), `,"relay_url":"ftp://x"`)); r.field(t, "relay_url") != "ftp://x" {
		t.Error(r.body)
	}
	if r := claim(m.token, m.claimBody("bob", a.Card("{}"), ``)); r.field(t, "nick") != "bob" || r.field(t, "expected") != "paul" {
		t.Error(r.body)
	}
	if n := g.desk.Handles.Len(); n != 0 {
		t.Errorf("%d nicks are claimed", n)
	}
	// What is right.
	r := claim(m.token, good).want(t, 201)
	if r.body != fmt.Sprintf(`{"nick":"paul","did":%q,"status":"claimed"}`, a.DID) {
		t.Error(r.body)
	}
	if r := claim(m.token, good).want(t, 201); r.field(t, "status") != "re-claimed" {
		t.Error(r.body)
	}
	b := cardtest.New("paul", 1)
	if r := other.claim("paul", b.Card("{}"), "").want(t, 409); r.field(t, "claimed_by") != a.DID || r.field(t, "nick") != "paul" {
		t.Error(r.body)
	}
	id, _ := cow.ParseID(m.id)
	if err := g.store.Block(g.store.Slot(id), nil); err != nil {
		t.Fatal(err)
	}
	if r := claim(m.token, good).want(t, 403); r.field(t, "blocked") != true {
		t.Error(r.body)
	}
}

// whois returns what is said of a nick.
func (g *rig) whois(nick string) map[string]any {
	g.Helper()
	var m map[string]any
	if err := json.Unmarshal([]byte(g.call("GET", "/.well-known/wire/agent?handle="+nick, "", nil).want(g, 200).body), &m); err != nil {
		g.Fatal(err)
	}
	return m
}

// What is not said again stays, and a card comes back byte for byte.
func TestClaim_KeepsWhatIsNotSaid(t *testing.T) {
	g := newRig(t)
	m := g.allocate()
	a := cardtest.New("paul", 0)
	odd := a.CardAs(`{ "motto" : "\u00e9\/", "now":1.50, "now":{"b":2,"a":1} }`, `{"motto":"é/","now":{"a":1,"b":2}}`)
	listed := func(want bool) {
		t.Helper()
		if got := strings.Contains(g.call("GET", "/v1/handles", "", nil).want(t, 200).body, a.DID); got != want {
			t.Errorf("listed: %v", got)
		}
	}
	m.claim("paul", odd, `,"relay_url":"https://relay.example:8443/"`).want(t, 201)
	r := g.call("GET", "/.well-known/wire/agent?handle=paul", "", nil).want(t, 200)
	if !strings.Contains(r.body, `"card":`+string(odd)+`,`) || !strings.Contains(r.body, `"relay_url":"https://relay.example:8443",`) {
		t.Error(r.body)
	}
	if at, err := time.Parse("2006-01-02T15:04:05Z", g.whois("paul")["claimed_at"].(string)); err != nil || time.Since(at).Abs() > time.Minute {
		t.Error(at, err)
	}
	listed(true)
	m.claim("paul", odd, `,"discoverable":false,"relay_url":null`).want(t, 201)
	listed(false)
	m.claim("paul", odd, `,"discoverable":null,"relay_url":""`).want(t, 201)
	listed(false)
	if got := g.whois("paul")["relay_url"]; got != "https://relay.example:8443" {
		t.Error(got)
	}
	g.restart()
	listed(false)
	m.claim("paul", a.Card(`{"motto":"new"}`), `,"discoverable":true,"relay_url":"http://[::1]"`).want(t, 201)
	listed(true)
	if w := g.whois("paul@anywhere"); w["relay_url"] != "http://[::1]" || w["slot_id"] != m.id || w["did"] != a.DID || w["nick"] != "paul" {
		t.Error(w)
	}
	if body := g.call("GET", "/v1/handles", "", nil).body; !strings.Contains(body, `"motto":"new"`) {
		t.Error(body)
	}
	m.claim("paul", a.Card(`{"listed":false}`), "").want(t, 201)
	listed(false)
	if w := g.whois("paul"); w["relay_url"] != "http://[::1]" { // to be found all the same
		t.Error(w)
	}
}

func TestWhois_Refusals(t *testing.T) {
	g := newRig(t)
	for _, path := range []string{"/.well-known/wire/agent", "/.well-known/agent-card.json"} {
		for query, status := range map[string]int{
			"": 400, "?handle=": 400, "?handle=@x": 400, "?handle=a&handle=b": 400, "?handle=nobody": 404, "?handle=No%20body@x": 404,
			"?handle=" + strings.Repeat("x", 4000): 404,
		} {
			g.call("GET", path+query, "", nil).want(t, status)
		}
		g.call("POST", path, "", "{}").want(t, 405)
	}
}

func TestAgentCard(t *testing.T) {
	g := newRig(t)
	m := g.allocate()
	a := cardtest.New("paul", 0)
	m.claim("paul", a.Card(`{"display_name":"Paul \"P\"","motto":"hi"}`), `,"relay_url":"https://relay.example"`).want(t, 201)
	b := cardtest.New("mary", 0)
	m.claim("mary", b.CardAs(`{"now":1,"now":2}`, `{"now":2}`), ``).want(t, 201)
	get := func(nick string) (c struct {
		ID, Name, Description, Version, Endpoint, Signature string
		Provider                                            struct{ Name, URL string }
		Capabilities                                        map[string]bool
		SecuritySchemes                                     map[string]map[string]string
		Security                                            []map[string][]string
		Skills                                              []any
		Extensions                                          []struct {
			URI      string
			Required *bool
			Params   struct {
				DID, Handle string
				Slot        string  `json:"slot_id"`
				RelayURL    *string `json:"relay_url"`
				Card        json.RawMessage
				Profile     map[string]any
				Claimed     string `json:"claimed_at"`
			}
		}
	}) {
		if err := json.Unmarshal([]byte(g.call("GET", "/.well-known/agent-card.json?handle="+nick, "", nil).want(t, 200).body), &c); err != nil {
			t.Fatal(err)
		}
		return c
	}
	c := get("paul@relay.example")
	p := c.Extensions[0].Params
	if c.ID != a.DID || c.Name != `Paul "P"` || c.Description != "hi" || c.Version != "wire/0.5" || c.Endpoint != "https://relay.example/v1/handle/intro/paul" ||
		c.Provider.Name != "wire" || c.Provider.URL == "" || c.Skills == nil || len(c.Skills) > 0 || c.Signature == "" {
		t.Errorf("%+v", c)
	}
	if c.Capabilities["streaming"] || c.Capabilities["pushNotifications"] || !c.Capabilities["extendedAgentCard"] || len(c.Capabilities) != 3 {
		t.Errorf("%+v", c.Capabilities)
	}
	if s := c.SecuritySchemes["ed25519-event-sig"]; s["type"] != "signature" || s["alg"] != "EdDSA" || c.Security[0]["ed25519-event-sig"] == nil {
		t.Errorf("%+v %+v", s, c.Security)
	}
	if c.Extensions[0].URI != "https://slancha.ai/wire/ext/v0.5" || c.Extensions[0].Required == nil || *c.Extensions[0].Required {
		t.Errorf("%+v", c.Extensions)
	}
	if p.DID != a.DID || p.Handle != "paul" || p.Slot != m.id || *p.RelayURL != "https://relay.example" || p.Profile["motto"] != "hi" || p.Claimed == "" {
		t.Errorf("%+v", p)
	}
	if _, err := card.Verify(p.Card); err != nil {
		t.Error(err)
	}
	c = get("mary")
	if c.Name != "mary" || c.Description != "" || c.Endpoint != "/v1/handle/intro/mary" || c.Extensions[0].Params.RelayURL != nil {
		t.Errorf("%+v", c)
	}
	if _, err := card.Verify(c.Extensions[0].Params.Card); err != nil {
		t.Error(err)
	}
}

func TestUnclaim_AnswersInOrder(t *testing.T) {
	g := newRig(t)
	m, other := g.allocate(), g.allocate()
	a := cardtest.New("paul", 0)
	m.claim("paul", a.Card("{}"), "").want(t, 201)
	drop := func(nick, token string) reply { return g.call("DELETE", "/v1/handle/claim/"+nick, token, nil) }
	drop("No", "").want(t, 400)
	drop("admin", m.token).want(t, 400)
	drop("paul/x", m.token).want(t, 400)
	drop("mary", "").want(t, 404)
	drop("paul", "").want(t, 401)
	drop("paul", other.token).want(t, 403)
	if r := drop("paul", m.token).want(t, 200); r.body != `{"nick":"paul","status":"unclaimed"}` {
		t.Error(r.body)
	}
	drop("paul", m.token).want(t, 404)
	g.restart()
	drop("paul", m.token).want(t, 404)
	// The slot is gone: its bearer is nobody's, and the agent may claim with another.
	m.claim("paul", a.Card("{}"), "").want(t, 201)
	g.call("DELETE", "/v1/slot/"+m.id, m.owner, nil).want(t, 204)
	drop("paul", m.token).want(t, 404)
	if r := other.claim("paul", a.Card("{}"), "").want(t, 201); r.field(t, "status") != "re-claimed" {
		t.Error(r.body)
	}
	g.call("GET", "/v1/handle/claim/paul", "", nil).want(t, 405)
	g.call("GET", "/v1/handle/claim", "", nil).want(t, 405)
	g.call("DELETE", "/v1/handle/claim/", other.token, nil).want(t, 404)
}

// A card is public: who sends it again can't have the agent's mail.
func TestClaim_ReplayedCardMovesNothing(t *testing.T) {
	var now = time.Now()
	var mu sync.Mutex
	g := newRig(t, func(o *rigOptions) {
		o.desk.Now = func() time.Time { mu.Lock(); defer mu.Unlock(); return now }
	})
	m, thief := g.allocate(), g.allocate()
	a := cardtest.New("paul", 0)
	m.claim("paul", a.Card("{}"), "").want(t, 201)
	if r := thief.claim("paul", a.Card("{}"), "").want(t, 409); r.field(t, "claimed_by") != a.DID {
		t.Error(r.body)
	}
	if g.whois("paul")["slot_id"] != m.id {
		t.Error("the nick has moved")
	}
	// Who reads keeps it, however long ago the claim was.
	mu.Lock()
	now = now.Add(23*time.Hour + 59*time.Minute)
	mu.Unlock()
	m.call("GET", "/v1/events/"+m.id, m.token, nil).want(t, 200)
	thief.claim("paul", a.Card("{}"), "").want(t, 409)
	// Nobody has read for long enough.
	mu.Lock()
	now = now.Add(2 * time.Minute)
	mu.Unlock()
	thief.claim("paul", a.Card("{}"), "").want(t, 201)
	if s := &g.desk.Handles.Stats; s.Moves.Load() != 1 || s.Kept.Load() != 2 || s.First.Load() != 1 || s.Again.Load() != 1 {
		t.Errorf("%d moves, %d kept", s.Moves.Load(), s.Kept.Load())
	}
}

// The directory goes page by page, each handle once, in the order of nicks.
func TestHandles_Pages(t *testing.T) {
	g := newRig(t)
	m := g.allocate()
	if r := g.call("GET", "/v1/handles", "", nil).want(t, 200); r.body != `{"handles":[],"next_cursor":null}` {
		t.Error(r.body)
	}
	for i := range 30 {
		a := cardtest.New(fmt.Sprintf("agent%02d", i), 0)
		m.claim(a.Nick, a.Card(fmt.Sprintf(`{"emoji":"E","listed":true,"now":null,"vibe":["Calm","v%d"]}`, i%3)), "").want(t, 201)
	}
	for _, nick := range []string{"demo-x", "test-x", "demon", "testy"} {
		m.claim(nick, cardtest.New(nick, 0).Card(`{"vibe":"calm"}`), "").want(t, 201)
	}
	type page struct {
		Handles []struct {
			Nick, DID string
			Profile   map[string]any
			Claimed   string `json:"claimed_at"`
		}
		Next *string `json:"next_cursor"`
	}
	get := func(query string) (p page) {
		t.Helper()
		if err := json.Unmarshal([]byte(g.call("GET", "/v1/handles"+query, "", nil).want(t, 200).body), &p); err != nil {
			t.Fatal(err)
		}
		return p
	}
	walk := func(query string) (nicks []string, pages int) {
		t.Helper()
		for cursor := ""; ; {
			p := get(query + "&cursor=" + cursor)
			for _, h := range p.Handles {
				nicks = append(nicks, h.Nick)
			}
			pages++
			if p.Next == nil {
				return nicks, pages
			}
			cursor = *p.Next
		}
	}
	for query, want := range map[string]struct{ nicks, pages int }{
		"?limit=7": {32, 5}, "?limit=8": {32, 4}, "?limit=32": {32, 1}, "?limit=0": {32, 32}, "?limit=-4": {32, 32}, "?x=1": {32, 1},
		"?limit=99999999999999999999": {32, 1}, "?limit=7&vibe=CALM": {32, 5}, "?limit=4&vibe=V1": {10, 3}, "?limit=4&vibe=nothing": {0, 1},
	} {
		nicks, pages := walk(query)
		if len(nicks) != want.nicks || pages != want.pages {
			t.Errorf("%s: %d nicks on %d pages, want %v", query, len(nicks), pages, want)
		}
		for i := range nicks[:max(len(nicks)-1, 0)] {
			if nicks[i] >= nicks[i+1] {
				t.Errorf("%s: %s before %s", query, nicks[i], nicks[i+1])
			}
		}
	}
	p := get("?limit=1&cursor=agent00")
	if h := p.Handles[0]; h.Nick != "agent01" || h.DID != cardtest.New("agent01", 0).DID || h.Profile["emoji"] != "E" || h.Profile["motto"] != nil ||
		len(h.Profile) != 5 || h.Claimed == "" || *p.Next != "agent01" {
		t.Errorf("%+v", p)
	}
	if h := get("?cursor=agent29").Handles[0]; h.Nick != "demon" || h.Profile["emoji"] != card.Emoji(cardtest.New("demon", 0).DID) {
		t.Errorf("%+v", h)
	}
	for _, query := range []string{"?limit=", "?limit=x", "?limit=1.5", "?limit=1&limit=2", "?cursor=a&cursor=b", "?vibe=a&vibe=b"} {
		g.call("GET", "/v1/handles"+query, "", nil).want(t, 400)
	}
	if r := g.call("HEAD", "/v1/handles", "", nil).want(t, 200); r.header.Get("Content-Length") == "0" {
		t.Error("HEAD has no length")
	}
}

// One source has a quarter, also behind a proxy on this machine; those that are on
// this machine have what is there.
func TestClaim_Shares(t *testing.T) {
	g := newRig(t, func(o *rigOptions) {
		o.desk.MaxHandles = 8
		o.relay.TrustedProxies = []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32")}
	})
	m := g.allocate()
	from := func(addr, nick string, status int) {
		t.Helper()
		r := m.call("POST", "/v1/handle/claim", m.token, m.claimBody(nick, cardtest.New(nick, 0).Card("{}"), ""), "X-Forwarded-For", addr).want(t, status)
		if again := r.header.Get("Retry-After") != ""; again != (status == 503) {
			t.Errorf("Retry-After: %v", again)
		}
	}
	from("192.0.2.1", "a1", 201)
	from("192.0.2.1", "a2", 201)
	from("192.0.2.1", "a3", 503)
	from("192.0.2.1", "a1", 201) // again
	from("192.0.2.2", "b1", 201)
	g.restart()
	from("192.0.2.1", "a3", 503)
	g.call("DELETE", "/v1/handle/claim/a1", m.token, nil).want(t, 200)
	from("192.0.2.1", "a3", 201)
	from("2001:db8::1", "c1", 201)
	from("2001:db8::2", "c2", 201)
	from("2001:db8::3", "c3", 503) // the same /64
	from("192.0.2.2", "b2", 201)
	from("192.0.2.3", "d1", 201)
	from("192.0.2.3", "e1", 201)
	from("192.0.2.4", "f1", 503) // all are given
	g.refused("handle_share", 2)
	g.refused("handles", 1)
	from("192.0.2.4", "d1", 201)
}

// Of two agents that claim a nick at once exactly one has it.
func TestClaim_OneOfTwoWins(t *testing.T) {
	t.Parallel()
	g := newRig(t)
	boxes := []mailbox{g.allocate(), g.allocate()}
	rounds := 1000
	if testing.Short() {
		rounds = 50
	}
	for i := range rounds {
		nick := fmt.Sprint("agent", i)
		var got [2]reply
		var wg sync.WaitGroup
		for j, m := range boxes {
			wg.Go(func() {
				got[j], _ = m.tryCall("POST", "/v1/handle/claim", m.token, m.claimBody(nick, cardtest.New(nick, j).Card("{}"), ""))
			})
		}
		wg.Wait()
		won := 0
		if got[1].status == 201 {
			won = 1
		}
		did := cardtest.New(nick, won).DID
		if got[won].status != 201 || got[1-won].status != 409 || got[1-won].field(t, "claimed_by") != did || g.whois(nick)["did"] != did {
			t.Fatalf("%s: %+v", nick, got)
		}
	}
	if n := g.desk.Handles.Len(); n != rounds {
		t.Errorf("%d handles", n)
	}
}
