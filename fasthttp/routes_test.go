package fasthttp

import (
	"strings"
	"testing"
)

const (
	noSlot    = "00000000000000000000000000000000"
	noToken   = "0000000000000000000000000000000000000000000000000000000000000000"
	anyMethod = "PATCH"
)

func TestRoutes_StatusOfEveryRow(t *testing.T) {
	t.Parallel()
	g := newRig(t)
	m := g.allocate()
	other := g.allocate()
	for _, row := range []struct {
		method, path, token string
		body                any
		status              int
		allow               string
	}{
		{"GET", "/healthz", "", nil, 200, ""},
		{"GET", "/readyz", "", nil, 200, ""},
		{"GET", "/stats.json", "", nil, 200, ""},
		{"HEAD", "/healthz", "", nil, 200, ""},
		{"HEAD", "/readyz", "", nil, 200, ""},
		{"HEAD", "/stats.json", "", nil, 200, ""},
		{"GET", "/openapi.yaml", "", nil, 200, ""},
		{"HEAD", "/openapi.yaml", "", nil, 200, ""},
		{"HEAD", "/v1/events/" + m.id, m.token, nil, 200, ""},
		{"HEAD", "/v1/slot/" + m.id + "/state", m.token, nil, 200, ""},
		{"GET", "/", "", nil, 200, ""},
		{"HEAD", "/", "", nil, 200, ""},
		{"GET", "/stats.html", "", nil, 200, ""},
		{"GET", "/phonebook", "", nil, 200, ""},
		{"HEAD", "/phonebook.html", "", nil, 200, ""},
		{"GET", "/phonebook/", "", nil, 404, ""},
		{"POST", "/phonebook", "", "{}", 405, "GET, HEAD"},
		{"GET", "/favicon.svg", "", nil, 200, ""},
		{"GET", "/favicon.ico", "", nil, 200, ""},
		{"GET", "/web/style.css", "", nil, 200, ""},
		{"GET", "/web/style.css?x=1", "", nil, 200, ""},
		{"GET", "/web/", "", nil, 404, ""},
		{"GET", "/web/../web/style.css", "", nil, 404, ""},
		{"GET", "/web/static/style.css", "", nil, 404, ""},
		{"GET", "/web/%73tyle.css", "", nil, 404, ""},
		{"HEAD", "/nope", "", nil, 404, ""},
		{"POST", "/nope", "", "{}", 404, ""},
		{"GET", "/v1", "", nil, 404, ""},
		{"GET", "/v1/", "", nil, 404, ""},
		{"GET", "/v1/events", "", nil, 404, ""},
		{"GET", "/v1/events/", "", nil, 404, ""},
		{"GET", "/v1/events/" + m.id + "/", m.token, nil, 404, ""},
		{"GET", "/v1/events/" + m.id + "/stream/", m.token, nil, 404, ""},
		{"GET", "/v1/events/" + m.id + "/streams", m.token, nil, 404, ""},
		{"GET", "/v1/slot/" + m.id + "/state/x", m.token, nil, 404, ""},
		{"GET", "/healthz/", "", nil, 404, ""},
		{"GET", "/HEALTHZ", "", nil, 404, ""},

		{"POST", "/healthz", "", "{}", 405, "GET, HEAD"},
		{anyMethod, "/readyz", "", nil, 405, "GET, HEAD"},
		{"PUT", "/stats.json", "", "{}", 405, "GET, HEAD"},
		{"POST", "/", "", "{}", 405, "GET, HEAD"},
		{"DELETE", "/stats.html", "", nil, 405, "GET, HEAD"},
		{"POST", "/web/style.css", "", "{}", 405, "GET, HEAD"},
		{"GET", "/v1/slot/allocate", "", nil, 405, "POST"},
		{"HEAD", "/v1/slot/allocate", "", nil, 405, "POST"},
		{"DELETE", "/v1/events/" + m.id, m.token, nil, 405, "GET, HEAD, POST"},
		{"OPTIONS", "/v1/events/" + m.id, "", nil, 405, "GET, HEAD, POST"},
		{"POST", "/v1/events/" + m.id + "/stream", m.token, "{}", 405, "GET, HEAD"},
		{"POST", "/v1/slot/" + m.id + "/state", m.token, "{}", 405, "GET, HEAD"},
		{"GET", "/v1/slot/" + m.id + "/responder-health", m.token, nil, 405, "POST"},
		{"GET", "/v1/slot/" + m.id, m.token, nil, 405, "DELETE"},
		{"BREW", "/healthz", "", nil, 405, "GET, HEAD"},

		{"POST", "/v1/slot/allocate", "", "{}", 201, ""},
		{"GET", "/v1/events/" + m.id, m.token, nil, 200, ""},
		{"GET", "/v1/slot/" + m.id + "/state", m.token, nil, 200, ""},
		// A slash too many in front, the query, and what is no slot.
		{"GET", "//healthz", "", nil, 200, ""},
		{"GET", "//v1/events/" + m.id + "?limit=1", m.token, nil, 200, ""},
		{"GET", "//v1/slot/" + m.id + "/state", m.token, nil, 200, ""},
		{"POST", "//v1/slot/allocate", "", "{}", 201, ""},
		{"GET", "/v1//events/" + m.id, m.token, nil, 404, ""},
		{"GET", "/v1/events/" + strings.ToUpper(m.id), m.token, nil, 404, ""},
		{"GET", "/v1/events/" + m.id[:31], m.token, nil, 404, ""},
		{"GET", "/v1/events/" + m.id + "0", m.token, nil, 404, ""},
		{"GET", "/v1/events/%30" + m.id[1:], m.token, nil, 404, ""},
		{"GET", "/v1/events/x", m.token, nil, 404, ""},
		{"GET", "/v1/events/" + m.id, other.token, nil, 403, ""},
		{"GET", "/v1/slot/" + m.id + "/state", other.token, nil, 403, ""},
		{"DELETE", "/v1/slot/" + m.id, other.token, nil, 403, ""},
		{"DELETE", "/v1/slot/" + m.id, other.owner, nil, 403, ""},
		{"DELETE", "/v1/slot/" + m.id, m.token, nil, 403, ""},
	} {
		r := g.call(row.method, row.path, row.token, row.body)
		if r.status != row.status {
			t.Errorf("%s %s: status %d, want %d: %s", row.method, row.path, r.status, row.status, r.body)
		}
		if got := r.header.Get("Allow"); got != row.allow {
			t.Errorf("%s %s: Allow %q, want %q", row.method, row.path, got, row.allow)
		}
		if r.header.Get("Location") != "" {
			t.Errorf("%s %s: redirected to %s", row.method, row.path, r.header.Get("Location"))
		}
	}
}

