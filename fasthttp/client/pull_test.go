package client_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"cowrelay/fasthttp/client"
)

// mixed is events of which those for which id says no have none.
func mixed(n int, id func(int) bool) (list []json.RawMessage) {
	for i := range n {
		if id(i) {
			list = append(list, withID(i))
		} else {
			list = append(list, without(i))
		}
	}
	return list
}

// From any place to the end, whatever has ids and however short the pages are.
func TestPull_FromEveryPlace(t *testing.T) {
	for name, id := range map[string]func(int) bool{
		"all":    func(int) bool { return true },
		"none":   func(int) bool { return false },
		"third":  func(i int) bool { return i%3 == 1 },
		"middle": func(i int) bool { return i == 20 },
	} {
		for _, pageBytes := range []int{0, 1 << 10, -1} { // -1: without positions
			t.Run(fmt.Sprint(name, pageBytes), func(t *testing.T) {
				g := newRig(t, max(pageBytes, 0))
				c := g.client()
				if pageBytes < 0 {
					c = newClient(t, g.plain())
				}
				s := g.allocate(c)
				events := mixed(40, id)
				mustPost(t, s, events...)
				want := texts(events)
				var places []client.Cursor
				for e, err := range s.Pull(t.Context(), client.Cursor{}, 0) {
					if err != nil {
						t.Fatal(err)
					}
					places = append(places, e.Cursor)
				}
				if len(places) != len(want) {
					t.Fatalf("%d events", len(places))
				}
				for i, at := range places {
					same(t, at.String(), pull(t, s, at, 0), want[i+1:])
					same(t, at.String()+", two", pull(t, s, at, 2), want[i+1:min(i+3, len(want))])
				}
				same(t, "unknown id", pull(t, s, client.After("unknown"), 0), want)
			})
		}
	}
}

// A page that ends for its bytes amid events without id is no obstacle with positions.
// Without them it is told, not taken for the end, and not asked for for ever.
func TestPull_StuckIsTold(t *testing.T) {
	g := newRig(t, 1<<10)
	s := g.allocate(g.client())
	mustPost(t, s, withID(0))
	long := strings.Repeat("x", 300)
	for range 10 {
		mustPost(t, s, json.RawMessage(`{"x":"`+long+`"}`))
	}
	mustPost(t, s, withID(1))
	if got := pull(t, s, client.Cursor{}, 0); len(got) != 12 {
		t.Errorf("%d events", len(got))
	}
	plain := newClient(t, g.plain()).Slot(s.ID, s.Token)
	n := 0
	var err error
	for _, err = range plain.Pull(t.Context(), client.Cursor{}, 0) {
		n++
	}
	var stuck *client.NoCursorError
	if !errors.Is(err, client.ErrNoCursor) || !errors.As(err, &stuck) || stuck.At != (client.Cursor{ID: "e0", Skip: n - 2}) {
		t.Fatalf("after %d: %v", n, err)
	}
	// A stream has no pages.
	n = 0
	for e, err := range plain.Tail(t.Context(), stuck.At) {
		if err != nil {
			t.Fatal(err)
		}
		if n++; e.ID == "e1" {
			break
		}
	}
	if n != 10-stuck.At.Skip+1 {
		t.Errorf("%d events behind %v", n, stuck.At)
	}
}

func TestPull_ThousandWithoutID(t *testing.T) {
	g := newRig(t, 0)
	s := g.allocate(g.client())
	plain := newClient(t, g.plain()).Slot(s.ID, s.Token)
	events := mixed(1001, func(int) bool { return false })
	for _, err := range s.PostMany(t.Context(), slices.Values(events[:1000]), 32) {
		if err != nil {
			t.Fatal(err)
		}
	}
	for _, s := range []*client.Slot{s, plain} {
		if got := pull(t, s, client.Cursor{}, 0); len(got) != 1000 { // the count says that this is the end
			t.Fatalf("%d events", len(got))
		}
	}
	mustPost(t, s, events[1000])
	got := pull(t, s, client.Cursor{}, 0)
	if len(got) != 1001 || got[1000] != string(events[1000]) {
		t.Fatalf("%d events", len(got))
	}
	n := 0
	for _, err := range plain.Pull(t.Context(), client.Cursor{}, 0) {
		if n++; err != nil && (n != 1001 || !errors.Is(err, client.ErrNoCursor)) {
			t.Fatalf("event %d: %v", n, err)
		}
	}
	if n != 1001 {
		t.Errorf("%d", n)
	}
}

