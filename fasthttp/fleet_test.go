package fasthttp

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"cowrelay/cow"
	"cowrelay/cow/card/cardtest"
	"cowrelay/cow/journaltest"
)

// sister is a relay of a fleet.
type sister struct {
	*rig
	m *journaltest.Member
}

// newFleet returns relays that share a log.
func newFleet(t testing.TB, n int, edit ...func(*rigOptions)) (list []*sister) {
	t.Helper()
	log := journaltest.NewFleet()
	for range n {
		m := new(journaltest.Member)
		g := newRig(t, append(edit, logged, func(o *rigOptions) {
			patience := time.Minute
			if o.store.QueueTimeout != 0 {
				patience = o.store.QueueTimeout
			}
			m = log.Join(patience)
			o.member = m
		})...)
		list = append(list, &sister{g, m})
	}
	return list
}

// at is the mailbox as another relay serves it.
func (m mailbox) at(s *sister) mailbox {
	m.rig = s.rig
	return m
}

// behind has act done while the relay applies nothing, and asks it then. The answer
// must wait until the relay goes on.
func (s *sister) behind(act func(), ask func() reply) reply {
	s.Helper()
	release := s.m.HoldBack()
	defer release()
	act()
	got := make(chan reply, 1)
	go func() { got <- ask() }()
	select {
	case r := <-got:
		s.Errorf("answered %d %s before the relay knows", r.status, r.body)
		return r
	case <-time.After(30 * time.Millisecond):
	}
	release()
	return <-got
}

// try is call for other goroutines than the test's.
func (s *sister) try(method, path, token string, body any, headers ...string) reply {
	r, err := s.tryCall(method, path, token, body, headers...)
	if err != nil {
		s.Errorf("%s %s: %v", method, path, err)
	}
	return r
}

