package fasthttp

import (
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"cowrelay/cow"
	"cowrelay/fasthttp/accept"
	"cowrelay/fasthttp/poll"
)

// dialFrom is dial from another address of loopback.
func (g *rig) dialFrom(from string) *wire {
	g.Helper()
	w := g.dial()
	w.Conn.Close()
	d := net.Dialer{LocalAddr: net.TCPAddrFromAddrPort(netip.AddrPortFrom(netip.MustParseAddr(from), 0))}
	c, err := d.Dial("tcp", g.addr)
	if err != nil {
		g.Fatal(err)
	}
	g.Cleanup(func() { c.Close() })
	c.SetDeadline(time.Now().Add(2 * time.Minute))
	w.Conn = c
	w.br.Reset(c)
	return w
}

// subscribers is how many streams and long polls the slot has.
func (m mailbox) subscribers() int {
	id, _ := cow.ParseID([]byte(m.id))
	return m.store.Slot(id).Subscribers()
}

// nothingWaits checks that long polls have left nothing behind.
func (g *rig) nothingWaits() {
	g.Helper()
	g.eventually("no long poll waits", func() bool { return g.relay.polls.Len() == 0 && g.store.Stats().Subscribers.Load() == 0 })
	g.noPlaces()
}

// A long poll whose client has left frees its place at once, however it left. One
// that only has nothing more to say gets its reply early.
func TestLongPoll_ClientThatLeft(t *testing.T) {
	for _, row := range []struct {
		how   string
		leave func(*net.TCPConn)
	}{
		{"closed", func(c *net.TCPConn) { c.Close() }},
		{"reset", func(c *net.TCPConn) { c.SetLinger(0); c.Close() }},
		{"half-closed", func(c *net.TCPConn) { c.CloseWrite() }},
		{"closed behind another request", func(c *net.TCPConn) {
			c.Write([]byte("GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"))
			c.Close()
		}},
	} {
		t.Run(row.how, func(t *testing.T) {
			t.Parallel()
			g := newRig(t)
			m := g.allocate()
			w := g.dial()
			waits := m.longPollOn(w, "?wait=25")
			g.eventually("the poll waits", func() bool { return g.relay.polls.Len() == 1 && m.subscribers() == 1 })
			row.leave(w.Conn.(*net.TCPConn))
			g.nothingWaits() // long before the poll's time is over
			if r := <-waits; row.how == "half-closed" && (r.status != 200 || r.body != "[]") {
				t.Errorf("a client that still reads got %d %q", r.status, r.body)
			}
			if n := g.relay.polls.Ended(poll.EndClient); n != 1 {
				t.Errorf("%d polls ended as their clients left, want 1", n)
			}
		})
	}
}

// Data is no hang-up: the request that a client sends behind a long poll waits
// until that is answered, and is answered next.
func TestLongPoll_RequestBehindIt(t *testing.T) {
	g := newRig(t)
	m := g.allocate()
	w := g.dial()
	ask := "GET /v1/events/" + m.id + "%s HTTP/1.1\nHost: x\nAuthorization: Bearer " + m.token + "\n\n"
	w.send(fmt.Sprintf(ask, "?wait=25"))
	g.eventually("the poll waits", func() bool { return g.relay.polls.Len() == 1 })
	w.send(fmt.Sprintf(ask, "?since=e0&wait=25"))
	g.relay.streams.Hangups().Sweep()
	time.Sleep(50 * time.Millisecond)
	if n := g.relay.polls.Len(); n != 1 {
		t.Fatalf("%d polls wait, want the first", n)
	}
	for i := range 2 {
		g.eventually("the poll waits", func() bool { return g.relay.polls.Len() == 1 })
		m.post(eventN(i)).want(t, 201)
		if r := w.reply("GET").want(t, 200); r.body != "["+eventN(i)+"]" {
			t.Errorf("poll %d got %s", i, r.body)
		}
	}
	g.nothingWaits()
	// The connection may wait again, and is watched anew.
	w.send(fmt.Sprintf(ask, "?since=e1&wait=25"))
	g.eventually("the poll waits", func() bool { return g.relay.polls.Len() == 1 })
	w.Conn.Close()
	g.nothingWaits()
}

