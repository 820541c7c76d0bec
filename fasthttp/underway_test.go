package fasthttp

import (
	"bufio"
	"fmt"
	"io"
	"net/netip"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"cowrelay/fasthttp/accept"
	"cowrelay/fasthttp/conn"
)

// other is an address of loopback that is not the clients' own.
func other(n int) string { return fmt.Sprintf("127.0.0.%d", 2+n) }

func (m mailbox) head(framing string) string {
	return "POST /v1/events/" + m.id + " HTTP/1.1\nHost: x\nContent-Type: application/json\nAuthorization: Bearer " + m.token + "\n" + framing + "\n"
}

// event is the body of a post of about n bytes.
func bodyOf(n int) string { return `{"event":{"pad":"` + strings.Repeat("x", n) + `"}}` }

// nothingUnderway waits until all is given back.
func (g *rig) nothingUnderway() {
	g.Helper()
	g.eventually("nothing is under way", func() bool { return g.relay.conns.Arrivals.Used() == 0 })
	if n := g.relay.conns.Arrivals.Clients(); n != 0 {
		g.Errorf("%d clients are on the books", n)
	}
}

func heapInUse() int64 {
	var m runtime.MemStats
	for range 2 { // pools let go in the second
		runtime.GC()
	}
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// stalledBodies sends most of a body on n connections from some addresses, and
// never the rest.
func (m mailbox) stalledBodies(n, addresses int) (all []*wire) {
	half := []byte(`{"event":{"pad":"` + strings.Repeat("y", 1_900_000))
	for i := range n {
		w := m.dialFrom(other(i % addresses))
		all = append(all, w)
		head := m.head("Content-Length: 2000000\n")
		if i%2 == 1 {
			head = m.head("Transfer-Encoding: chunked\n") + fmt.Sprintf("%x\n", len(half)+1)
		}
		w.send(head)
		go w.Conn.Write(half) // it may be refused
	}
	return all
}

// Bodies that stall take what the budget allows, and honest posts are served
// meanwhile, from the same address as the others.
func TestUnderway_StalledBodies(t *testing.T) {
	for _, addresses := range []int{1, 10} {
		t.Run(fmt.Sprint(addresses), func(t *testing.T) {
			const budget, each = 8 << 20, 100 << 10
			g := newRig(t, func(o *rigOptions) { o.relay.RequestBytes = budget })
			m := g.allocate()
			m.post(eventN(0)).want(t, 201)
			before := heapInUse()
			stalled := m.stalledBodies(50, addresses)
			g.eventually("20 of 50 are refused", func() bool {
				return g.relay.conns.Arrivals.Refused()+g.relay.conns.Arrivals.Cut() >= 20
			})
			time.Sleep(conn.Grace)
			if used := heapInUse() - before; used > budget+50*each {
				t.Errorf("%d KiB in use, budget %d", used>>10, budget>>10)
			}
			var wg sync.WaitGroup
			for range 4 {
				wg.Go(func() {
					for i := range 10 {
						m.call("POST", "/v1/events/"+m.id, m.token, bodyOf(100+i%2*200_000)).want(t, 201)
					}
				})
			}
			wg.Wait()
			if n := g.relay.conns.Arrivals.Used(); n > budget {
				t.Errorf("%d bytes booked, budget %d", n, budget)
			}
			refused := 0
			for _, w := range stalled {
				w.SetReadDeadline(time.Now().Add(10 * time.Millisecond))
				if r, err := w.tryReply("POST"); err == nil {
					if r.want(t, 503).header.Get("Retry-After") == "" || !r.close {
						t.Errorf("%+v", r)
					}
					refused++
				}
				w.Close()
			}
			if refused < 20 || g.relay.conns.Arrivals.Refused() == 0 {
				t.Errorf("%d of 50 were refused", refused)
			}
			g.nothingUnderway()
		})
	}
}

// Headers that nobody ends, from an address that has all of its share in them, do
// not keep out a body from there, however new they are.
func TestUnderway_BodyBeforeUnfinishedHeads(t *testing.T) {
	t.Parallel()
	g := newRig(t, func(o *rigOptions) { o.relay.RequestBytes, o.relay.grace = 8<<20, time.Hour })
	m := g.allocate()
	for range 150 {
		w := g.dial()
		w.send("GET /healthz HTTP/1.1\nHost: x\n")
	}
	g.eventually("the share is used up", func() bool { return g.relay.conns.Arrivals.Refused() > 0 })
	for range 10 {
		m.call("POST", "/v1/events/"+m.id, m.token, bodyOf(200_000)).want(t, 201)
	}
}

// Who takes more gives way to who takes less, also if it sends well.
func TestUnderway_TheGreedyGivesWay(t *testing.T) {
	t.Parallel()
	g := newRig(t, func(o *rigOptions) { o.relay.RequestBytes, o.relay.grace = 8<<20, time.Hour })
	m := g.allocate()
	greedy := map[string]*wire{}
	for i := range 3 { // together they leave no room for another of their kind
		w := g.dialFrom(other(i))
		w.send(m.head("Content-Length: 2000000\n") + `{"event":`)
		greedy[other(i)] = w
	}
	g.eventually("three are on the books", func() bool { return g.relay.conns.Arrivals.Clients() == 3 })
	small := g.dialFrom(other(7))
	small.send(m.head("Content-Length: 1500000\n") + strings.Repeat(" ", 1_500_000))
	small.reply("POST").want(t, 400) // read as a whole
	if n := g.relay.conns.Arrivals.Cut(); n != 1 {
		t.Errorf("%d gave way, want 1", n)
	}
	for from, w := range greedy {
		if g.relay.conns.Arrivals.Held(accept.ClientAt(netip.MustParseAddr(from))) == 0 {
			w.reply("POST").want(t, 503)
			w.ends()
			delete(greedy, from)
		}
	}
	// Equals wait for each other.
	equal := g.dialFrom(other(6))
	equal.send(m.head("Content-Length: 2000000\n") + `{"event":`)
	g.eventually("it has the place", func() bool { return g.relay.conns.Arrivals.Clients() == 3 })
	late := g.dialFrom(other(5))
	late.send(m.head("Content-Length: 2000000\n"))
	if r := late.reply("POST").want(t, 503); r.header.Get("Retry-After") == "" {
		t.Error("no Retry-After")
	}
	greedy["equal"] = equal
	if len(greedy) != 3 {
		t.Errorf("%d are left", len(greedy))
	}
	for _, w := range greedy {
		w.send(strings.Repeat(" ", 1_999_991))
		w.reply("POST").want(t, 400)
	}
	g.nothingUnderway()
}

// What a request had on the books is given back whatever becomes of it.
func TestUnderway_GivenBack(t *testing.T) {
	g := newRig(t, shortTimes)
	g.panics = 2
	m := g.allocate()
	was := routeHealth.post.serve
	routeHealth.post.serve = func(r *Relay, req request) error {
		return r.withBody(&req, func([]byte) error { return faultyHandler(nil) })
	}
	defer func() { routeHealth.post.serve = was }()
	fixed := func(n int) string { return fmt.Sprintf("Content-Length: %d\n", n) }
	const chunks = "Transfer-Encoding: chunked\n"
	faulty := strings.Replace(m.head(""), "/v1/events/"+m.id, "/v1/slot/"+m.id+"/responder-health", 1)
	faulty = strings.TrimSuffix(faulty, "\n")
	big := bodyOf(100_000)
	huge := fmt.Sprintf("%x\n", 3<<20)
	for name, row := range map[string]struct {
		head, first, rest string
		status            int // 0: no reply
	}{
		"head":              {m.head(fixed(12))[:60], "", m.head(fixed(12))[60:] + `{"event":{}}`, 201},
		"small":             {m.head(fixed(12)), `{"event"`, `:{}}`, 201},
		"fixed":             {m.head(fixed(len(big))), big[:50_000], big[50_000:], 201},
		"chunked":           {m.head(chunks), fmt.Sprintf("%x\n", len(big)) + big[:50_000], big[50_000:] + "\n0\n\n", 201},
		"small chunked":     {m.head(chunks), "c\n" + `{"event"`, ":{}}\n0\n\n", 201},
		"no JSON":           {m.head(fixed(50_000)), big[:40_000], big[:10_000], 400},
		"closed":            {m.head(fixed(len(big))), big[:50_000], "", 0},
		"closed chunked":    {m.head(chunks), fmt.Sprintf("%x\n", len(big)) + big[:50_000], "", 0},
		"closed head":       {m.head(fixed(12))[:60], "", "", 0},
		"late":              {m.head(fixed(len(big))), big[:50_000], "", 408},
		"late chunked":      {m.head(chunks), fmt.Sprintf("%x\n", len(big)) + big[:50_000], "", 408},
		"late small":        {m.head(fixed(100)), "{", "", 408},
		"late head":         {m.head(fixed(12))[:60], "", "", 408},
		"bad chunk":         {m.head(chunks), fmt.Sprintf("%x\n", len(big)) + big, "zz", 400},
		"too large chunked": {m.head(chunks), huge, strings.Repeat(" ", 3<<20-8) + "\n", 413},
		"too large":         {m.head(fixed(9 << 20)), "", "", 413},
		"no token":          {strings.Replace(m.head(fixed(50_000)), "Bearer", "Basic", 1), "", big[:50_000], 401},
		"panic":             {faulty + fixed(len(big)/2) + "\n", big[:40_000], big[:len(big)/2-40_000], 500},
		"panic chunked":     {faulty + chunks + "\n", "5\nabc", "de\n0\n\n", 500},
	} {
		w := g.dial()
		w.out = nil
		w.send(row.head + row.first)
		time.Sleep(5 * time.Millisecond) // else it all comes at once
		if row.rest != "" {
			go io.WriteString(w.Conn, strings.ReplaceAll(row.rest, "\n", "\r\n")) // it may be refused
		}
		if row.status == 0 {
			g.eventually(name+" is on the books", func() bool { return g.relay.conns.Arrivals.Used() > 0 })
			w.Close()
		} else if r, err := w.tryReply("POST"); err != nil || r.status != row.status {
			t.Errorf("%s: status %d, want %d: %v", name, r.status, row.status, err)
		}
		g.eventually(name+" has given back", func() bool { return g.relay.conns.Arrivals.Used() == 0 })
		w.Close()
	}
	if n := g.relay.conns.Arrivals.Refused(); n != 0 {
		t.Errorf("%d were refused", n)
	}
	g.nothingUnderway()
}

// A handler that takes no notice of the body gives back for it as well, with
// the connection still open.
func TestUnderway_UnreadBody(t *testing.T) {
	g := newRig(t)
	g.undescribed = true
	m := g.allocate()
	was := routeHealth.post.serve
	routeHealth.post.serve = func(r *Relay, req request) error {
		if r.conns.Arrivals.Used() == 0 {
			t.Error("the body is not on the books")
		}
		req.reply(200, []byte("{}"))
		return nil
	}
	defer func() { routeHealth.post.serve = was }()
	w := g.dial()
	for range 2 {
		w.send("POST /v1/slot/" + m.id + "/responder-health HTTP/1.1\nHost: x\nContent-Type: application/json\nAuthorization: Bearer " + m.token +
			"\nContent-Length: 20000\n\n" + strings.Repeat(" ", 20000))
		if w.reply("POST").want(t, 200).close {
			t.Error("the connection does not go on")
		}
		g.nothingUnderway()
	}
}

// A request that comes at once needs no room, and its answer no more than before.
func TestUnderway_WholeRequestsNeedNone(t *testing.T) {
	g := newRig(t, func(o *rigOptions) { o.relay.RequestBytes = 1 })
	m := g.allocate()
	w := g.dial()
	for range 3 {
		w.send(m.head("Content-Length: 12\n") + `{"event":{}}` + m.head("Transfer-Encoding: chunked\n") + "c\n" + `{"event":{}}` + "\n0\n\n")
		w.reply("POST").want(t, 201)
		w.reply("POST").want(t, 201)
		w.send("GET /v1/events/" + m.id + " HTTP/1.1\nHost: x\nAuthorization: Bearer " + m.token + "\n\n")
		w.reply("GET").want(t, 200)
	}
	for _, part := range []string{
		"GET /healthz HT", m.head("Content-Length: 12\n"), m.head("Transfer-Encoding: chunked\n"), m.head("Content-Length: 9000\n"),
		"GET /healthz HTTP/1.1\nHost: x\n\nGET /healthz HTTP",
	} {
		w := g.dial()
		w.out = nil
		w.send(part)
		if strings.HasPrefix(part, "GET /healthz HTTP/1.1") {
			w.reply("GET").want(t, 200)
		}
		if r := w.reply("POST").want(t, 503); r.header.Get("Retry-After") == "" || !r.close {
			t.Errorf("%+v", r)
		}
		w.ends()
	}
	g.nothingUnderway()
}

// Heads that never end are bounded in bytes, and who sends one in pieces, from
// any address, is served.
func TestUnderway_UnfinishedHeads(t *testing.T) {
	const budget, conns = 4 << 20, 400
	g := newRig(t, func(o *rigOptions) { o.relay.RequestBytes = budget })
	g.undescribed = true
	m := g.allocate()
	before := heapInUse()
	var open []*wire
	for i := range conns {
		w := g.dialFrom(other(i % 4))
		w.br = bufio.NewReader(w.Conn) // its own would count
		open = append(open, w)
		lines := strings.Repeat("X: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\n", 160)
		if i%2 == 1 {
			lines = strings.Repeat("a:\n", 2000) // many fields take more than their text
		}
		w.send("GET /healthz HTTP/1.1\nHost: x\n" + lines)
	}
	g.eventually("the books are full", func() bool { return g.relay.conns.Arrivals.Used() > budget/2 })
	time.Sleep(conn.Grace)
	if used := heapInUse() - before; used > budget+conns*8<<10 {
		t.Errorf("%d KiB in use for %d heads, budget %d", used>>10, conns, budget>>10)
	}
	for _, from := range []string{"127.0.0.1", other(0), other(7)} { // one of them is where the others are
		w := g.dialFrom(from)
		for range 5 {
			for _, part := range []string{"GET /v1/slot/" + m.id + "/state HTTP/1.1\nHost: x\n", "Authorization: Bearer " + m.token + "\n\n"} {
				w.send(part)
				time.Sleep(2 * time.Millisecond)
			}
			w.reply("GET").want(t, 200)
		}
	}
	refused := 0
	for _, w := range open {
		w.SetReadDeadline(time.Now().Add(10 * time.Millisecond))
		if r, err := w.tryReply("GET"); err == nil {
			if r.want(t, 503).header.Get("Retry-After") == "" {
				t.Error("no Retry-After")
			}
			refused++
		}
		w.Close()
	}
	if refused < conns/2 {
		t.Errorf("%d of %d were refused", refused, conns)
	}
	g.nothingUnderway()
}

// A header of many fields is refused, and what it took is not kept: neither by
// its connection nor by the one that gets the same memory next.
func TestUnderway_ManyFields(t *testing.T) {
	g := newRig(t)
	g.undescribed = true
	const rounds = 64
	fields := func(n int) string { return "GET /healthz HTTP/1.1\nHost: x\n" + strings.Repeat("a:\n", n-1) }
	w := g.dial()
	w.send(fields(conn.MostLines) + "\n")
	w.reply("GET").want(t, 200)
	w.send(fields(conn.MostLines+1) + "\n")
	if r := w.reply("GET").want(t, 431); !r.close {
		t.Error("the connection goes on")
	}
	w.ends()
	before := heapInUse()
	for i := range rounds {
		w := g.dial()
		if w.send(fields(1500)); i%2 == 0 {
			w.send("\n")
			w.reply("GET").want(t, 431)
		} else {
			w.send("nonsense\n\n")
			w.reply("GET").want(t, 400)
		}
		w.ends()
		idle := g.dial()
		idle.send("GET /healthz HTTP/1.1\nHost: x\n\n")
		idle.reply("GET").want(t, 200)
		idle.br = nil
	}
	if kept := (heapInUse() - before) / rounds; kept > 60<<10 {
		t.Errorf("%d KiB kept a connection", kept>>10)
	}
}

// Behind a trusted proxy the client is who the proxy names.
func TestUnderway_BehindAProxy(t *testing.T) {
	g := newRig(t, func(o *rigOptions) {
		o.relay.RequestBytes = 8 << 20
		o.relay.TrustedProxies = []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32")}
	})
	m := g.allocate()
	post := func(client string) *wire {
		w := g.dial()
		w.send(strings.Replace(m.head("Content-Length: 2000000\n"), "Host: x\n", "Host: x\nX-Forwarded-For: "+client+"\n", 1) + "{")
		return w
	}
	a, b := post("192.0.2.1"), post("192.0.2.2")
	g.eventually("two clients", func() bool { return g.relay.conns.Arrivals.Clients() == 2 })
	post("192.0.2.1").reply("POST").want(t, 503) // over its share
	a.Close()
	b.Close()
	g.nothingUnderway()
}

// After a burst the memory that pools hold is soon free.
func TestUnderway_Sweep(t *testing.T) {
	g := newRig(t, func(o *rigOptions) { o.relay.RequestBytes = 4 << 20 })
	m := g.allocate()
	w := g.dial()
	w.send(m.head("Content-Length: 1400000\n") + "{")
	w2 := g.dialFrom(other(0))
	w2.send(m.head("Content-Length: 1400000\n") + "{")
	g.eventually("more than half is in use", func() bool { return g.relay.conns.Arrivals.Burst() })
	w.Close()
	w2.Close()
	g.nothingUnderway()
	var m0, m1 runtime.MemStats
	runtime.ReadMemStats(&m0)
	g.eventually("it is swept", func() bool { return !g.relay.conns.Arrivals.Burst() })
	g.eventually("by a collection", func() bool {
		runtime.ReadMemStats(&m1)
		return m1.NumForcedGC > m0.NumForcedGC+1
	})
}
