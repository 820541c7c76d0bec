package client_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"cowrelay/fasthttp/client"
)

// What is sent again after which answer. "lost" is a connection that closes
// without one.
func TestRetry_WhatIsSafe(t *testing.T) {
	for _, x := range []struct {
		event  string
		first  string
		tries  int64
		option bool
	}{
		{`{"event_id":"a"}`, "lost", 2, false},
		{`{"event_id":"a"}`, "500", 2, false},
		{`{"event_id":"a"}`, "502", 2, false},
		{`{"event_id":"a"}`, "503", 2, false},
		{`{"event_id":"a"}`, "400", 1, false},
		{`{"event_id":"a"}`, "403", 1, false},
		{`{"n":1}`, "lost", 1, false},
		{`{"n":1}`, "lost", 2, true},
		{`{"n":1}`, "500", 1, false},
		{`{"n":1}`, "429", 2, false},
		{`{"n":1}`, "503", 2, false},
		{`{"n":1}`, "507", 2, false},
		{`{"event_id":1}`, "lost", 1, false},
	} {
		f := newFake(t, func(n int, w http.ResponseWriter, _ *http.Request) {
			switch {
			case n > 1:
				fmt.Fprint(w, `{"event_id":"a","status":"duplicate"}`)
			case x.first == "lost":
				panic(http.ErrAbortHandler)
			default:
				var status int
				fmt.Sscan(x.first, &status)
				w.WriteHeader(status)
				fmt.Fprint(w, `{"error":"no"}`)
			}
		})
		c := newClient(t, f.URL, func(o *client.Options) { o.RepeatWithoutID = x.option })
		p, err := c.Slot("s", "t").Post(t.Context(), []byte(x.event))
		if f.requests.Load() != x.tries || (err == nil) != (x.tries == 2) {
			t.Errorf("%+v: %d tries, %v", x, f.requests.Load(), err)
		}
		if p.Repeated != (x.first == "lost" && x.tries == 2 || p.Repeated && err != nil) {
			t.Errorf("%+v: %+v", x, p)
		}
		var lost *client.LostError
		if x.tries == 1 && x.first == "lost" && (!errors.As(err, &lost) || !lost.Sent || client.Hopeless(err)) {
			t.Errorf("%+v: %v", x, err)
		}
	}
}