// A relay that has not yet heard of something says that it is there.
func TestFleet_NegativesWait(t *testing.T) {
	s := newFleet(t, 2)
	a, b := s[0], s[1]
	var m mailbox
	b.behind(func() { m = a.allocate() }, func() reply { return b.try("GET", "/v1/slot/"+m.id+"/state", m.token, nil) }).want(t, 200)
	there := m.at(b)
	b.behind(func() { m.fill(3) }, func() reply { return b.try("GET", "/v1/events/"+m.id+"?since=e1", m.token, nil) }).want(t, 200)
	if got := there.pull("?since=e1"); len(got) != 1 || got[0] != eventN(2) {
		t.Errorf("a pull got %v", got)
	}
	r := b.behind(func() { m.post(eventN(3)).want(t, 201) }, func() reply { return b.try("GET", "/v1/events/"+m.id+"?from=4", m.token, nil) }).want(t, 200)
	if r.body != "[]" || r.header.Get("Relay-Next") != "4" {
		t.Errorf("a pull from the end got %s, next %s", r.body, r.header.Get("Relay-Next"))
	}
	r = b.behind(func() { m.post(eventN(4)).want(t, 201) }, func() reply { return b.try("GET", "/v1/events/"+m.id+"?from=4&consistent=1", m.token, nil) }).want(t, 200)
	if r.body != "["+eventN(4)+"]" {
		t.Errorf("a consistent pull got %s", r.body)
	}
	b.call("GET", "/v1/events/"+m.id+"?since=nobody", m.token, nil).want(t, 200)
	b.call("GET", "/v1/events/"+noSlot, m.token, nil).want(t, 404)
	b.call("GET", "/v1/events/"+m.id, m.owner+"0", nil).want(t, 403)

	fresh := ""
	b.behind(func() {
		fresh = a.call("POST", "/v1/slot/"+m.id+"/tokens/rotate", m.owner, nil).want(t, 201).field(t, "slot_token").(string)
		a.tokens.add(fresh)
	}, func() reply { return b.try("POST", "/v1/events/"+m.id, fresh, `{"event":`+eventN(5)+`}`) }).want(t, 201)
	b.call("GET", "/v1/events/"+m.id, m.token, nil).want(t, 403)
	m.token, there.token = fresh, fresh
	id := ""
	b.behind(func() {
		id = a.call("POST", "/v1/slot/"+m.id+"/tokens", m.owner, `{"may":["read"]}`).want(t, 201).field(t, "token_id").(string)
	}, func() reply { return b.try("DELETE", "/v1/slot/"+m.id+"/tokens/"+id, m.owner, nil) }).want(t, 204)
	b.call("DELETE", "/v1/slot/"+m.id+"/tokens/"+id, m.owner, nil).want(t, 404)

	paul := cardtest.New("paul", 0)
	b.behind(func() { m.claim("paul", paul.Card("{}"), "").want(t, 201) }, func() reply { return b.try("GET", "/.well-known/wire/agent?handle=paul", "", nil) }).want(t, 200)
	b.call("GET", "/.well-known/wire/agent?handle=nobody", "", nil).want(t, 404)
	mary := cardtest.New("mary", 0)
	var n mailbox
	b.behind(func() { n = a.allocate(); n.claim("mary", mary.Card("{}"), "").want(t, 201) }, func() reply {
		return b.try("POST", "/v1/handle/intro/mary", "", introBody(paul, 1100, "pair_drop", 0))
	}).want(t, 201)
	b.behind(func() { a.call("DELETE", "/v1/handle/claim/paul", m.token, nil).want(t, 200) }, func() reply {
		return b.try("POST", "/v1/handle/claim", n.token, n.claimBody("paul", cardtest.New("paul", 1).Card("{}"), ""))
	}).want(t, 201)
	b.call("POST", "/v1/handle/claim", m.token, m.claimBody("paul", paul.Card("{}"), "")).want(t, 409)

	invite := ""
	b.behind(func() { invite = a.register("wire://pair?x", `,"uses":1`); b.tokens.add(invite) }, func() reply { return b.try("GET", "/i/"+invite, "", nil) }).want(t, 200)
	a.call("GET", "/i/"+invite, "", nil).want(t, 410)
	b.call("GET", "/i/0123456789abcdef?format=url", "", nil).want(t, 404)

	pair := ""
	b.behind(func() { pair = a.pair("code", "from the host", "host"); b.tokens.add(pair) }, func() reply { return b.try("GET", "/v1/pair/"+pair+"?as_role=guest", "", nil) }).want(t, 200)
	b.behind(func() { a.call("POST", "/v1/pair/abandon", "", `{"code_hash":"code"}`).want(t, 204) }, func() reply {
		return b.try("POST", "/v1/pair", "", pairBody("code", "another host", "host"))
	}).want(t, 201)
	b.behind(func() { a.pair("other", "x", "host") }, func() reply { return b.try("POST", "/v1/pair/abandon", "", `{"code_hash":"other"}`) }).want(t, 204)
	a.eventually("the pair is gone", func() bool { return a.desk.Pairs.Len() == 1 && b.desk.Pairs.Len() == 1 })
	b.call("POST", "/v1/pair/abandon", "", `{"code_hash":"nobody's"}`).want(t, 204)
}

// A stream that moves to another relay repeats nothing and misses nothing, also if that
// one is behind.
func TestFleet_StreamMoves(t *testing.T) {
	for name, form := range map[string][2]string{"ids": {"", "Last-Event-ID: e5"}, "positions": {"?ids=position", "Last-Event-ID: 5"}} {
		t.Run(name, func(t *testing.T) {
			s := newFleet(t, 2)
			a, b := s[0], s[1]
			m := a.allocate()
			m.post(eventN(0)).want(t, 201)
			b.eventually("the slot is there", func() bool {
				r, err := b.tryCall("GET", "/v1/slot/"+m.id+"/state", m.token, nil)
				return err == nil && r.status == 200
			})
			release := b.m.HoldBack()
			for i := 1; i < 9; i++ {
				m.post(eventN(i)).want(t, 201)
			}
			time.AfterFunc(30*time.Millisecond, release)
			st := m.at(b).stream(form[0], form[1])
			defer st.close()
			for i := 6; i < 9; i++ {
				if f := st.next(); f.data != eventN(i) {
					t.Fatalf("event %d is %s", i, f.data)
				}
			}
			m.post(eventN(9)).want(t, 201)
			if f := st.next(); f.data != eventN(9) {
				t.Fatalf("the live event is %s", f.data)
			}
		})
	}
}