// The newest events, with and without positions, and what follows them.
func TestPull_Last(t *testing.T) {
	for _, pageBytes := range []int{0, 1 << 10} {
		g := newRig(t, pageBytes)
		s := g.allocate(g.client())
		plain := newClient(t, g.plain()).Slot(s.ID, s.Token)
		events := mixed(1200, func(i int) bool { return i%100 == 7 })
		check := func(n int, want []json.RawMessage) {
			t.Helper()
			for i, s := range []*client.Slot{s, plain} {
				if i == 1 && pageBytes > 0 {
					continue // it would be stuck
				}
				var got []string
				var at client.Cursor
				for e, err := range s.Last(t.Context(), n) {
					if err != nil {
						t.Fatal(err)
					}
					got, at = append(got, string(e.JSON)), e.Cursor
				}
				same(t, fmt.Sprint("last ", n), got, texts(want))
				if n > 0 {
					same(t, "behind", pull(t, s, at, 0), nil)
				}
			}
		}
		check(5, nil)
		for _, err := range s.PostMany(t.Context(), slices.Values(events), 1) {
			if err != nil {
				t.Fatal(err)
			}
		}
		for _, n := range []int{0, 1, 10, 999, 1000, 1001, 1200, 5000} {
			check(n, events[max(0, len(events)-n):])
		}
	}
}

// A place is asked for by position where its id says nothing, and a place behind the
// slot's end is an error, not silence.
func TestPull_Positions(t *testing.T) {
	g := newRig(t, 0)
	s := g.allocate(g.client())
	events := mixed(10, func(i int) bool { return i == 2 })
	mustPost(t, s, events...)
	for n := range events {
		same(t, fmt.Sprint("at ", n), pull(t, s, client.At(uint64(n)), 0), texts(events[n:]))
		if n > 0 {
			moved := client.Cursor{ID: "unknown", Pos: uint64(n)}
			same(t, fmt.Sprint("by position ", n), pull(t, s, moved, 0), texts(events[n:]))
		}
	}
	for e, err := range s.Pull(t.Context(), client.After("e2"), 1) {
		if pos, known := e.Cursor.Position(); err != nil || !known || pos != 4 {
			t.Errorf("behind %s: %d, %v", e.JSON, pos, err)
		}
	}
	if end, err := s.End(t.Context()); err != nil || end != 10 {
		t.Errorf("end %d, %v", end, err)
	}
	if _, err := newClient(t, g.plain()).Slot(s.ID, s.Token).End(t.Context()); !errors.Is(err, client.ErrNotOffered) {
		t.Error(err)
	}
	far := client.Cursor{ID: "e2", Pos: 11}
	for _, err := range s.Pull(t.Context(), far, 0) {
		if !errors.Is(err, client.ErrNoCursor) {
			t.Error(err)
		}
	}
	for _, err := range s.Tail(t.Context(), far) {
		if !errors.Is(err, client.ErrNoCursor) {
			t.Error(err)
		}
	}
	if _, err := s.Wait(t.Context(), far, time.Second); !errors.Is(err, client.ErrNoCursor) {
		t.Error(err)
	}
}

func TestPull_Wait(t *testing.T) {
	g := newRig(t, 0)
	testWait(t, g.allocate(g.client()))
	t.Run("without positions", func(t *testing.T) { testWait(t, g.allocate(newClient(t, g.plain()))) })
}

func testWait(t *testing.T, s *client.Slot) {
	if got, err := s.Wait(t.Context(), client.Cursor{}, 0); err != nil || len(got) != 0 {
		t.Errorf("no wait: %v, %v", got, err)
	}
	at := client.Cursor{}
	for i, e := range []json.RawMessage{withID(0), without(1), without(2), withID(3)} {
		waited := make(chan []client.Event, 1)
		go func() {
			got, err := s.Wait(t.Context(), at, time.Minute)
			if err != nil {
				t.Error(err)
			}
			waited <- got
		}()
		if i%2 == 1 { // else most likely it comes first
			time.Sleep(20 * time.Millisecond)
		}
		mustPost(t, s, e)
		got := <-waited
		if len(got) != 1 || string(got[0].JSON) != string(e) {
			t.Fatalf("%d: %+v", i, got)
		}
		at = got[0].Cursor
	}
	for _, at := range []client.Cursor{client.After("e3"), {ID: "e0", Skip: 3}} {
		if got, err := s.Wait(t.Context(), at, 10*time.Millisecond); err != nil || len(got) != 0 {
			t.Errorf("%v: %v, %v", at, got, err)
		}
	}
}

// A relay that answers pages with nothing new in them does not hold a reader.
func TestPull_EndsOnFakes(t *testing.T) {
	for name, page := range map[string]string{
		"the same for ever": `[{"event_id":"a"},{"n":1}]`, "not json": `<html>`, "an object": `{}`, "cut": `[{"a":1}`, "behind it": `[] []`, "null": `null`,
	} {
		f := newFake(t, func(n int, w http.ResponseWriter, _ *http.Request) {
			if n > 100 {
				t.Errorf("%s: asked 100 times", name)
			}
			w.Write([]byte(page))
		})
		s := newClient(t, f.URL).Slot("s", "t")
		n := 0
		var err error
		for _, err = range s.Pull(t.Context(), client.Cursor{}, 50) {
			if n++; n > 1000 {
				t.Fatal("no end")
			}
		}
		if name != "the same for ever" && !errors.Is(err, client.ErrReply) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
