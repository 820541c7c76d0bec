package fasthttp

import (
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"regexp"
	"strings"
	"testing"
)

var madeID = regexp.MustCompile(`^[0-9a-v]{16}$`)

// A reply names its request when the client has, and when it is an error. A text that
// can't be a name gets one of ours.
func TestRequestID_Replies(t *testing.T) {
	g := newRig(t)
	m := g.allocate()
	events := "/v1/events/" + m.id
	m.post(eventN(0)).want(t, 201)
	for _, row := range []struct {
		method, path, token string
		body                any
		status              int
	}{
		{"GET", "/healthz", "", nil, 200},
		{"GET", events, m.token, nil, 200},
		{"POST", events, m.token, `{"event":{"event_id":"e0"}}`, 200},
		{"DELETE", "/v1/slot/" + m.id, m.token, nil, 403},
		{"GET", events, "", nil, 401},
		{"HEAD", events, "", nil, 401},
		{"GET", "/v1/events/" + noSlot, m.token, nil, 404},
		{"GET", events + "?limit=x", m.token, nil, 400},
		{"POST", events, m.token, `{"event":7}`, 422},
		{"POST", events, m.token, `{"event":{"x":"` + strings.Repeat("y", 300<<10) + `"}}`, 413},
		{"POST", "/v1/handle/claim", m.token, `{"nick":"!","slot_id":"` + m.id + `","card":{}}`, 400},
		{"PUT", events, m.token, nil, 405},
		{"GET", "/nothing", "", nil, 404},
	} {
		for _, given := range []string{"", "client-7.b/9", "404", "not ours", strings.Repeat("a", 129), m.token, m.owner, m.token[8:40]} {
			what := fmt.Sprintf("%s %s with %q", row.method, row.path, given)
			taken := given != "" && len(given) < 20 && given != "not ours"
			taken = taken || given == m.token[8:40] && row.token == "" // it can't be told from other ids
			if row.token == "" && given == m.token[8:40] {
				continue // and the log would hold it
			}
			r := g.call(row.method, row.path, row.token, row.body, "X-Request-Id", given).want(t, row.status)
			got := r.header.Values("X-Request-Id")
			switch {
			case taken && (len(got) != 1 || got[0] != given):
				t.Errorf("%s: %q", what, got)
			case !taken && row.status < 400 && len(got) > 0:
				t.Errorf("%s: %q, and nothing has to be named", what, got)
			case !taken && row.status >= 400 && (len(got) != 1 || !madeID.MatchString(got[0])):
				t.Errorf("%s: %q", what, got)
			}
			if row.status >= 400 && row.method != "HEAD" {
				if in := r.field(t, "request_id"); in != got[0] {
					t.Errorf("%s: %v in the body, %q in the header", what, in, got)
				}
			}
		}
	}
}

// What the server can't read has a name too, and so has a stream.
func TestRequestID_OtherWays(t *testing.T) {
	g := newRig(t)
	m := g.allocate()
	for _, bad := range []string{"GET / HTTP/1.1\nHost: x\nbad name: x\n\n", "GET / HTTP/1.1\nHost: x\nContent-Length: x\n\n"} {
		w := g.dial()
		w.send(bad)
		r := w.reply("GET").want(t, 400)
		if id := r.header.Get("X-Request-Id"); !madeID.MatchString(id) || r.field(t, "request_id") != id {
			t.Errorf("%q: %v %s", bad, r.header, r.body)
		}
	}
	_, r := m.tryStream("", "X-Request-Id: of-a-stream")
	if r.status != 200 || r.header.Get("X-Request-Id") != "of-a-stream" {
		t.Errorf("%d %v", r.status, r.header)
	}
	if _, r = m.tryStream("", ""); r.status != 200 || r.header.Get("X-Request-Id") != "" {
		t.Errorf("%d %v", r.status, r.header)
	}
}

// Every line of the log about a request has its name, and the client sees the same.
func TestRequestID_Log(t *testing.T) {
	var text syncBuffer
	g := newRig(t, func(o *rigOptions) {
		o.relay.AccessLog = true
		o.relay.Logger = slog.New(slog.NewTextHandler(&text, nil))
	})
	m := g.allocate()
	has := func(line string) {
		t.Helper()
		g.eventually(line, func() bool { return regexp.MustCompile(line).MatchString(text.String()) })
	}
	r := g.call("GET", "/healthz", "", nil).want(t, 200)
	if id := r.header.Get("X-Request-Id"); !madeID.MatchString(id) {
		t.Errorf("%q", id)
	} else {
		has(`msg=request request_id=` + id + ` method=GET path=/healthz .*status=200`)
	}
	r = g.call("GET", "/v1/events/"+m.id, "", nil, "X-Request-Id", "mine").want(t, http.StatusUnauthorized)
	has(`msg=request request_id=mine method=GET .*status=401`)

	restore := withHandler(routeStats, func(*Relay, request) error { return errors.New("a fault of ours") })
	r = g.call("GET", "/stats.json", "", nil).want(t, 503)
	restore()
	has(`msg="request failed" request_id=` + r.header.Get("X-Request-Id") + ` error="a fault of ours"`)
	restore = withHandler(routeStats, func(*Relay, request) error { panic("BUG: a test") })
	r = g.call("GET", "/stats.json", "", nil, "X-Request-Id", "panics").want(t, 500)
	restore()
	has(`msg=panic in=handler .* request_id=panics`)
	if r.header.Get("X-Request-Id") != "panics" || r.field(t, "request_id") != "panics" {
		t.Errorf("%v %s", r.header, r.body)
	}
	g.panics++
}