// A token that is revoked at one relay, and a slot that is blocked there, end streams at
// the others at once.
func TestFleet_StreamsEnd(t *testing.T) {
	s := newFleet(t, 2)
	a, b := s[0], s[1]
	m := a.allocate()
	id, _ := cow.ParseID(m.id)
	r := a.call("POST", "/v1/slot/"+m.id+"/tokens", m.owner, `{"may":["read"]}`).want(t, 201)
	reader := m.at(b)
	reader.token = r.field(t, "token").(string)
	b.tokens.add(reader.token)
	st := reader.stream("", "")
	began := time.Now()
	a.call("DELETE", "/v1/slot/"+m.id+"/tokens/"+r.field(t, "token_id").(string), m.owner, nil).want(t, 204)
	st.wantEnd()
	st = m.at(b).stream("", "")
	if err := a.store.Block(a.store.Slot(id), nil); err != nil {
		t.Fatal(err)
	}
	st.wantEnd()
	if took := time.Since(began); took > 20*time.Second {
		t.Errorf("they ended after %v", took)
	}
	b.call("GET", "/v1/events/"+m.id, m.token, nil).want(t, 403)
}

// Without the log a relay serves what it has and says how old that may be. It says of
// nothing that it is not there, and posts wait their patience.
func TestFleet_Away(t *testing.T) {
	t.Parallel()
	s := newFleet(t, 2, func(o *rigOptions) { o.store.QueueTimeout = 200 * time.Millisecond })
	a, b := s[0], s[1]
	m := b.allocate()
	m.fill(2)
	m.claim("paul", cardtest.New("paul", 0).Card("{}"), "").want(t, 201)
	if r := b.call("GET", "/readyz", "", nil).want(t, 200); r.body != "ok\n" {
		t.Errorf("ready: %q", r.body)
	}
	back := b.m.CutOff(7 * time.Second)
	stale := func(r reply) {
		t.Helper()
		if n, err := strconv.Atoi(r.want(t, 200).header.Get("Relay-Stale")); err != nil || n < 7 || n > 60 {
			t.Errorf("Relay-Stale is %d, %v", n, err)
		}
	}
	stale(b.call("GET", "/v1/events/"+m.id, m.token, nil))
	stale(b.call("HEAD", "/v1/events/"+m.id, m.token, nil))
	stale(b.call("GET", "/v1/handles", "", nil))
	stale(b.call("GET", "/.well-known/wire/agent?handle=paul", "", nil))
	stale(b.call("GET", "/.well-known/agent-card.json?handle=paul", "", nil))
	req, _ := http.NewRequest("HEAD", "http://"+b.addr+"/v1/events/"+m.id+"/stream", nil)
	req.Header.Set("Authorization", "Bearer "+m.token)
	if res, err := b.client.Do(req); err != nil {
		t.Error(err)
	} else {
		stale(reply{status: res.StatusCode, header: res.Header})
		res.Body.Close()
	}
	st, head := m.tryStream("?from=0", "")
	stale(head)
	st.want(0, 2)
	defer st.close()
	if r := b.call("GET", "/readyz", "", nil).want(t, 200); !strings.HasPrefix(r.body, "log away for ") {
		t.Errorf("ready: %q", r.body)
	}
	for what, r := range map[string]reply{
		"slot":       b.call("GET", "/v1/events/"+noSlot, m.token, nil),
		"token":      b.call("GET", "/v1/events/"+m.id, m.token+"0", nil),
		"since":      b.call("GET", "/v1/events/"+m.id+"?since=x", m.token, nil),
		"position":   b.call("GET", "/v1/events/"+m.id+"?from=99", m.token, nil),
		"stream":     b.call("GET", "/v1/events/"+m.id+"/stream?since=x", m.token, nil),
		"consistent": b.call("GET", "/v1/events/"+m.id+"?consistent=1", m.token, nil),
		"handle":     b.call("GET", "/.well-known/wire/agent?handle=nobody", "", nil),
		"intro":      b.call("POST", "/v1/handle/intro/nobody", "", `{"event":{}}`),
		"unclaim":    b.call("DELETE", "/v1/handle/claim/nobody", m.token, nil),
		"invite":     b.call("GET", "/i/0123456789abcdef", "", nil),
		"pair":       b.call("GET", "/v1/pair/"+noSlot+"?as_role=host", "", nil),
		"abandon":    b.call("POST", "/v1/pair/abandon", "", `{"code_hash":"x"}`),
		"open":       b.call("POST", "/v1/pair", "", pairBody("x", "y", "host")),
		"token id":   b.call("DELETE", "/v1/slot/"+m.id+"/tokens/0123456789abcdef", m.owner, nil),
		"post":       m.post(eventN(2)),
		"allocate":   b.call("POST", "/v1/slot/allocate", "", "{}"),
		"health":     b.call("POST", "/v1/slot/"+m.id+"/responder-health", m.token, `{"status":"up","set_at":"now"}`),
		"register":   b.call("POST", pathRegister, "", inviteBody(t, "wire://pair?x", "")),
	} {
		if r.status != 503 || r.header.Get("Retry-After") == "" {
			t.Errorf("%s: %d %s, Retry-After %q", what, r.status, r.body, r.header.Get("Retry-After"))
		}
	}
	back()
	b.eventually("the batch is stored", func() bool { return len(m.pull("")) == 3 })
	if f := st.next(); f.data != eventN(2) {
		t.Errorf("the stream got %s", f.data)
	}
	m.post(eventN(2)).want(t, 200)
	r := b.call("GET", "/v1/events/"+m.id+"?consistent=1", m.token, nil).want(t, 200)
	if r.header.Get("Relay-Stale") != "" {
		t.Error("the reply is said to be old")
	}
	if got := m.at(a).pull("?consistent=1"); len(got) != 3 {
		t.Errorf("the other relay has %v", got)
	}
	b.call("GET", "/v1/events/"+noSlot, m.token, nil).want(t, 404)
}

