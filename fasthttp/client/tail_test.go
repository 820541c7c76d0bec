package client_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"cowrelay/fasthttp/client"
)

// A tail over restarts of the relay, with events of both kinds posted before,
// while and after it is away, from every kind of place.
func TestTail_OverRestarts(t *testing.T) {
	for name, id := range map[string]func(int) bool{
		"all":   func(int) bool { return true },
		"none":  func(int) bool { return false },
		"third": func(i int) bool { return i%3 == 1 },
	} {
		for _, from := range []string{"beginning", "middle", "now", "beginning, plain", "middle, plain", "now, plain"} {
			t.Run(name+" "+from, func(t *testing.T) {
				g := newRig(t, 0)
				from, plain := strings.CutSuffix(from, ", plain")
				var backs atomic.Int64
				told := func(o *client.Options) { o.OnBack = func() { backs.Add(1) } }
				c := g.client(told)
				if plain {
					c = newClient(t, g.plain(), told)
				}
				s := g.allocate(c)
				events := mixed(60, id)
				mustPost(t, s, events[:20]...)
				got := make(chan client.Event, 100)
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				tail, first := s.TailNew(ctx), 20
				switch from {
				case "beginning":
					tail, first = s.Tail(ctx, client.Cursor{}), 0
				case "middle":
					var at client.Cursor
					for e := range s.Pull(ctx, at, 10) {
						at = e.Cursor
					}
					tail, first = s.Tail(ctx, at), 10
				}
				ended := make(chan error, 1)
				go func() {
					for e, err := range tail {
						if err != nil {
							ended <- err
							return
						}
						got <- e
					}
				}()
				eventually(t, "the stream is open", func() bool { return g.store.Stats().Subscribers.Load() == 1 })
				next := first
				for round := range 4 {
					mustPost(t, s, events[20+round*10:30+round*10]...)
					for ; next < 30+round*10; next++ {
						select {
						case e := <-got:
							if string(e.JSON) != string(events[next]) || e.ID != client.EventID(events[next]) {
								t.Fatalf("got %s, want %s", e.JSON, events[next])
							}
						case err := <-ended:
							t.Fatalf("ended: %v", err)
						case <-time.After(time.Minute):
							t.Fatalf("event %d does not come", next)
						}
					}
					if round < 3 {
						g.stop()
						g.start()
					}
				}
				cancel()
				if err := <-ended; !errors.Is(err, context.Canceled) {
					t.Errorf("it ended with %v", err)
				}
				if backs.Load() < 3 || len(got) > 0 {
					t.Errorf("%d reconnects told, %d events too many", backs.Load(), len(got))
				}
			})
		}
	}
}

// What is posted while TailNew finds out where now is, at a relay without positions,
// comes all the same.
func TestTail_NewInABusySlot(t *testing.T) {
	for name, id := range map[string]func(int) bool{
		"all":  func(int) bool { return true },
		"none": func(int) bool { return false },
	} {
		t.Run(name, func(t *testing.T) {
			g := newRig(t, 0)
			before := g.plain()
			events := mixed(30, id)
			s := g.allocate(g.client())
			mustPost(t, s, events[:10]...)
			// In front of the relay stands who posts between two looks at the
			// slot's state.
			relay := httputil.NewSingleHostReverseProxy(&url.URL{Scheme: "http", Host: strings.TrimPrefix(before, "http://")})
			relay.FlushInterval = -1
			var looks atomic.Int64
			front := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if strings.HasSuffix(r.URL.Path, "/state") && looks.Add(1) == 2 {
					mustPost(t, s, events[10:20]...)
				}
				relay.ServeHTTP(w, r)
			}))
			defer front.Close()
			defer front.CloseClientConnections()
			next := 10
			for e, err := range newClient(t, front.URL).Slot(s.ID, s.Token).TailNew(t.Context()) {
				if err != nil {
					t.Fatal(err)
				}
				if string(e.JSON) != string(events[next]) {
					t.Fatalf("got %s, want %s", e.JSON, events[next])
				}
				if next++; next == 20 {
					mustPost(t, s, events[20:]...)
				}
				if next == len(events) {
					break
				}
			}
			if looks.Load() != 2 {
				t.Errorf("%d looks at the state", looks.Load())
			}
		})
	}
}

