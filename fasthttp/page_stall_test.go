package fasthttp

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"runtime"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"cowrelay/cow"
	"cowrelay/fasthttp/conn"

	"golang.org/x/sys/unix"
)

// filled is a mailbox with a page of known text.
type filled struct {
	mailbox
	page string
}

// fillPages makes mailboxes with n events of about size bytes each.
func (g *rig) fillPages(boxes, n, size int) []filled {
	g.Helper()
	list := make([]filled, boxes)
	for k := range list {
		m := g.allocate()
		id, _ := parseSlot(m.id)
		events := make([]string, n)
		for i := range events {
			events[i] = bigEvent(fmt.Sprintf("%d-%d", k, i), size-i%7)
			p := g.store.NewPost()
			if err := p.Accept([]byte(`{"event":` + events[i] + `}`)); err != nil {
				g.Fatal(err)
			}
			if _, err := p.Commit(g.store.Slot(id)); err != nil {
				g.Fatal(err)
			}
			p.Release()
		}
		list[k] = filled{m, "[" + strings.Join(events, ",") + "]"}
	}
	return list
}

func (f filled) request() string {
	return "GET /v1/events/" + f.id + "?limit=1000 HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer " + f.token + "\r\n\r\n"
}

// stall asks for the page and reads the first byte of the reply alone.
func (f filled) stall() net.Conn {
	f.Helper()
	c, err := net.Dial("tcp", f.addr)
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { c.Close() })
	c.SetDeadline(time.Now().Add(time.Minute))
	io.WriteString(c, f.request())
	if _, err := io.ReadFull(c, make([]byte, 1)); err != nil {
		f.Fatalf("the reply does not begin: %v", err)
	}
	return c
}

// rest reads what is left of the reply to stall.
func (f filled) rest(c net.Conn, most int) (body string, err error) {
	f.Helper()
	var b bytes.Buffer
	b.WriteByte('H')
	buf := make([]byte, most)
	begin := 0 // of the body
	for {
		n, err := c.Read(buf)
		b.Write(buf[:n])
		if begin == 0 {
			if head, _, ok := strings.Cut(b.String(), "\r\n\r\n"); ok {
				begin = len(head) + 4
				if !strings.Contains(head+"\r\n", fmt.Sprintf("Content-Length: %d\r\n", len(f.page))) {
					f.Fatalf("a page of %d bytes has the head %q", len(f.page), head)
				}
			}
		}
		if begin > 0 && b.Len()-begin >= len(f.page) || err != nil {
			return string(b.Bytes()[begin:]), err
		}
	}
}

// collected waits until nothing that left memory is held by anybody.
func (g *rig) collected(when string) {
	g.Helper()
	for end := time.Now().Add(30 * time.Second); g.store.Memory().Retired > 0; time.Sleep(time.Millisecond) {
		if runtime.GC(); time.Now().After(end) {
			g.Fatalf("%s: %d bytes that left memory are held", when, g.store.Memory().Retired)
		}
	}
}

func forcedCollections() uint32 {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.NumForcedGC
}