// consistent is 1 or 0, given once, and a relay that shares nothing takes it too.
func TestPull_Consistent(t *testing.T) {
	g := newRig(t)
	m := g.allocate()
	m.fill(1)
	for query, status := range map[string]int{
		"consistent=1": 200, "consistent=0": 200, "consistent=1&since=e0": 200, "consistent": 400, "consistent=": 400, "consistent=2": 400, "consistent=true": 400, "consistent=1&consistent=1": 400,
	} {
		g.call("GET", "/v1/events/"+m.id+"?"+query, m.token, nil).want(t, status)
	}
	st := m.stream("?consistent=7&from=0", "") // a stream passes over it
	defer st.close()
	st.want(0, 1)
}

// Two agents claim a nick at two relays at once: one gets it, the other 409.
func TestFleet_ClaimsCompete(t *testing.T) {
	s := newFleet(t, 2)
	var boxes []mailbox
	for _, x := range s {
		boxes = append(boxes, x.allocate())
	}
	for round := range 20 {
		nick := fmt.Sprintf("paul%d", round)
		var got [2]reply
		var both sync.WaitGroup
		for i, x := range s {
			body := boxes[i].claimBody(nick, cardtest.New(nick, i).Card("{}"), "")
			both.Go(func() { got[i] = x.try("POST", "/v1/handle/claim", boxes[i].token, body) })
		}
		both.Wait()
		if a, b := got[0].status, got[1].status; a+b != 201+409 {
			t.Fatalf("%s: %d and %d", nick, a, b)
		}
	}
	for _, x := range s {
		x.eventually("all nicks", func() bool { return x.desk.Handles.Len() == 20 })
		if n := x.store.Totals().HandleFirstClaims; n != 20 {
			t.Errorf("%d first claims", n)
		}
	}
}

// An invite is used at two relays at once, exactly as often as it may be.
func TestFleet_InviteUses(t *testing.T) {
	s := newFleet(t, 2, unlimited)
	token := s[0].register("wire://pair?x", `,"uses":7`)
	s[1].tokens.add(token)
	var used, gone atomic.Int64
	var all sync.WaitGroup
	for i := range 20 {
		all.Go(func() {
			switch r := s[i%2].try("GET", "/i/"+token, "", nil); r.status {
			case 200:
				used.Add(1)
			case 410:
				gone.Add(1)
			default:
				t.Errorf("%d %s", r.status, r.body)
			}
		})
	}
	all.Wait()
	if used.Load() != 7 || gone.Load() != 13 {
		t.Errorf("used %d times, gone %d times", used.Load(), gone.Load())
	}
}