func TestRetry_GivesUp(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	url := "http://" + ln.Addr().String()
	ln.Close() // nobody is there
	c := newClient(t, url, func(o *client.Options) { o.RetryFor = 50 * time.Millisecond })
	_, err = c.Slot("s", "t").Post(t.Context(), []byte(`{}`))
	var lost *client.LostError
	if !errors.As(err, &lost) || lost.Sent || !lost.GaveUp || !client.Hopeless(err) || !errors.Is(err, client.ErrUnreachable) {
		t.Errorf("%v", err)
	}
	if !strings.Contains(err.Error(), url) {
		t.Errorf("the text does not name the relay: %v", err)
	}
	// A wait that is longer than the time left is not begun.
	f := newFake(t, func(_ int, w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Retry-After", "3600")
		w.WriteHeader(http.StatusTooManyRequests)
		fmt.Fprint(w, `{"error":"slow down","limit":5}`)
	})
	_, err = newClient(t, f.URL).Allocate(t.Context())
	var no *client.Error
	if !errors.As(err, &no) || !errors.Is(err, client.ErrRateLimited) || no.RetryAfter != time.Hour || string(no.Fields["limit"]) != "5" {
		t.Errorf("%v", err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if _, err := newClient(t, url).Slot("s", "t").State(ctx); err == nil || ctx.Err() == nil {
		t.Errorf("a context that ends: %v", err)
	}
}

// A delete whose first answer was lost has done its work.
func TestRetry_DeleteTwice(t *testing.T) {
	f := newFake(t, func(n int, w http.ResponseWriter, _ *http.Request) {
		if n == 1 {
			panic(http.ErrAbortHandler)
		}
		w.WriteHeader(http.StatusNotFound)
		fmt.Fprint(w, `{"error":"unknown slot"}`)
	})
	s := newClient(t, f.URL).Slot("s", "t")
	if err := s.Delete(t.Context()); err != nil {
		t.Error(err)
	}
	if err := s.Delete(t.Context()); !errors.Is(err, client.ErrGone) {
		t.Error(err)
	}
}

func TestRetry_NastyReplies(t *testing.T) {
	for name, x := range map[string]struct {
		serve func(w http.ResponseWriter, r *http.Request)
		is    error
		says  string
	}{
		"200 of HTML": {func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "<html>login") }, client.ErrReply, "<html>login"},
		"500 of HTML": {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(500); fmt.Fprint(w, "<html>\x1b[31m") }, client.ErrReply, `\x1b`},
		"404 of HTML": {func(w http.ResponseWriter, r *http.Request) { http.NotFound(w, r) }, client.ErrReply, "404 page not found"},
		"redirect": {func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "http://other/", http.StatusMovedPermanently)
		}, client.ErrReply, `redirects to "http://other/"`},
		"empty object": {func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "{}") }, client.ErrReply, "{}"},
		"huge": {func(w http.ResponseWriter, r *http.Request) {
			for r.Context().Err() == nil {
				fmt.Fprint(w, strings.Repeat(" ", 10_000))
			}
		}, client.ErrReply, "longer than 1048576 bytes"},
		"huge length": {func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("Content-Length", "1000000000000") }, client.ErrReply, "longer"},
		"huge error": {func(w http.ResponseWriter, r *http.Request) {
			w.WriteHeader(400)
			for r.Context().Err() == nil {
				fmt.Fprint(w, strings.Repeat("x", 10_000))
			}
		}, client.ErrReply, "xxx..."},
		"cut": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "100")
			fmt.Fprint(w, "{")
		}, client.ErrUnreachable, "gave no answer: unexpected EOF"},
		"hanging body": {func(w http.ResponseWriter, r *http.Request) {
			fmt.Fprint(w, "{")
			w.(http.Flusher).Flush()
			<-r.Context().Done()
		}, client.ErrUnreachable, "took too long"},
		"hanging head": {func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }, client.ErrUnreachable, "took too long"},
	} {
		f := newFake(t, func(_ int, w http.ResponseWriter, r *http.Request) { x.serve(w, r) })
		c := newClient(t, f.URL, impatient, func(o *client.Options) {
			if strings.HasPrefix(name, "hanging") {
				o.Timeout = 200 * time.Millisecond
			}
		})
		s := c.Slot("s", "t")
		_, err := s.State(t.Context())
		if !errors.Is(err, x.is) || !strings.Contains(err.Error(), x.says) || len(err.Error()) > 500 {
			t.Errorf("%s: %v", name, err)
		}
		if _, err := c.Allocate(t.Context()); err == nil {
			t.Errorf("%s: allocated", name)
		}
	}
}

// A client that fails fast waits for a relay only once it has answered: then a wrong
// address shows at once, and a restart does no harm.
func TestRetry_FailFast(t *testing.T) {
	gone, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	gone.Close()
	retries := 0
	fast := func(o *client.Options) {
		o.FailFast = true
		o.OnRetry = func(error, time.Duration) { retries++ }
	}
	_, err = newClient(t, "http://"+gone.Addr().String(), fast).Allocate(t.Context())
	if !errors.Is(err, client.ErrUnreachable) || retries != 0 {
		t.Errorf("nobody there: %d retries, %v", retries, err)
	}
	for _, x := range []struct {
		answers []int // statuses of the first calls; 0: no answer
		tries   int64
		good    bool
	}{
		{[]int{0}, 1, false},
		{[]int{502}, 1, false},
		{[]int{503}, 2, true}, // it is there, and busy
		{[]int{429, 0, 502}, 4, true},
	} {
		f := newFake(t, func(n int, w http.ResponseWriter, _ *http.Request) {
			switch {
			case n > len(x.answers):
				fmt.Fprint(w, `{"slot_id":"s","event_count":0}`)
			case x.answers[n-1] == 0:
				panic(http.ErrAbortHandler)
			default:
				w.WriteHeader(x.answers[n-1])
				fmt.Fprint(w, `{"error":"no"}`)
			}
		})
		c := newClient(t, f.URL, fast)
		if _, err := c.Slot("s", "t").State(t.Context()); f.requests.Load() != x.tries || (err == nil) != x.good {
			t.Errorf("%v: %d tries, %v", x.answers, f.requests.Load(), err)
		}
	}
}