// Clients that ask for pages and don't read them harm nobody: what they are not
// given leaves memory, posts and pulls of the others are served, and nothing is
// left when they go.
func TestPage_ReadersThatStall(t *testing.T) {
	g := newRig(t, func(o *rigOptions) {
		o.store.MemoryBudget = 8 << 20
		o.relay.StreamWriteTimeout = time.Minute
	})
	full, stalled, requests := 8, 64, 60
	if testing.Short() {
		full, stalled, requests = 4, 24, 30 // still twice the budget
	}
	boxes := g.fillPages(full, 150, 27_000) // more than any socket takes
	honest := g.fillPages(6, 20, 20_000)
	g.restart()
	for i := range boxes {
		boxes[i].rig.addr = g.addr
	}
	before, forced := runtime.NumGoroutine(), forcedCollections()
	readers := make([]net.Conn, stalled)
	for i := range readers {
		readers[i] = boxes[i%len(boxes)].stall()
	}
	loads := g.store.Stats().SlotLoads.Load() + g.store.Stats().ChunkLoads.Load()
	for i := range requests {
		m := honest[i%len(honest)]
		if i%2 == 0 {
			m.post(eventN(i)).want(t, 201)
			continue
		}
		if got := m.call("GET", "/v1/events/"+m.id+"?limit=20", m.token, nil).want(t, 200); got.body != m.page {
			t.Fatalf("the page of another slot has %d bytes of %d, or others", len(got.body), len(m.page))
		}
	}
	// An eviction has the collector run once a sixteenth of the budget has left
	// memory: as often as loads fill it, and not once for each look at what is held.
	// The test itself forces some while it waits, so it counts before that.
	forced = forcedCollections() - forced
	loads = g.store.Stats().SlotLoads.Load() + g.store.Stats().ChunkLoads.Load() - loads
	g.collected("while the readers stand still")
	t.Logf("%d collections forced, %d loads by the others; memory %+v", forced, loads, g.store.Memory())
	if forced > 600 {
		t.Errorf("%d collections were forced", forced)
	}
	if n := g.relay.conns.Cuts()[conn.CutLoad].Load() + g.relay.conns.Cuts()[conn.CutSlow].Load(); n > 0 {
		t.Errorf("%d pages were cut", n)
	}
	// Half of them read on, the others leave.
	for i, c := range readers {
		if i%2 == 0 {
			c.Close()
			continue
		}
		f := boxes[i%len(boxes)]
		if body, err := f.rest(c, 1<<20); err != nil || body != f.page {
			t.Fatalf("a page that stood still came with %d bytes of %d, or others: %v", len(body), len(f.page), err)
		}
		c.Close()
	}
	g.client.CloseIdleConnections()
	g.eventually("the connections to end", func() bool { return g.relay.conns.Len() == 0 })
	g.eventually("the goroutines to end", func() bool { return runtime.NumGoroutine() <= before+2 })
	g.collected("when all have left")
	g.eventually("the budget to be kept", func() bool { m := g.store.Memory(); return m.Used <= m.Limit })
}

// A client that reads slowly but steadily gets every byte, although what it has
// not read yet leaves memory again and again.
func TestPage_SlowButSteady(t *testing.T) {
	t.Parallel()
	g := newRig(t, func(o *rigOptions) {
		o.store.MemoryBudget = 3 << 20
		o.relay.SendBuffer = 64 << 10
		o.relay.StreamWriteTimeout, o.relay.WriteTimeout = 5*time.Minute, 5*time.Minute
	})
	f := g.fillPages(1, 130, 29_000)[0]
	others := g.fillPages(3, 40, 29_000)
	c, err := net.Dial("tcp", g.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(5 * time.Minute))
	io.WriteString(c, f.request())
	var got bytes.Buffer
	loads := g.store.Stats().ChunkLoads.Load()
	for buf := make([]byte, 500_000); ; {
		n, err := io.ReadFull(c, buf[:min(len(buf), len(f.page)-got.Len())])
		got.Write(buf[:n])
		if err != nil {
			t.Fatalf("after %d bytes: %v", got.Len(), err)
		}
		if head, body, _ := strings.Cut(got.String(), "\r\n\r\n"); len(body)+300 >= len(f.page) || got.Len() >= len(f.page) {
			rest := make([]byte, len(f.page)-len(body))
			if _, err := io.ReadFull(c, rest); err != nil {
				t.Fatal(err)
			}
			if body+string(rest) != f.page {
				t.Fatalf("other bytes than the slot's (%q)", head)
			}
			break
		}
		for _, o := range others { // which drives the rest of it out
			o.call("GET", "/v1/events/"+o.id+"?limit=1000", o.token, nil).want(t, 200)
		}
	}
	if n := g.store.Stats().ChunkLoads.Load() - loads; n < 5 {
		t.Errorf("%d chunks were loaded: the page never left memory", n)
	}
	if n := g.relay.conns.Cuts()[conn.CutSlow].Load(); n > 0 {
		t.Errorf("%d replies cut as slow", n)
	}
}

