package client_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"cowrelay/fasthttp/client"
)

func lines(events ...json.RawMessage) (text []byte) {
	for _, e := range events {
		text = client.AppendLine(text, e)
	}
	return text
}

func TestBatch_Results(t *testing.T) {
	g := newRig(t, 0)
	s := g.allocate(g.client())
	mustPost(t, s, withID(1))
	pretty := json.RawMessage("{\n \"a\" : [\r\n 1.50 ]\n}")
	got, err := s.PostBatch(t.Context(), []json.RawMessage{without(0), withID(1), pretty, withID(2), withID(2)})
	if err != nil || got != (client.Batch{Stored: 3, Duplicates: 2, Next: 4}) {
		t.Fatalf("%+v, %v", got, err)
	}
	want := []string{string(withID(1)), string(without(0)), `{"a":[1.50]}`, string(withID(2))}
	same(t, "stored", pull(t, s, client.Cursor{}, 0), want)
	if got, err := s.PostBatch(t.Context(), []json.RawMessage{withID(2), withID(1)}); err != nil || got != (client.Batch{Duplicates: 2, Next: 4}) {
		t.Errorf("%+v, %v", got, err)
	}
	for _, x := range []struct {
		text string
		is   error
		line int
	}{
		{"{}\n[]\n", client.ErrBadRequest, 2}, {"{\"a\":1e999}\n{}", client.ErrBadRequest, 1}, {"{}\n\n{\n", client.ErrBadRequest, 3},
		{"{}\n{\"a\":\"" + strings.Repeat("x", 270_000) + "\"}\n", client.ErrTooLarge, 2},
		{strings.Repeat("{}\n", 1001), client.ErrTooLarge, 1001},
	} {
		_, err := s.PostLines(t.Context(), []byte(x.text))
		if !errors.Is(err, x.is) || client.FaultyLine(err) != x.line || errors.Is(err, client.ErrNotOffered) {
			t.Errorf("%.30q: line %d, %v", x.text, client.FaultyLine(err), err)
		}
	}
	for _, bad := range []string{`{}{}`, "{}\n{}", ``, `{`} {
		if _, err := s.PostBatch(t.Context(), []json.RawMessage{json.RawMessage(bad)}); !errors.Is(err, client.ErrNotJSON) {
			t.Errorf("%q: %v", bad, err)
		}
	}
	same(t, "nothing of it is stored", pull(t, s, client.Cursor{}, 0), want)
	if _, err := s.PostBatch(t.Context(), nil); !errors.Is(err, client.ErrBadRequest) {
		t.Errorf("no events: %v", err)
	}
	plain := newClient(t, g.plain()).Slot(s.ID, s.Token)
	if _, err := plain.PostBatch(t.Context(), []json.RawMessage{without(9)}); !errors.Is(err, client.ErrNotOffered) || !strings.Contains(err.Error(), "takes no batches") {
		t.Errorf("a relay without batches: %v", err)
	}
}

// cutting is a relay that loses answers to batches: of a post it may store nothing,
// or all, and let others post before and behind.
type cutting struct {
	*rig
	relay *httputil.ReverseProxy
	how   atomic.Pointer[func(n int, store func()) (cut bool)]
	posts atomic.Int64
}

func newCutting(g *rig) (c *cutting, addr string) {
	c = &cutting{rig: g, relay: httputil.NewSingleHostReverseProxy(&url.URL{Scheme: "http", Host: g.addr})}
	c.relay.ErrorLog = log.New(io.Discard, "", 0)
	s := httptest.NewServer(c)
	g.Cleanup(func() {
		s.CloseClientConnections()
		s.Close()
	})
	return c, s.URL
}

func (c *cutting) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodPost {
		c.relay.ServeHTTP(w, r)
		return
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		c.Error(err)
	}
	store := func() {
		r := r.Clone(r.Context())
		r.Body = io.NopCloser(bytes.NewReader(body))
		res := httptest.NewRecorder()
		c.relay.ServeHTTP(res, r)
		if res.Code != 201 && res.Code != 200 {
			c.Errorf("%d %s", res.Code, res.Body)
		}
	}
	if (*c.how.Load())(int(c.posts.Add(1)), store) {
		panic(http.ErrAbortHandler)
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	c.relay.ServeHTTP(w, r)
}

