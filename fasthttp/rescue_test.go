package fasthttp

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"cowrelay/cow"
	"cowrelay/fasthttp/conn"
	"cowrelay/fasthttp/stats"
	"cowrelay/fasthttp/stream"
)

// faultyRig is a rig whose log is kept, and whose clock of the rate limits
// panics while faulty is set. Loopback is a trusted proxy, so that it is asked.
type faultyRig struct {
	*rig
	log    safeBuffer
	faulty atomic.Bool
}

func newFaultyRig(t *testing.T, panics int, edit ...func(*rigOptions)) *faultyRig {
	f := new(faultyRig)
	f.rig = newRig(t, append(edit, func(o *rigOptions) {
		o.relay.Logger = slog.New(slog.NewTextHandler(&f.log, nil))
		o.relay.TrustedProxies = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}
		o.relay.now = func() int64 {
			if f.faulty.Load() {
				var none []int64
				return none[3]
			}
			return time.Now().UnixNano()
		}
	})...)
	f.panics = uint64(panics)
	return f
}

// wantPanics checks how many panics were counted, and that the log tells what
// ran and on which stack.
func (f *faultyRig) wantPanics(in string, n int) {
	f.Helper()
	f.eventually(fmt.Sprintf("%d panics", n), func() bool { return f.relay.panics.Load() >= uint64(n) })
	if got := f.relay.panics.Load(); got != uint64(n) {
		f.Errorf("%d panics counted, want %d", got, n)
	}
	if text := metricsText(f.rig); !strings.Contains(text, fmt.Sprintf("cowrelay_panics_total %d\n", n)) {
		f.Error("/metrics does not tell of the panics")
	}
	if log := f.log.String(); !strings.Contains(log, `in="`+in+`"`) && !strings.Contains(log, "in="+in+" ") || !strings.Contains(log, "goroutine ") {
		f.Errorf("the log does not tell of a panic in %s: %.400s", in, log)
	}
}

const fromOutside = "X-Forwarded-For: 192.0.2.9\n"

// A panic in the admission of a request with a body costs that request alone:
// it hears 500 before its body is there, and who has a connection keeps it.
func TestRescue_AdmissionByTheHead(t *testing.T) {
	g := newFaultyRig(t, len(framings))
	m := g.allocate()
	other := g.dial()
	n := 0
	for name, framing := range framings {
		g.faulty.Store(true)
		w := g.dial()
		w.send("POST /v1/events/" + m.id + " HTTP/1.1\nHost: x\nContent-Type: application/json\nAuthorization: Bearer " + m.token + "\n" + fromOutside + framing + "\n")
		r := w.reply("POST").want(t, 500)
		if !r.close || strings.Contains(r.body, "index") {
			t.Errorf("%s: %+v", name, r)
		}
		w.ends()
		g.faulty.Store(false)
		n++
		g.wantPanics("header", n)
		other.send("GET /v1/events/" + m.id + " HTTP/1.1\nHost: x\nAuthorization: Bearer " + m.token + "\n" + fromOutside + "\n")
		other.reply("GET").want(t, 200)
	}
	m.post(eventN(0)).want(t, 201)
}

// The same in the handler, of a request without a body.
func TestRescue_Admission(t *testing.T) {
	g := newFaultyRig(t, 1)
	m := g.allocate()
	g.faulty.Store(true)
	g.call("GET", "/v1/events/"+m.id, m.token, nil, "X-Forwarded-For", "192.0.2.9").want(t, 500)
	g.faulty.Store(false)
	g.wantPanics("handler", 1)
	m.fill(1)
}

// What the server could not read is answered by a hook of its own.
func TestRescue_ErrorReply(t *testing.T) {
	g := newFaultyRig(t, 1)
	m := g.allocate()
	all := g.relay.requests
	g.relay.requests = stats.NewRequests(operations[:opNone])
	w := g.dial()
	w.out = nil
	w.send("no request\n\n")
	w.reply("GET").want(t, 500)
	w.ends()
	g.relay.requests = all
	g.wantPanics("error reply", 1)
	m.fill(1)
}

// A connection that can't be taken is closed, and the next one is taken.
func TestRescue_Accept(t *testing.T) {
	g := newFaultyRig(t, 1, func(o *rigOptions) { o.relay.MaxConns = 1 })
	w := g.dial()
	get := func() {
		w.send("GET /healthz HTTP/1.1\nHost: x\n\n")
		w.reply("GET").want(t, 200)
	}
	get()
	live := g.relay.live.Swap(nil)
	turned := g.dial() // the reply that it is to get needs what is not there
	if b, err := io.ReadAll(turned); len(b) > 0 {
		t.Errorf("%q, %v", b, err)
	}
	g.wantPanicsLater(live, "accept")
	get()
	if n := g.relay.conns.Len(); n != 1 {
		t.Errorf("%d connections counted, want 1", n)
	}
}