// The time is for one piece, and not for the page: who takes each in time is not
// cut, however long it takes all of them.
func TestPage_TimeIsForAPiece(t *testing.T) {
	t.Parallel()
	const patience = 2 * time.Second
	g := newRig(t, func(o *rigOptions) {
		o.relay.SendBuffer = 64 << 10
		o.relay.StreamWriteTimeout, o.relay.WriteTimeout = patience, 5*time.Minute
	})
	f := g.fillPages(1, 130, 29_000)[0]
	c := f.stall()
	began, got := time.Now(), 1
	for buf := make([]byte, 128<<10); got < len(f.page); time.Sleep(100 * time.Millisecond) {
		n, err := io.ReadFull(c, buf[:min(len(buf), len(f.page)-got)])
		if got += n; err != nil {
			t.Fatalf("cut after %v and %d bytes: %v", time.Since(began), got, err)
		}
	}
	if took := time.Since(began); took < patience {
		t.Errorf("took %v: too fast to tell", took)
	}
	if n := g.relay.conns.Cuts()[conn.CutSlow].Load(); n != 0 {
		t.Errorf("%d replies cut as slow", n)
	}
}

// A client that takes less than a piece in time is cut, with a reset, and
// counted once; so is one that takes too long for the whole.
func TestPage_SlowReaderIsCut(t *testing.T) {
	t.Parallel()
	for name, edit := range map[string]func(*Options){
		// A reader on a busy machine may rest for long.
		"piece": func(o *Options) { o.StreamWriteTimeout = 3 * time.Second },
		"whole": func(o *Options) { o.WriteTimeout = 3 * time.Second },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g := newRig(t, func(o *rigOptions) { edit(&o.relay) })
			f := g.fillPages(1, 160, 26_000)[0]
			c := f.stall()
			g.eventually("the client is cut", func() bool { return g.relay.conns.Len() == 1 }) // ours
			// With a reset: the kernel keeps nothing for it.
			if body, err := f.rest(c, 1<<20); !errors.Is(err, syscall.ECONNRESET) || len(body) >= len(f.page) {
				t.Errorf("it got %d bytes of %d, %v", len(body), len(f.page), err)
			}
			if n := g.relay.conns.Cuts()[conn.CutSlow].Load(); n != 1 {
				t.Errorf("%d replies cut as slow, want 1", n)
			}
			// Nobody else is: a page that is read comes whole.
			if r := f.call("GET", "/v1/events/"+f.id+"?limit=1000", f.token, nil).want(t, 200); r.body != f.page {
				t.Error("other bytes than the slot's")
			}
		})
	}
}

// faultyLoads is a journal that can't read one slot while it is told so.
type faultyLoads struct {
	cow.Journal
	bad atomic.Pointer[cow.ID]
}

func (j *faultyLoads) Load(id cow.ID, from uint64, yield func(*cow.Append) error) error {
	if bad := j.bad.Load(); bad != nil && *bad == id {
		return errors.New("bad sector")
	}
	return j.Journal.Load(id, from, yield)
}