func TestTail_SlotGone(t *testing.T) {
	g := newRig(t, 0)
	c := g.client()
	s := g.allocate(c)
	ended := make(chan error, 1)
	go func() {
		for _, err := range s.TailNew(t.Context()) {
			ended <- err
		}
	}()
	eventually(t, "the stream is open", func() bool { return g.store.Stats().Subscribers.Load() == 1 })
	if err := s.Delete(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := <-ended; !errors.Is(err, client.ErrGone) {
		t.Error(err)
	}
	for _, err := range c.Slot(g.allocate(c).ID, "wrong").Tail(t.Context(), client.Cursor{}) {
		if !errors.Is(err, client.ErrForbidden) {
			t.Error(err)
		}
	}
}

// script is one answer after the other to requests for a stream: what is
// written, and whether the connection then hangs.
func script(t *testing.T, answers ...string) (*fake, chan string) {
	asked := make(chan string, 1000)
	f := newFake(t, func(n int, w http.ResponseWriter, r *http.Request) {
		asked <- r.URL.Query().Get("since")
		if n > len(answers) {
			w.WriteHeader(http.StatusNotFound)
			fmt.Fprint(w, `{"error":"unknown slot"}`)
			return
		}
		w.Header().Set("Content-Type", "text/event-stream; charset=utf-8")
		text, hang := strings.CutSuffix(answers[n-1], "HANG")
		for i := range text { // byte by byte is how it may come
			fmt.Fprint(w, text[i:i+1])
			w.(http.Flusher).Flush()
		}
		if hang {
			<-r.Context().Done()
		}
	})
	return f, asked
}

func TestTail_Frames(t *testing.T) {
	f, asked := script(t,
		"\uFEFF: hello\r\nid: a\r\ndata: {\"n\":1}\r\n\r\nid:b\rdata:{\rdata: \"n\":2}\r\rdata: {\"n\":3}\n\nevent: other\ndata: x\n\n: c\n\nid: lost\ndata: {\"half",
		// behind b the one without id comes again
		"data: {\"n\":3}\n\nid\ndata: {\"n\":4}\n\ndata: {\"n\":5}\nnonsense\nretry: 1x\n\nretry: 3\n\nHANG",
		"data: {\"n\":3}\n\ndata: {\"n\":4}\n\ndata: {\"n\":5}\n\nid: c\n\ndata: {\"n\":6}\n\n",
	)
	c := newClient(t, f.URL, func(o *client.Options) { o.Silence = 300 * time.Millisecond })
	var got []string
	var err error
	var e client.Event
	for e, err = range c.Slot("s", "t").Tail(t.Context(), client.Cursor{}) {
		if err == nil {
			got = append(got, string(e.JSON)+e.Cursor.String())
		}
	}
	if !errors.Is(err, client.ErrGone) {
		t.Fatal(err)
	}
	same(t, "events", got, []string{
		`{"n":1}event_id "a"`, "{\n\"n\":2}" + `event_id "b"`, `{"n":3}event 1 after event_id "b"`,
		`{"n":4}event 2 after event_id "b"`, `{"n":5}event 3 after event_id "b"`, `{"n":6}event_id "c"`,
	})
	for i, want := range []string{strings.Repeat("-", 129), "b", "b", "c"} {
		if id := <-asked; id != want {
			t.Errorf("request %d was for what is behind %q, want %q", i, id, want)
		}
	}
}

func TestTail_NastyServers(t *testing.T) {
	for name, serve := range map[string]func(w http.ResponseWriter, r *http.Request){
		"page of HTML": func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "<html>") },
		"a line without end": func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", "text/event-stream")
			for r.Context().Err() == nil {
				fmt.Fprint(w, "data: ", strings.Repeat("x", 10_000))
			}
		},
		"a frame without end": func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", "text/event-stream")
			for r.Context().Err() == nil {
				fmt.Fprint(w, "data: ", strings.Repeat("x", 10_000), "\n")
			}
		},
		"redirect":    func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/elsewhere", http.StatusFound) },
		"foreign 404": func(w http.ResponseWriter, r *http.Request) { http.NotFound(w, r) },
	} {
		f := newFake(t, func(_ int, w http.ResponseWriter, r *http.Request) { serve(w, r) })
		n := 0
		for _, err := range newClient(t, f.URL).Slot("s", "t").Tail(t.Context(), client.Cursor{}) {
			if n++; n > 1 || !errors.Is(err, client.ErrReply) || errors.Is(err, client.ErrGone) {
				t.Errorf("%s: %v", name, err)
			}
		}
		if f.requests.Load() != 1 {
			t.Errorf("%s: asked %d times", name, f.requests.Load())
		}
	}
}

