package fleet

import (
	"context"
	"fmt"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"cowrelay/cmd/cowrelay/internal/relaytest"
)

// All relays and all servers are restarted, one after the other, while a client posts
// and another reads a stream. Both go to another relay when theirs leaves. Every event
// is there once, in one order, and the stream had each once.
func TestFleet_RollingRestart(t *testing.T) {
	t.Parallel()
	f := newFleetAlone(t).start(3)
	var mu sync.Mutex // guards f.relays while the clients run
	relay := func(i int) *relaytest.Relay {
		mu.Lock()
		defer mu.Unlock()
		return f.relays[i%3]
	}
	s := f.relays[0].Allocate()

	var posted, sent, streamAt atomic.Int64
	var heard []string // by the stream; guarded by heardMu
	var heardMu sync.Mutex
	first, err := relaytest.OpenStream(relay(1), s, "")
	if err != nil {
		t.Fatal(err)
	}
	go func() { // ends with the test's relays
		last := ""
		st, err := first, error(nil)
		for at := 1; ; at++ {
			streamAt.Store(int64(at))
			if at > 1 {
				st, err = relaytest.OpenStream(relay(at), s, last)
			}
			for err == nil {
				var ev relaytest.StreamedEvent
				if ev, err = st.Next(); err == nil {
					last = ev.ID
					heardMu.Lock()
					heard = append(heard, ev.ID)
					heardMu.Unlock()
				}
			}
			if st != nil {
				st.Conn.Close()
			}
			select {
			case <-t.Context().Done():
				return
			case <-time.After(20 * time.Millisecond):
			}
		}
	}()

	stop, done := make(chan struct{}), make(chan struct{})
	end := sync.OnceFunc(func() {
		close(stop)
		<-done
	})
	defer end()
	go func() {
		defer close(done)
		client := &http.Client{Timeout: 15 * time.Second}
		for at := 0; ; {
			select {
			case <-stop:
				return
			default:
			}
			body := relaytest.PostBody(relaytest.Event("e", int(posted.Load()), 200))
			sent.Add(1)
			res, _, err := s.Send(client, "POST", relay(at).EventsURL(s), body)
			if err != nil || res.StatusCode > 201 {
				at++ // as a balancer would
				time.Sleep(20 * time.Millisecond)
				continue
			}
			posted.Add(1)
		}
	}()

	goesOn := func(what string) {
		t.Helper()
		from := posted.Load()
		eventually(t, "posts after "+what, 20*time.Second, func() bool { return posted.Load() > from+5 })
	}
	for i := range 3 {
		goesOn(fmt.Sprintf("%d relays were restarted", i))
		f.relays[i].Stop()
		goesOn(fmt.Sprintf("relay %d stopped", i))
		next := f.on(f.dirs[i], fmt.Sprintf("r%d", i+1)).Start()
		mu.Lock()
		f.relays[i] = next
		mu.Unlock()
	}
	for _, server := range f.nats.Servers {
		if err := server.Stop(); err != nil {
			t.Fatal(err)
		}
		goesOn(server.Name + " stopped")
		if err := server.Start(); err != nil {
			t.Fatal(err)
		}
		if err := f.nats.Await(context.Background()); err != nil {
			t.Fatal(err)
		}
		goesOn(server.Name + " is back")
	}
	end()

	n := int(posted.Load())
	t.Logf("%d events in %d posts", n, sent.Load())
	all := func(list []string) error {
		for i, id := range list {
			if want := fmt.Sprintf("e-%d", i); id != want {
				return fmt.Errorf("at %d of %d stands %s, not %s", i, n, id, want)
			}
		}
		if len(list) < n || len(list) > n+1 { // the last post may have been under way
			return fmt.Errorf("%d events of %d", len(list), n)
		}
		return nil
	}
	for i, r := range f.relays {
		var list []string
		eventually(t, "all events at each relay", 10*time.Second, func() bool {
			list = list[:0]
			for _, e := range r.Pull(s, "") {
				list = append(list, relaytest.EventID(e))
			}
			return len(list) >= n
		})
		if err := all(list); err != nil {
			t.Errorf("relay %d: %v", i, err)
		}
	}
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(10 * time.Millisecond) {
		heardMu.Lock()
		err := all(heard)
		heardMu.Unlock()
		if err == nil {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("the stream, at relay %d: %v", streamAt.Load()%3, err)
		}
	}
}
