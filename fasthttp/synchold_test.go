package fasthttp

import (
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"
)

// syncGate holds back every sync of the write-ahead log while it is shut.
type syncGate struct {
	mu     sync.Mutex
	opened chan struct{} // nil while open
	held   int           // syncs that wait, or waited
}

func (s *syncGate) fs() vfs.FS {
	return errorfs.Wrap(vfs.NewMem(), errorfs.InjectorFunc(func(op errorfs.Op) error {
		switch op.Kind {
		case errorfs.OpFileSync, errorfs.OpFileSyncData, errorfs.OpFileSyncTo, errorfs.OpFileFlush:
			s.mu.Lock()
			opened := s.opened
			if opened != nil && strings.HasSuffix(op.Path, ".log") {
				s.held++
			}
			s.mu.Unlock()
			if opened != nil {
				<-opened
			}
		}
		return nil
	}))
}

func (s *syncGate) shut() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.opened, s.held = make(chan struct{}), 0
}

func (s *syncGate) open() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.opened != nil {
		close(s.opened)
		s.opened = nil
	}
}

func (s *syncGate) waits() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.held > 0
}

// I4: while the sync has not returned, nobody sees the event: not its poster,
// not a second poster of the same id, no pull, no long poll, no stream, no
// count. Readers of what is durable go on meanwhile.
func TestSyncHeld_NobodySeesTheEvent(t *testing.T) {
	var gate syncGate
	g := newRig(t, func(o *rigOptions) {
		o.log.FS = gate.fs()
		o.store.StallAfter = time.Minute
	})
	t.Cleanup(gate.open)
	m, other := g.allocate(), g.allocate()
	m.fill(2)
	other.fill(50)
	live, replay := m.stream("", ""), m.stream("?since=e0", "")
	replay.want(1, 2)
	poll := m.longPoll("?since=e1&wait=25")
	g.eventually("the poll waits", func() bool { return g.relay.polls.Len() == 1 })

	gate.shut()
	post := func(m mailbox, event string) <-chan reply {
		ch := make(chan reply, 1)
		go func() {
			r, err := m.tryCall("POST", "/v1/events/"+m.id, m.token, `{"event":`+event+`}`)
			if err != nil {
				r.body = err.Error()
			}
			ch <- r
		}()
		return ch
	}
	first := post(m, eventN(2))
	g.eventually("the sync is held", gate.waits)
	twin := post(m, eventN(2))
	elsewhere := post(other, eventN(50))
	late := m.stream("?since=e1", "")
	for end := time.Now().Add(400 * time.Millisecond); time.Now().Before(end); {
		if got := m.pull("?since=e1"); len(got) != 0 {
			t.Fatalf("pulled before it is durable: %v", got)
		}
		if got := m.pull("?since=e2"); len(got) != 2 { // an unknown id reads from the oldest
			t.Fatalf("its id is known before it is durable: %v", got)
		}
		if n := m.state().field(t, "event_count"); n != 2.0 {
			t.Fatalf("counted before it is durable: %v", n)
		}
		// I7: what is durable is served at once.
		start := time.Now()
		if got := other.pull("?limit=1000"); len(got) != 50 || time.Since(start) > 10*time.Second {
			t.Fatalf("a reader of another slot: %d events after %v", len(got), time.Since(start))
		}
		other.stream("?since=e48", "").want(49, 50)
		time.Sleep(10 * time.Millisecond)
	}
	for name, s := range map[string]*sse{"live": live, "replay": replay, "late": late} {
		s.silent(20 * time.Millisecond)
		_ = name
	}
	for name, ch := range map[string]<-chan reply{"post": first, "duplicate": twin, "other post": elsewhere, "long poll": poll} {
		select {
		case r := <-ch:
			t.Errorf("the %s was answered while the sync was held: %d %s", name, r.status, r.body)
		default:
		}
	}
	gate.open()
	(<-first).want(t, 201)
	(<-twin).want(t, 200)
	(<-elsewhere).want(t, 201)
	if r := (<-poll).want(t, 200); r.body != "["+eventN(2)+"]" {
		t.Errorf("long poll: %s", r.body)
	}
	for _, s := range []*sse{live, replay, late} {
		s.want(2, 3)
	}
	if got := m.pull(""); len(got) != 3 {
		t.Errorf("%d events, want 3", len(got))
	}
}

// While a commit hangs, new posts are turned away soon, with Retry-After, and
// the posts in flight are answered when it ends. Nothing refused is stored.
func TestSyncHeld_NewPostsAreTurnedAway(t *testing.T) {
	var gate syncGate
	g := newRig(t, func(o *rigOptions) {
		o.log.FS = gate.fs()
		o.store.StallAfter = 100 * time.Millisecond
	})
	t.Cleanup(gate.open)
	m := g.allocate()
	gate.shut()
	done := make(chan reply, 1)
	go func() {
		r, _ := m.tryCall("POST", "/v1/events/"+m.id, m.token, `{"event":`+eventN(0)+`}`)
		done <- r
	}()
	g.eventually("the sync is held", gate.waits)
	time.Sleep(150 * time.Millisecond)
	for _, call := range []func() reply{
		func() reply { return m.post(eventN(1)) },
		func() reply { return g.call("POST", "/v1/slot/allocate", "", "{}") },
		func() reply { return g.call("DELETE", "/v1/slot/"+m.id, m.owner, nil) },
	} {
		if r := call().want(t, 503); r.header.Get("Retry-After") == "" {
			t.Error("503 without Retry-After")
		}
	}
	gate.open()
	(<-done).want(t, 201)
	m.post(eventN(2)).want(t, 201)
	if got := m.pull(""); len(got) != 2 || got[1] != eventN(2) {
		t.Errorf("after the stall: %v", got)
	}
	if n := metric(g, `cowrelay_posts_refused_total{reason="stalled"}`); n < 1 {
		t.Errorf("%v posts counted as turned away", n)
	}
}

// A nearly full disk: 507 before the journal sees the post, readers unharmed,
// and posts go on when there is room.
func TestNoSpace(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	free := uint64(1 << 40)
	set := func(n uint64) {
		mu.Lock()
		free = n
		mu.Unlock()
		time.Sleep(150 * time.Millisecond) // it is read every 100 ms
	}
	g := newRig(t, func(o *rigOptions) {
		o.store.Free = func() (uint64, error) {
			mu.Lock()
			defer mu.Unlock()
			return free, nil
		}
	})
	m, gone := g.allocate(), g.allocate()
	m.fill(2)
	set(1 << 20)
	for _, r := range []reply{m.post(eventN(2)), g.call("POST", "/v1/slot/allocate", "", "{}")} {
		if r.want(t, 507); r.header.Get("Retry-After") == "" {
			t.Error("507 without Retry-After")
		}
	}
	m.post(eventN(1)).want(t, 200) // a duplicate takes no room
	m.stream("?since=none", "").want(0, 2)
	if got := m.pull(""); len(got) != 2 {
		t.Errorf("%v", got)
	}
	g.call("DELETE", "/v1/slot/"+gone.id, gone.owner, nil).want(t, 204) // makes room
	set(1 << 40)
	m.post(eventN(2)).want(t, 201)
}