// One client that opens long polls without an end has half of the places. Its
// oldest are answered at once; nobody is refused, and others wait as ever, from
// its address and from elsewhere.
func TestLongPoll_OneClientTakesAll(t *testing.T) {
	t.Parallel()
	g := newRig(t, func(o *rigOptions) { o.relay.MaxWaiters = 64 })
	greedy, honest := g.allocate(), g.allocate()
	const asked = 150
	answers := make(chan reply, 2*asked)
	flood := func(from string) {
		for range asked {
			waits := greedy.longPollOn(g.dialFrom(from), "?wait=25")
			go func() { answers <- <-waits }()
		}
	}
	givenUp := func(n int) {
		t.Helper()
		for range n {
			if r := (<-answers).want(t, 200); r.body != "[]" {
				t.Fatalf("a poll that gave way got %s", r.body)
			}
		}
	}
	served := func(from string, i int) {
		t.Helper()
		waits := honest.longPollOn(g.dialFrom(from), fmt.Sprintf("?wait=25&since=e%d", i-1))
		g.eventually("the honest poll waits", func() bool { return honest.subscribers() == 1 })
		honest.post(eventN(i)).want(t, 201)
		if r := (<-waits).want(t, 200); r.body != "["+eventN(i)+"]" {
			t.Errorf("from %s: %s", from, r.body)
		}
	}
	flood("127.0.0.1")
	givenUp(asked - 32)
	if n := g.relay.polls.Len(); n != 32 {
		t.Errorf("one client has %d polls that wait, its share is 32", n)
	}
	served("127.0.0.2", 0)
	served("127.0.0.1", 1) // one of the greedy ones gave way to it
	givenUp(1)
	if n := g.relay.polls.Ended(poll.EndShare); n != asked-32+1 {
		t.Errorf("%d polls gave way in their client's share, want %d", n, asked-32+1)
	}
	// Two clients together have all.
	flood("127.0.0.3")
	givenUp(asked - 32)
	g.eventually("the greedy polls wait", func() bool { return g.relay.polls.Len() >= 63 })
	greedy.longPollOn(g.dialFrom("127.0.0.1"), "?wait=25")
	g.eventually("all places are taken", func() bool { return g.relay.polls.Len() == 64 })
	served("127.0.0.2", 2)
	givenUp(1)
	if n := g.relay.polls.Ended(poll.EndCap); n != 1 {
		t.Errorf("%d polls gave way to another client's, want 1", n)
	}
	if n, _ := g.relay.polls.Refused(); n != 0 {
		t.Errorf("%d polls were refused", n)
	}
	g.client.CloseIdleConnections()
}

// Clients of one address that has too few places don't push each other out as
// fast as they can: who gives way has waited a second, and does not miss what
// comes meanwhile.
func TestLongPoll_GiveWayPaced(t *testing.T) {
	t.Parallel()
	g := newRig(t, func(o *rigOptions) { o.relay.MaxWaiters = 1 })
	m := g.allocate()
	start := time.Now()
	first := m.longPoll("?wait=25")
	g.eventually("the poll waits", func() bool { return g.relay.polls.Len() == 1 })
	second := m.longPoll("?wait=25")
	if r := (<-first).want(t, 200); r.body != "[]" || time.Since(start) < time.Second {
		t.Errorf("the poll that gave way got %s after %v", r.body, time.Since(start))
	}
	// A slow machine may take a second from the poll to the post, but not each time.
	for i := range 10 {
		waits := g.relay.polls.Ended(poll.EndShare)
		first = m.longPoll("?wait=25&since=e" + fmt.Sprint(i-1))
		g.eventually("it pushes the one before out", func() bool { return g.relay.polls.Ended(poll.EndShare) == waits+1 })
		last := m.longPoll("?wait=25&since=e" + fmt.Sprint(i-1))
		g.eventually("it gives way", func() bool { return g.relay.polls.Ended(poll.EndShare) == waits+2 })
		m.post(eventN(i)).want(t, 201)
		if r := (<-last).want(t, 200); r.body != "["+eventN(i)+"]" {
			t.Fatalf("the poll that waits got %s", r.body)
		}
		if r := (<-first).want(t, 200); r.body != "[]" {
			return
		}
		second = m.longPoll("?wait=25&since=e" + fmt.Sprint(i))
		g.eventually("the poll waits", func() bool { return g.relay.polls.Len() == 1 })
	}
	t.Error("what gives way misses what comes until it is answered")
	<-second
}

// Behind a proxy the client is who the proxy says.
func TestLongPoll_SharesBehindProxy(t *testing.T) {
	g := newRig(t, func(o *rigOptions) {
		o.relay.MaxWaiters = 4
		o.relay.TrustedProxies = []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32")}
	})
	m := g.allocate()
	open := func(client string) {
		w := g.dial()
		w.send("GET /v1/events/" + m.id + "?wait=25 HTTP/1.1\nHost: x\nAuthorization: Bearer " + m.token + "\nX-Forwarded-For: " + client + "\n\n")
	}
	open("192.0.2.2")
	g.eventually("the poll waits", func() bool { return g.relay.polls.Len() == 1 })
	for range 5 {
		open("192.0.2.1")
	}
	g.eventually("the greedy one has its share", func() bool { return g.relay.polls.Ended(poll.EndShare) == 3 })
	if n := g.relay.polls.Len(); n != 3 {
		t.Errorf("%d polls wait, want 3", n)
	}
	open("2001:db8::1") // two of one network
	open("2001:db8::2")
	open("2001:db8::3")
	g.eventually("one gave way in its share", func() bool { return g.relay.polls.Ended(poll.EndShare) == 4 })
	if n := g.relay.polls.Held(accept.ClientAt(netip.MustParseAddr("192.0.2.2"))); n != 1 {
		t.Errorf("the modest one has %d polls, want its one", n)
	}
}