func TestRoutes_Healthz10(t *testing.T) {
	g := newRig(t)
	for _, head := range []string{"GET /healthz HTTP/1.0\n\n", "GET /healthz HTTP/1.0\nHost: x\n\n", "GET http://relay.example/healthz HTTP/1.1\nHost: x\nConnection: close\n\n"} {
		w := g.dial()
		w.send(head)
		if r := w.reply("GET").want(t, 200); r.body != "ok\n" || !strings.HasPrefix(r.header.Get("Content-Type"), "text/plain") {
			t.Errorf("%q: %q (%v)", head, r.body, r.header)
		}
		w.ends()
	}
}

// 1.4: no bearer 401, unknown slot 404, wrong token 403, in this order, on
// every bearer route; a bad content type comes after them.
func TestAuth_Order(t *testing.T) {
	t.Parallel()
	g := newRig(t)
	m := g.allocate()
	for _, row := range []struct{ method, path string }{
		{"POST", "/v1/events/%s"}, {"GET", "/v1/events/%s"}, {"HEAD", "/v1/events/%s"}, {"GET", "/v1/events/%s/stream"},
		{"HEAD", "/v1/events/%s/stream"}, {"GET", "/v1/slot/%s/state"}, {"POST", "/v1/slot/%s/responder-health"}, {"DELETE", "/v1/slot/%s"},
	} {
		for _, c := range []struct {
			slot, auth string
			status     int
		}{
			{m.id, "", 401}, {noSlot, "", 401}, {m.id, "Bearer", 401}, {m.id, "Bearer   ", 401}, {m.id, "Basic " + m.token, 401},
			{m.id, m.token, 401}, {noSlot, "Bearer " + m.token, 404}, {noSlot, "Bearer x", 404},
			{m.id, "Bearer " + noToken, 403}, {m.id, "Bearer x", 403}, {m.id, "Bearer " + m.token + "0", 403},
			{m.id, "Bearer " + m.token[:63], 403}, {m.id, "Bearer " + strings.ToUpper(m.token), 403}, {m.id, "Bearer " + m.id, 403},
		} {
			path := strings.Replace(row.path, "%s", c.slot, 1)
			var body any
			if row.method == "POST" {
				body = "not json"
			}
			r := g.call(row.method, path, "", body, "Authorization", c.auth, "Content-Type", "text/plain")
			if r.status != c.status {
				t.Errorf("%s %s with %q: status %d, want %d", row.method, path, c.auth, r.status, c.status)
			}
			if c.status == 401 && r.header.Get("WWW-Authenticate") == "" {
				t.Errorf("%s %s: 401 without WWW-Authenticate", row.method, path)
			}
		}
	}
	for _, scheme := range []string{"bearer ", "BEARER ", "Bearer  "} {
		g.call("GET", "/v1/events/"+m.id, "", nil, "Authorization", scheme+m.token).want(t, 200)
	}
}