// Refusals that pass are waited for, as long as they say.
func TestTail_WaitsForBusyRelay(t *testing.T) {
	f := newFake(t, func(n int, w http.ResponseWriter, _ *http.Request) {
		switch n {
		case 1:
			w.Header().Set("Retry-After", "1")
			w.WriteHeader(http.StatusServiceUnavailable)
			fmt.Fprint(w, `{"error":"too many streams"}`)
		case 2:
			w.WriteHeader(http.StatusBadGateway)
			fmt.Fprint(w, `<html>`)
		case 3:
			panic(http.ErrAbortHandler)
		default:
			w.Header().Set("Content-Type", "text/event-stream")
			fmt.Fprint(w, "data: {}\n\n")
		}
	})
	var waits []time.Duration
	c := newClient(t, f.URL, func(o *client.Options) {
		o.OnRetry = func(_ error, d time.Duration) { waits = append(waits, d) }
	})
	for e, err := range c.Slot("s", "t").Tail(t.Context(), client.Cursor{}) {
		if err != nil || string(e.JSON) != "{}" {
			t.Fatal(err)
		}
		break
	}
	if len(waits) < 2 || waits[0] < time.Second || waits[1] > time.Second {
		t.Errorf("waits %v", waits)
	}
}

// A caller that stops or is slow, and a context that ends, at any moment.
func TestTail_CallerStops(t *testing.T) {
	g := newRig(t, 0)
	s := g.allocate(g.client(func(o *client.Options) { o.Silence = 200 * time.Millisecond }))
	mustPost(t, s, mixed(3, func(int) bool { return true })...)
	for n := range 4 {
		ctx, cancel := context.WithCancel(t.Context())
		seen := 0
		for _, err := range s.Tail(ctx, client.Cursor{}) {
			if err != nil {
				break
			}
			if seen++; seen == n {
				time.Sleep(300 * time.Millisecond) // longer than a relay may be silent
			}
			if seen == 3 {
				cancel()
			}
		}
		cancel()
		if seen != 3 {
			t.Errorf("%d events", seen)
		}
	}
}

// What is posted after OnOpen was called comes on the stream, at relays with positions
// and without.
func TestTail_OnOpen(t *testing.T) {
	g := newRig(t, 0)
	for _, url := range []string{"http://" + g.addr, g.plain()} {
		opened := make(chan struct{}, 10)
		c := newClient(t, url, func(o *client.Options) { o.OnOpen = func() { opened <- struct{}{} } })
		s := g.allocate(c)
		mustPost(t, s, withID(1))
		ctx, cancel := context.WithCancel(t.Context())
		got := make(chan string, 10)
		go func() {
			defer close(got)
			for e := range s.TailNew(ctx) {
				got <- e.ID
			}
		}()
		select {
		case <-opened:
		case <-time.After(time.Minute):
			t.Fatal("the stream does not open")
		}
		second, err := s.Post(t.Context(), withID(2))
		if err != nil {
			t.Fatal(err)
		}
		select {
		case id := <-got:
			if id != second.ID {
				t.Errorf("%q came, want %q", id, second.ID)
			}
		case <-time.After(time.Minute):
			t.Error("the event does not come")
		}
		cancel()
		for range got {
		}
	}
}