// Every answer to a batch is lost at first, after it was stored or before, while
// others post around it. Each event is stored once, and in order.
func TestAppender_LostAnswers(t *testing.T) {
	for name, id := range map[string]func(int) bool{
		"all":   func(int) bool { return true },
		"none":  func(int) bool { return false },
		"third": func(i int) bool { return i%3 == 1 },
		"last":  func(i int) bool { return i%10 >= 8 },
	} {
		for _, stored := range []bool{true, false} {
			t.Run(fmt.Sprint(name, " stored ", stored), func(t *testing.T) {
				t.Parallel()
				g := newRig(t, 2<<10)
				c, url := newCutting(g)
				s := newClient(t, url).Slot("", "")
				direct := g.allocate(g.client())
				s.ID, s.Token = direct.ID, direct.Token
				others := 0
				other := func() {
					others++
					mustPost(t, direct, json.RawMessage(fmt.Sprintf(`{"other":%d}`, others)), without(3)) // like one of ours
				}
				how := func(n int, store func()) bool {
					if n%2 == 0 {
						return false
					}
					other()
					if stored {
						store()
						other()
					}
					return true
				}
				c.how.Store(&how)
				a, err := s.Appender(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				events := mixed(30, id)
				for at := 0; at < len(events); at += 10 {
					if !stored && at > 0 && !id(0) {
						break // it looks for two seconds
					}
					got, err := a.PostLines(t.Context(), lines(events[at:at+10]...))
					if err != nil || got.Stored != 10 || got.Duplicates != 0 || !got.Repeated {
						t.Fatalf("%+v, %v", got, err)
					}
					if next, known := a.Next(); !known || next != got.Next {
						t.Errorf("next %d, %d", next, got.Next)
					}
					if stored {
						c.posts.Store(0) // so that the next is cut again
					}
				}
				sent := len(events)
				if !stored && !id(0) {
					sent = 10
				}
				all := pull(t, direct, client.Cursor{}, 0)
				for at := 0; at < sent; at += 10 {
					run := texts(events[at : at+10])
					n := 0
					for i := range all {
						if i+10 <= len(all) && slices.Equal(all[i:i+10], run) {
							n++
						}
					}
					if n != 1 {
						t.Errorf("batch %d is there %d times", at/10, n)
					}
				}
				if len(all) != sent+2*others {
					t.Errorf("%d events, want %d and %d of others", len(all), sent, 2*others)
				}
			})
		}
	}
}

// A batch some of whose events were duplicates is found, too; and what another writer
// stored of it does not hide what is missing.
func TestAppender_Duplicates(t *testing.T) {
	g := newRig(t, 0)
	c, url := newCutting(g)
	direct := g.allocate(g.client())
	s := newClient(t, url).Slot(direct.ID, direct.Token)
	mustPost(t, direct, withID(1), withID(4))
	batch := []json.RawMessage{without(0), withID(1), without(2), without(3), withID(4)}
	how := func(n int, store func()) bool {
		if n == 1 {
			store()
		}
		return n == 1
	}
	c.how.Store(&how)
	a, err := s.Appender(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	got, err := a.PostLines(t.Context(), lines(batch...))
	if err != nil || got != (client.Batch{Stored: 3, Duplicates: 2, Next: 5, Repeated: true}) {
		t.Fatalf("%+v, %v", got, err)
	}
	want := append(texts([]json.RawMessage{withID(1), withID(4)}), string(without(0)), string(without(2)), string(without(3)))
	same(t, "stored", pull(t, direct, client.Cursor{}, 0), want)

	// Another writer has an event like one of ours, and ours is not stored.
	c.posts.Store(0)
	theirs := func(n int, _ func()) bool {
		if n == 1 {
			mustPost(t, direct, without(7), withID(8))
		}
		return n == 1
	}
	c.how.Store(&theirs)
	got, err = a.PostLines(t.Context(), lines(withID(6), without(7), withID(8), withID(9)))
	if err != nil || !got.Repeated {
		t.Fatalf("%+v, %v", got, err)
	}
	all := pull(t, direct, client.At(5), 0)
	for _, e := range []json.RawMessage{withID(6), without(7), withID(8), withID(9)} {
		if !slices.Contains(all, string(e)) {
			t.Errorf("%s is lost: %q", e, all)
		}
	}
}

// Without a right to read it can't look, and says so; with ids it need not.
func TestAppender_CantLook(t *testing.T) {
	g := newRig(t, 0)
	c, url := newCutting(g)
	direct := g.allocate(g.client())
	post, err := direct.NewToken(t.Context(), client.TokenRequest{May: []string{client.MayPost}})
	if err != nil {
		t.Fatal(err)
	}
	how := func(n int, store func()) bool {
		if n == 1 {
			store()
		}
		return n == 1
	}
	c.how.Store(&how)
	a, err := newClient(t, url).Slot(direct.ID, post.Secret).Appender(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var lost *client.LostError
	if _, err := a.PostLines(t.Context(), lines(without(1))); !errors.As(err, &lost) || !lost.Sent || client.Hopeless(err) {
		t.Errorf("%v", err)
	}
	c.posts.Store(0)
	if got, err := a.PostLines(t.Context(), lines(withID(1))); err != nil || got.Duplicates != 1 || !got.Repeated {
		t.Errorf("%+v, %v", got, err)
	}
}
