package fasthttp

import (
	"bufio"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
)

func sharedWith(origins ...string) func(*rigOptions) {
	return func(o *rigOptions) { o.relay.CORSOrigins = origins }
}

// options sends a request that a browser would send by itself, and returns the
// reply as it came.
func (g *rig) options(path, lines string) (*http.Response, string) {
	g.Helper()
	w := g.dial()
	io.WriteString(w.Conn, strings.ReplaceAll("OPTIONS "+path+" HTTP/1.1\nHost: x\n"+lines+"\n", "\n", "\r\n"))
	res, err := http.ReadResponse(bufio.NewReader(w.Conn), &http.Request{Method: "OPTIONS"})
	if err != nil {
		g.Fatal(err)
	}
	body, err := io.ReadAll(res.Body)
	if err != nil {
		g.Fatal(err)
	}
	return res, string(body)
}

const preflight = "Access-Control-Request-Method: POST\nAccess-Control-Request-Headers: authorization,content-type\n"

// Off, nothing says that there is such a thing.
func TestCORS_Off(t *testing.T) {
	g := newRig(t)
	m := g.allocate()
	res, _ := g.options("/v1/events/"+m.id, "Origin: https://a.example\n"+preflight)
	if res.StatusCode != 405 || res.Header.Get("Allow") != "GET, HEAD, POST" {
		t.Errorf("%d, %v", res.StatusCode, res.Header)
	}
	headers := []http.Header{res.Header, m.call("GET", "/v1/events/"+m.id, m.token, nil, "Origin", "https://a.example").want(t, 200).header}
	_, r := m.tryStream("", "Origin: https://a.example")
	for _, h := range append(headers, r.header) {
		for name := range h {
			if name == "Vary" || strings.HasPrefix(name, "Access-Control-") {
				t.Errorf("%s: %s", name, h.Get(name))
			}
		}
	}
}

func TestCORS_Preflight(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		origins []string
		lines   string
		told    string // "": no preflight
	}{
		{[]string{"https://a.example"}, "Origin: https://a.example\n" + preflight, "https://a.example"},
		{[]string{"http://b.example:8080", "https://a.example"}, "Origin: https://a.example\n" + preflight, "https://a.example"},
		{[]string{"https://a.example"}, "Origin: https://b.example\n" + preflight, ""},
		{[]string{"https://a.example"}, "Origin: https://a.example.evil\n" + preflight, ""},
		{[]string{"https://a.example"}, "Origin: http://a.example\n" + preflight, ""},
		{[]string{"https://a.example"}, "Origin: null\n" + preflight, ""},
		{[]string{"https://a.example"}, "Origin: https://a.example\n", ""},
		{[]string{"https://a.example"}, preflight, ""},
		{[]string{"*"}, "Origin: https://b.example\n" + preflight, "*"},
		{[]string{"*"}, preflight, ""},
	} {
		g := newRig(t, sharedWith(c.origins...))
		for path, other := range map[string]int{"/v1/events/" + noSlot: 405, "/v1/slot/allocate": 405, "/healthz": 405, "/nothing": 404} {
			res, body := g.options(path, c.lines)
			want := map[string]string{"Access-Control-Allow-Origin": c.told}
			status := other
			if c.told != "" {
				status = 204
				want["Access-Control-Allow-Methods"] = "GET, HEAD, POST, DELETE"
				want["Access-Control-Allow-Headers"] = "Authorization, Content-Type, Last-Event-ID, X-Request-Id"
				want["Access-Control-Max-Age"] = "7200"
				want["Vary"] = "Origin"
			} else if c.origins[0] == "*" {
				want["Access-Control-Allow-Origin"] = "*"
			} else {
				want["Vary"] = "Origin"
				if strings.HasPrefix(c.lines, "Origin: https://a.example\n") {
					want["Access-Control-Allow-Origin"] = "https://a.example"
				}
			}
			if res.StatusCode != status || status == 204 && body != "" {
				t.Errorf("%v, %q, %s: status %d %q, want %d", c.origins, c.lines, path, res.StatusCode, body, status)
			}
			for name, value := range want {
				if got := res.Header.Get(name); got != value {
					t.Errorf("%v, %q, %s: %s: %q, want %q", c.origins, c.lines, path, name, got, value)
				}
			}
		}
	}
}