// What a page still needs and can't be had any more ends the connection, which
// was promised more, and is counted: the slot was removed, or can't be read.
func TestPage_CutInTheMiddle(t *testing.T) {
	t.Parallel()
	j := new(faultyLoads)
	g := newRig(t, func(o *rigOptions) {
		o.store.MemoryBudget = 3 << 20
		o.relay.SendBuffer = 64 << 10
		o.journal = func(log cow.Journal) cow.Journal { j.Journal = log; return j }
	})
	boxes := g.fillPages(2, 150, 27_000)
	others := g.fillPages(4, 40, 29_000)
	check := func(c net.Conn, f filled, reason int) {
		t.Helper()
		body, err := f.rest(c, 64<<10)
		if err == nil || !strings.HasPrefix(f.page, body) || len(body) == len(f.page) {
			t.Errorf("%s: %d bytes of %d, and %v", conn.CutNames[reason], len(body), len(f.page), err)
		}
		g.eventually("it is counted", func() bool { return g.relay.conns.Cuts()[reason].Load() == 1 })
		if n := g.relay.conns.Cuts()[conn.CutSlow].Load(); n != 0 {
			t.Errorf("%d replies cut as slow", n)
		}
	}

	c := boxes[0].stall()
	id, _ := parseSlot(boxes[0].id)
	j.bad.Store(&id)
	for range 2 {
		for _, o := range others {
			o.call("GET", "/v1/events/"+o.id+"?limit=1000", o.token, nil).want(t, 200)
		}
	}
	check(c, boxes[0], conn.CutLoad)
	// Before the head it is an error like any other.
	boxes[0].call("GET", "/v1/events/"+boxes[0].id+"?limit=1000", boxes[0].token, nil).want(t, http.StatusServiceUnavailable)
	j.bad.Store(nil)

	c = boxes[1].stall()
	boxes[1].call("DELETE", "/v1/slot/"+boxes[1].id, boxes[1].owner, nil).want(t, 204)
	check(c, boxes[1], conn.CutGone)
}

// A long body that is no page holds its client to the same pace.
func TestReply_SlowReaderIsCut(t *testing.T) {
	g := newRig(t, func(o *rigOptions) { o.relay.StreamWriteTimeout = 2 * time.Second }) // a reader on a busy machine may rest for long
	g.undescribed = true
	text := bytes.Repeat([]byte("0123456789abcdef"), 1<<19)
	defer withHandler(routeStats, func(_ *Relay, req request) error {
		req.ctx.Response.SetBodyRaw(text)
		return nil
	})()
	ask := "GET /stats.json HTTP/1.1\nHost: x\nConnection: close\n\n"
	slow := g.dial()
	slow.send(ask)
	g.eventually("the client is cut", func() bool { return g.relay.conns.Cuts()[conn.CutSlow].Load() == 1 && g.relay.conns.Len() == 0 })
	if b, err := io.ReadAll(slow.Conn); err == nil || len(b) >= len(text) {
		t.Errorf("it got %d bytes of %d, %v", len(b), len(text), err)
	}
	w := g.dial()
	w.send(ask)
	if b, err := io.ReadAll(w.Conn); err != nil || !bytes.HasSuffix(b, text) {
		t.Errorf("a client that reads got %d bytes of %d, %v", len(b), len(text), err)
	}
}

// What the kernel buffers of a connection has a bound from the accept on.
func TestListener_BuffersAreBounded(t *testing.T) {
	g := newRig(t, func(o *rigOptions) {
		o.relay.SendBuffer, o.relay.UnsentBuffer, o.relay.ReceiveBuffer = 48<<10, 20<<10, 40<<10
	})
	sizes := make(chan [3]int, 1)
	defer withHandler(routeStats, func(_ *Relay, req request) error {
		raw, err := req.conn.SyscallConn()
		if err != nil {
			return err
		}
		raw.Control(func(fd uintptr) {
			send, _ := unix.GetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_SNDBUF)
			receive, _ := unix.GetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_RCVBUF)
			unsent := 20 << 10
			if runtime.GOOS == "linux" {
				unsent, _ = unix.GetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_NOTSENT_LOWAT)
			}
			sizes <- [3]int{send, unsent, receive}
		})
		return nil
	})()
	w := g.dial()
	w.out = nil
	w.send("GET /stats.json HTTP/1.1\nHost: x\n\n")
	if got := <-sizes; got != [3]int{48 << 11, 20 << 10, 40 << 11} && got != [3]int{48 << 10, 20 << 10, 40 << 10} { // Linux says twice what was set
		t.Errorf("buffers of %v bytes", got)
	}
}