func TestContentType(t *testing.T) {
	g := newRig(t)
	m := g.allocate()
	for _, path := range []string{"/v1/slot/allocate", "/v1/events/" + m.id, "/v1/slot/" + m.id + "/responder-health"} {
		for kind, status := range map[string]int{
			"application/json": 400, "application/json; charset=utf-8": 400, "APPLICATION/JSON": 400, "application/vnd.x+json": 400,
			"": 415, "text/plain": 415, "text/json": 415, "application/jsonx": 415, "application/x-www-form-urlencoded": 415,
			"multipart/form-data; boundary=x": 415, "application/": 415, "application/+json": 415,
		} {
			if r := g.call("POST", path, m.token, "{", "Content-Type", kind); r.status != status {
				t.Errorf("%s with %q: status %d, want %d", path, kind, r.status, status)
			}
		}
	}
}

// HEAD answers as GET does, and does nothing: it waits for nothing, opens no
// stream, and is no pull.
func TestHead_DoesNothing(t *testing.T) {
	g := newRig(t)
	m := g.allocate()
	w := g.dial()
	w.send("HEAD /v1/events/" + m.id + "?wait=20 HTTP/1.1\nHost: x\nAuthorization: Bearer " + m.token + "\n\n")
	if r := w.reply("HEAD").want(t, 200); r.header.Get("Content-Length") != "2" {
		t.Errorf("HEAD of an empty page: Content-Length %q, want 2", r.header.Get("Content-Length"))
	}
	for range 2 { // the connection still is one of requests
		w.send("HEAD /v1/events/" + m.id + "/stream HTTP/1.1\nHost: x\nAuthorization: Bearer " + m.token + "\n\n")
		res, err := readHead(w)
		if err != nil || res.StatusCode != 200 || res.Header.Get("Content-Type") != "text/event-stream" ||
			res.Header.Get("Cache-Control") != "no-cache" || res.Header.Get("X-Accel-Buffering") != "no" {
			t.Fatalf("HEAD of a stream: %v, %v", res, err)
		}
	}
	m.fill(3)
	w.send("HEAD /v1/events/" + m.id + " HTTP/1.1\nHost: x\nAuthorization: Bearer " + m.token + "\n\n")
	head := w.reply("HEAD").want(t, 200)
	if at := m.state().field(t, "last_pull_at_unix"); at != nil {
		t.Errorf("HEAD counted as a pull: %v", at)
	}
	if n := g.relay.streams.Opened(); n != 0 {
		t.Errorf("HEAD opened %d streams", n)
	}
	get := g.call("GET", "/v1/events/"+m.id, m.token, nil).want(t, 200)
	if head.header.Get("Content-Length") != get.header.Get("Content-Length") {
		t.Errorf("HEAD says %s bytes, GET %s", head.header.Get("Content-Length"), get.header.Get("Content-Length"))
	}
}