// A page can read every reply: errors, early refusals, the heads of streams,
// and what the server itself says.
func TestCORS_EveryKindOfReply(t *testing.T) {
	var clock atomic.Int64
	for _, origins := range [][]string{{"https://a.example"}, {"*"}} {
		told, vary := origins[0], "Origin"
		if told == "*" {
			vary = ""
		}
		g := newRig(t, behindProxy(&clock, "allocate=1/1"), sharedWith(origins...))
		m := g.allocate()
		m.post(eventN(0)).want(t, 201)
		check := func(what string, h http.Header) {
			t.Helper()
			if h.Get("Access-Control-Allow-Origin") != told || h.Get("Access-Control-Expose-Headers") != "Retry-After, Relay-Next, Relay-End, Relay-Trimmed, Relay-Stale, X-Request-Id" || h.Get("Vary") != vary {
				t.Errorf("%s: %v", what, h)
			}
		}
		const origin = "Origin: https://a.example\n"
		auth := "Authorization: Bearer " + m.token + "\n"
		const js = "Content-Type: application/json\n"
		for _, c := range []struct {
			line, lines string
			status      int
		}{
			{"GET /v1/events/" + m.id, auth, 200},
			{"HEAD /v1/events/" + m.id, auth, 200},
			{"POST /v1/events/" + m.id, auth + js + "Content-Length: 3\n", 400},
			{"GET /v1/events/" + m.id, "", 401},
			{"GET /nothing", "", 404},
			{"PUT /healthz", "", 405},
			{"POST /v1/events/" + m.id, js + "Content-Length: 2000000\n", 401},
			{"POST /v1/events/" + m.id, js + "Transfer-Encoding: chunked\n", 401},
			{"POST /v1/events/" + m.id, auth + js + "Content-Length: 99999999\n", 413},
			{"GET /healthz", "Authorization: " + strings.Repeat("x", 9000) + "\n", 431},
		} {
			w := g.dial()
			w.send(c.line + " HTTP/1.1\nHost: x\n" + origin + c.lines + "\n")
			if c.lines == auth+js+"Content-Length: 3\n" {
				w.send("{}x")
			}
			method, _, _ := strings.Cut(c.line, " ")
			r := w.reply(method).want(t, c.status)
			if c.status == 431 && told != "*" {
				continue // the server could not read who asks
			}
			check(c.line+" "+c.lines, r.header)
		}
		for range 2 {
			r := g.call("POST", "/v1/slot/allocate", "", "{}", xff, "192.0.2.1", "Origin", "https://a.example")
			check("an allocation", r.header)
			if r.status == 429 && r.header.Get("Retry-After") == "" {
				t.Error("no Retry-After")
			}
		}
		s, r := m.tryStream("?since=none", strings.TrimSuffix(origin, "\n"))
		check("a stream", r.header)
		if f, err := s.readFrame(); err != nil || f.id != "e0" {
			t.Errorf("%v, %v", f, err)
		}
		if told != "*" {
			_, r := m.tryStream("", "Origin: https://b.example")
			if r.header.Get("Access-Control-Allow-Origin") != "" || r.header.Get("Vary") != "Origin" {
				t.Errorf("a stream of another origin: %v", r.header)
			}
		}
	}
}

func TestCORS_Settings(t *testing.T) {
	for _, bad := range []string{"a.example", "https://a.example/", "https://a.example/x", "https://", "*,https://a.example", "https://u@a.example",
		"https://A.example", "HTTPS://a.example", "https://a.example:443", "http://a.example:80", "null", "https://a.example?x", "https://a.exa mple", "https://*.example/"} {
		if got, err := ParseOrigins(bad); err == nil {
			t.Errorf("%q was taken: %v", bad, got)
		}
	}
	for list, n := range map[string]int{"": 0, "*": 1, "https://a.example, http://localhost:3000": 2, "http://[::1]:8080": 1, "chrome-extension://abc": 1} {
		if got, err := ParseOrigins(list); err != nil || len(got) != n {
			t.Errorf("%q: %v, %v", list, got, err)
		}
	}
}