// Where nobody can give way a long poll is refused, in words of its own.
func TestLongPoll_Refused(t *testing.T) {
	g := newRig(t, func(o *rigOptions) { o.relay.MaxWaiters, o.store.StreamsPerSlot = 4, 2 })
	m := g.allocate()
	s := m.stream("", "")
	m.longPoll("?wait=25")
	g.eventually("the poll waits", func() bool { return m.subscribers() == 2 })
	r := (<-m.longPoll("?wait=25")).want(t, 503)
	if r.header.Get("Retry-After") == "" || !strings.Contains(r.body, "long polls") {
		t.Errorf("%v %s", r.header, r.body)
	}
	s.close()
	g.eventually("there is room", func() bool { return m.subscribers() == 1 })
	g.relay.polls.SetMost(0)
	r = (<-g.allocate().longPoll("?wait=25")).want(t, 503)
	if r.header.Get("Retry-After") == "" || !strings.Contains(r.body, "too many long polls") {
		t.Errorf("%v %s", r.header, r.body)
	}
	g.refused("long_polls", 1)
	g.refused("slot_streams", 1)
	if c, s := g.relay.polls.Refused(); c != 1 || s != 1 {
		t.Errorf("%d refused over the cap and %d over the slot's, want 1 and 1", c, s)
	}
}

// Many clients open long polls, leave, give way and get events, all at once: the
// bound holds throughout, each poll ends for one reason, and nothing stays.
func TestLongPoll_Storm(t *testing.T) {
	const most, clients, each = 12, 16, 40
	g := newRig(t, func(o *rigOptions) { o.relay.MaxWaiters = most })
	boxes := []mailbox{g.allocate(), g.allocate(), g.allocate()}
	g.client.CloseIdleConnections()
	g.eventually("no connection", func() bool { return g.relay.conns.Len() == 0 })
	before := runtime.NumGoroutine()
	stop := make(chan struct{})
	var aside, storm sync.WaitGroup
	aside.Go(func() {
		for i := 0; ; i++ {
			select {
			case <-stop:
				return
			case <-time.After(3 * time.Millisecond):
			}
			m := boxes[i%2]
			if r, err := m.tryCall("POST", "/v1/events/"+m.id, m.token, `{"event":`+eventN(i)+`}`); err != nil || r.status != 201 {
				t.Errorf("post: %d, %v", r.status, err)
				return
			}
		}
	})
	aside.Go(func() {
		for {
			select {
			case <-stop:
				return
			default:
			}
			if n := g.relay.polls.Len(); n > most {
				t.Errorf("%d polls wait, at most %d may", n, most)
				return
			}
			time.Sleep(time.Millisecond)
		}
	})
	for c := range clients {
		storm.Go(func() {
			random := rand.New(rand.NewPCG(uint64(c), 1))
			for range each {
				m := boxes[random.IntN(len(boxes))]
				d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, byte(1+random.IntN(3)))}}
				w, err := d.Dial("tcp", g.addr)
				if err != nil {
					t.Error(err)
					return
				}
				fmt.Fprintf(w, "GET /v1/events/%s?wait=25 HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\n\r\n", m.id, m.token)
				w.SetReadDeadline(time.Now().Add(time.Duration(random.IntN(20)) * time.Millisecond))
				w.Read(make([]byte, 100))
				if random.IntN(2) == 0 {
					w.(*net.TCPConn).SetLinger(0)
				}
				w.Close()
			}
		})
	}
	storm.Wait()
	close(stop)
	aside.Wait()
	g.client.CloseIdleConnections()
	g.nothingWaits()
	g.eventually("goroutines are back", func() bool { return g.relay.conns.Len() == 0 && runtime.NumGoroutine() < before+clients+10 })
	if n := g.relay.polls.Clients(); n != 0 {
		t.Errorf("%d clients are still in the books", n)
	}
	counts := map[string]uint64{}
	for why := range poll.Ends {
		counts[why.String()] = g.relay.polls.Ended(why)
	}
	t.Log(counts)
	if counts["client"] == 0 || counts["share"]+counts["cap"] == 0 || counts["error"] > 0 {
		t.Errorf("the storm had %v", counts)
	}
}
