package client_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"cowrelay/fasthttp/client"
)

func TestClient_ASlotsLife(t *testing.T) {
	g := newRig(t, 0)
	c := g.client()
	ctx := t.Context()
	s := g.allocate(c)
	if text := fmt.Sprintf("%v %+v %#v %s", s, s, s, s); strings.Contains(text, s.Token) {
		t.Errorf("a slot prints its token: %s", text)
	}
	for n, want := range []client.Posted{{ID: "e1"}, {ID: "e1", Duplicate: true}} {
		if p, err := s.Post(ctx, withID(1)); err != nil || p != want {
			t.Errorf("post %d: %+v, %v", n, p, err)
		}
	}
	if p, err := s.Post(ctx, []byte(` {"b" : 1.50, "a":{}} `)); err != nil || p.ID != "" || p.Duplicate {
		t.Errorf("without id: %+v, %v", p, err)
	}
	same(t, "pull", pull(t, s, client.Cursor{}, 0), []string{string(withID(1)), `{"b":1.50,"a":{}}`})
	h := client.Health{Status: "ok", SetAt: "now", Reason: "none"}
	if err := s.SetHealth(ctx, h); err != nil {
		t.Error(err)
	}
	st, err := s.State(ctx)
	if err != nil || st.SlotID != s.ID || st.EventCount != 2 || st.LastPullAtUnix == nil || *st.ResponderHealth != h {
		t.Errorf("state: %+v, %v", st, err)
	}
	if err := s.Delete(ctx); err != nil {
		t.Error(err)
	}
	if _, err := s.State(ctx); !errors.Is(err, client.ErrGone) {
		t.Errorf("a deleted slot: %v", err)
	}
}

func TestClient_ErrorsOfTheRelay(t *testing.T) {
	g := newRig(t, 0)
	c := g.client()
	s := g.allocate(c)
	big := []byte(`{"text":"` + strings.Repeat("x", 300_000) + `"}`)
	for _, x := range []struct {
		slot     *client.Slot
		event    string
		is       error
		hopeless bool
	}{
		{c.Slot(s.ID, ""), `{}`, client.ErrUnauthorized, true},
		{c.Slot(s.ID, "wrong"), `{}`, client.ErrForbidden, true},
		{c.Slot(strings.Repeat("0", 32), s.Token), `{}`, client.ErrGone, true},
		{c.Slot("../../healthz?", s.Token), `{}`, client.ErrGone, true},
		{s, `[]`, client.ErrBadRequest, false},
		{s, `{"n":1e999}`, client.ErrBadRequest, false},
		{s, string(big), client.ErrTooLarge, false},
		{s, `{"a":`, client.ErrNotJSON, false},
		{s, `{},"x":{}`, client.ErrNotJSON, false},
		{s, ``, client.ErrNotJSON, false},
	} {
		_, err := x.slot.Post(t.Context(), []byte(x.event))
		if !errors.Is(err, x.is) || client.Hopeless(err) != x.hopeless {
			t.Errorf("%s %.20s: %v", x.slot, x.event, err)
		}
		var no *client.Error
		if errors.As(err, &no) && (no.Message == "" || no.Foreign) {
			t.Errorf("%.20s: %+v", x.event, no)
		}
	}
	var no *client.Error
	if _, err := s.Post(t.Context(), big); !errors.As(err, &no) || string(no.Fields["max_bytes"]) != "262144" || no.Status != 413 {
		t.Errorf("%+v", no)
	}
	same(t, "nothing is stored", pull(t, s, client.Cursor{}, 0), nil)
}

// What is full ends many posts, and the rest is not asked for.
func TestClient_SlotFull(t *testing.T) {
	f := newFake(t, func(n int, w http.ResponseWriter, _ *http.Request) {
		if n <= 20 {
			w.WriteHeader(http.StatusCreated)
			fmt.Fprint(w, `{"event_id":null,"status":"stored"}`)
			return
		}
		w.WriteHeader(http.StatusRequestEntityTooLarge)
		fmt.Fprint(w, `{"error":"the slot is full","slot_bytes_used":67108860,"slot_bytes_max":67108864}`)
	})
	for _, parallel := range []int{1, 8} {
		f.requests.Store(0)
		events := func(yield func(json.RawMessage) bool) {
			for n := 0; yield(without(n)); n++ {
			}
		}
		n := 0
		for _, err := range newClient(t, f.URL).Slot("s", "t").PostMany(t.Context(), events, parallel) {
			n++
			if err != nil && !errors.Is(err, client.ErrSlotFull) || errors.Is(err, client.ErrTooLarge) {
				t.Fatal(err)
			}
		}
		if n > 21 || f.requests.Load() > 21+2*8 {
			t.Errorf("ended after %d results, %d posts", n, f.requests.Load())
		}
	}
}

func TestClient_New(t *testing.T) {
	for _, url := range []string{"", "127.0.0.1:8770", "ftp://x", "http://", "http://u:p@x", "http://x?a=b", "http://x/#y", "http://%zz"} {
		if c, err := client.New(url, client.Options{}); err == nil || strings.Contains(err.Error(), "u:p") {
			t.Errorf("%q: %v, %v", url, c, err)
		}
	}
	g := newRig(t, 0)
	g.allocate(newClient(t, "http://"+g.addr+"//")) // slashes at the end
}

func TestClient_PostManyKeepsOrder(t *testing.T) {
	g := newRig(t, 0)
	c := g.client()
	var events []json.RawMessage
	for n := range 300 {
		events = append(events, withID(n))
	}
	events[100], events[200] = json.RawMessage(`[]`), json.RawMessage(`{`)
	for _, parallel := range []int{0, 16} {
		s := g.allocate(c)
		n, failed := 0, []int{}
		for p, err := range s.PostMany(t.Context(), slices.Values(events), parallel) {
			if err != nil {
				failed = append(failed, n)
			} else if p.ID != fmt.Sprint("e", n) || p.Duplicate {
				t.Fatalf("result %d is of %+v", n, p)
			}
			n++
		}
		if n != len(events) || !slices.Equal(failed, []int{100, 200}) {
			t.Fatalf("%d results, failed %v", n, failed)
		}
		want := slices.Concat(texts(events[:100]), texts(events[101:200]), texts(events[201:]))
		got := pull(t, s, client.Cursor{}, 0)
		if parallel > 1 { // any order
			slices.Sort(got)
			slices.Sort(want)
		}
		same(t, fmt.Sprint("parallel ", parallel), got, want)

		for range s.PostMany(t.Context(), slices.Values(events), parallel) {
			break // and the others are waited for: no goroutine is left, see TestMain
		}
	}
}

func TestClient_EventID(t *testing.T) {
	for event, want := range map[string]string{
		`{"event_id":"a"}`: "a", `{"x":{"event_id":"b"},"event_id":"a"}`: "a", `{"event\u005fid":"\u0061\n"}`: "a\n",
		`{"event_id":1}`: "", `{"x":{"event_id":"b"}}`: "", `{"EVENT_ID":"b"}`: "", `{}`: "", `[]`: "", ``: "", `{"a":{"x":1,"x":2},"event_id":"c"}`: "c",
	} {
		if got := client.EventID([]byte(event)); got != want {
			t.Errorf("%s: %q, want %q", event, got, want)
		}
	}
}