// wantPanicsLater puts back what the panic needed first.
func (f *faultyRig) wantPanicsLater(live *Live, in string) {
	f.Helper()
	f.eventually("the panic", func() bool { return f.relay.panics.Load() == 1 })
	f.relay.live.Store(live)
	f.wantPanics(in, 1)
}

// faultyHead panics when it is given the head of a reply.
type faultyHead struct{}

func (faultyHead) TakeHead([]byte) { panic("BUG: a panic for this test") }

// Faults of a connection's own methods close it, whoever calls them.
func TestRescue_Connection(t *testing.T) {
	for in, poison := range map[string]func(*conn.Conn){
		"write": func(c *conn.Conn) { c.GiveHead(faultyHead{}) },
		"close": func(c *conn.Conn) { c.Opens(new(stream.Stream)) }, // which nobody opened
	} {
		t.Run(in, func(t *testing.T) {
			g := newFaultyRig(t, 1)
			defer withHandler(routeStats, func(_ *Relay, req request) error {
				poison(req.conn)
				req.ctx.Response.SetBodyRaw([]byte("a reply"))
				req.ctx.SetConnectionClose()
				return nil
			})()
			w := g.dial()
			w.out = nil
			w.send("GET /stats.json HTTP/1.1\nHost: x\n\n")
			io.ReadAll(w)
			g.wantPanics(in, 1)
			g.eventually("its place is free", func() bool { return g.relay.conns.Len() == 0 })
			g.allocate().fill(1)
		})
	}
}

// A fault in a read is told to the client, where it can still be told.
func TestRescue_Read(t *testing.T) {
	var faulty atomic.Bool
	g := newFaultyRig(t, 1, func(o *rigOptions) {
		o.relay.RequestBytes = 150_000 // so that whatever must be waited for is booked, by this clock
		o.relay.arrivalsNow = func() int64 {
			if faulty.Swap(false) {
				panic("BUG: a panic for this test")
			}
			return time.Now().UnixNano()
		}
	})
	g.undescribed = true
	w := g.dial()
	w.send("GET /stats.json HTTP/1.1\nHost: x\n\n")
	w.reply("GET").want(t, 200)
	faulty.Store(true)
	w.send("GET /heal")
	if !w.reply("GET").want(t, 500).close {
		t.Error("the connection goes on")
	}
	g.wantPanics("read", 1)
	g.allocate().fill(1)
}

// A goroutine's panic is its own affair.
func TestRescue_Goroutine(t *testing.T) {
	g := newFaultyRig(t, 1)
	g.relay.spawn("faulty", func() { faultyHandler(nil) })
	g.wantPanics("faulty", 1)
}

// faultyWriter is a part of upstream that panics on behalf of a body.
type faultyWriter struct{}

func (faultyWriter) Write([]byte) (int, error) { return 0, faultyHandler(nil) }

// Bodies that write themselves are called by upstream, behind the handler.
func TestRescue_Bodies(t *testing.T) {
	g := newFaultyRig(t, 2)
	m := g.allocate()
	m.fill(3)
	id, _ := cow.ParseID([]byte(m.id))
	p := g.relay.conns.NewPage(nil)
	if err := g.store.Window(g.store.Slot(id), cow.Oldest(), 10, &p.Window); err != nil {
		t.Fatal(err)
	}
	for in, body := range map[string]io.WriterTo{"page": p, "rows": rowsBody{g.relay.recorder.Rows(1, time.Now()), g.relay}} {
		if _, err := body.WriteTo(faultyWriter{}); !errors.Is(err, conn.ErrFault) {
			t.Errorf("%s: %v", in, err)
		}
	}
	p.Close()
	g.wantPanics("page", 2)
	g.wantPanics("rows", 2)
}

// net/http ends the connection by itself; the fault is counted all the same.
func TestRescue_Admin(t *testing.T) {
	g := newFaultyRig(t, 1)
	o := newOperator(g.rig, true, "")
	o.admin.Attach(faultyFigures{g.relay}, g.store)
	srv := httptest.NewServer(o.admin)
	defer srv.Close()
	if res, err := srv.Client().Get(srv.URL + "/admin/v1/status"); err == nil {
		t.Errorf("status %d", res.StatusCode)
	}
	g.wantPanics("admin", 1)
	if res, err := srv.Client().Get(srv.URL + "/healthz"); err != nil || res.StatusCode != 200 {
		t.Errorf("%v %v", res, err)
	}
}

// faultyFigures is a relay that panics when operators ask what it does.
type faultyFigures struct{ *Relay }

func (faultyFigures) Figures() stats.Figures {
	faultyHandler(nil)
	return stats.Figures{}
}