// Host and guest talk to different relays.
func TestFleet_Pair(t *testing.T) {
	s := newFleet(t, 2)
	a, b := s[0], s[1]
	id := a.pair("c0de", "from the host", "host")
	if other := b.pair("c0de", "from the guest", "guest"); other != id {
		t.Fatalf("the ids are %s and %s", id, other)
	}
	b.call("POST", "/v1/pair", "", pairBody("c0de", "again", "host")).want(t, 409)
	a.call("POST", "/v1/pair/"+id+"/bootstrap", "", `{"role":"host","sealed":"`+strings.Repeat("h", 8000)+`"}`).want(t, 201)
	b.call("POST", "/v1/pair/"+id+"/bootstrap", "", `{"role":"guest","sealed":"g"}`).want(t, 201)
	a.eventually("the host sees it", func() bool {
		return a.call("GET", "/v1/pair/"+id+"?as_role=host", "", nil).want(t, 200).field(t, "peer_bootstrap") == "g"
	})
	a.look(id, "host", "from the guest", "g")
	b.look(id, "guest", "from the host", strings.Repeat("h", 8000))
	if a.desk.Pairs.Len() != 1 || b.desk.Pairs.Len() != 1 || a.store.Totals().PairOpens != 1 || b.store.Totals().PairOpens != 1 {
		t.Error("the pair is not counted once")
	}
	b.call("POST", "/v1/pair/abandon", "", `{"code_hash":"c0de"}`).want(t, 204)
	a.eventually("the pair is gone", func() bool { return a.desk.Pairs.Len() == 0 })
	a.call("GET", "/v1/pair/"+id+"?as_role=host", "", nil).want(t, 404)
}

// One client may have a quarter of the waits. Its next request is answered at once, and
// a client that leaves gives its place back.
func TestFleet_DoubtsAreBounded(t *testing.T) {
	s := newFleet(t, 1)
	g := s[0]
	m := g.allocate()
	release := g.m.HoldBack()
	defer release()
	var wires []*wire
	for range mostDoubts / 4 {
		w := g.dial()
		w.send("GET /v1/events/" + noSlot + " HTTP/1.1\nHost: x\nAuthorization: Bearer " + m.token + "\n\n")
		wires = append(wires, w)
	}
	g.eventually("all wait", func() bool { return g.relay.doubts.Used() == mostDoubts/4 })
	g.call("GET", "/v1/events/"+noSlot, m.token, nil).want(t, 503)
	g.call("GET", "/v1/events/"+m.id, m.token, nil).want(t, 200)
	if n := g.relay.doubtEnds[doubtFull].Load(); n != 1 {
		t.Errorf("%d requests were refused", n)
	}
	for _, w := range wires[1:] {
		w.Conn.Close()
	}
	g.eventually("the places are given back", func() bool { return g.relay.doubts.Used() == 1 })
	release()
	if r := wires[0].reply("GET"); r.status != 404 {
		t.Errorf("the one who stayed got %d", r.status)
	}
	if known, ended := g.relay.doubtEnds[doubtOver].Load(), g.relay.doubtEnds[doubtEnded].Load(); known != 1 || ended != mostDoubts/4-1 {
		t.Errorf("%d waits ended well, and %d else", known, ended)
	}
	wires[0].Conn.Close()
}

// A relay that has lost its log drains and closes in time.
func TestFleet_DrainWhileAway(t *testing.T) {
	s := newFleet(t, 1)
	g := s[0]
	m := g.allocate()
	g.m.CutOff(0)
	for _, path := range []string{"/v1/events/" + noSlot, "/v1/events/" + m.id + "?consistent=1"} {
		w := g.dial()
		defer w.Conn.Close()
		w.send("GET " + path + " HTTP/1.1\nHost: x\nAuthorization: Bearer " + m.token + "\n\n")
	}
	g.eventually("they wait", func() bool { return g.relay.doubts.Used() == 2 })
	began := time.Now()
	g.stop()
	if took := time.Since(began); took > 20*time.Second {
		t.Errorf("it took %v", took)
	}
}
