package fasthttp

import (
	"strings"
	"testing"
)

// Heads that leave open where the request ends are 400 and the end of the
// connection, on every route, with and without a body, alone and behind another
// request; and what follows is never read as a request.
func TestFraming_AmbiguousIs400(t *testing.T) {
	t.Parallel()
	g := newRig(t, shortTimes)
	g.undescribed = true
	m := g.allocate()
	auth := "Authorization: Bearer " + m.token + "\n"
	const js = "Content-Type: application/json\n"
	smuggled := "POST /v1/events/" + m.id + " HTTP/1.1\nHost: x\n" + js + auth + "Content-Length: 12\n\n" + `{"event":{}}`
	lines := []string{
		"POST /v1/events/" + m.id + " HTTP/1.1\nHost: x\n" + js + auth,
		"POST /v1/slot/allocate HTTP/1.1\nHost: x\n" + js,
		"POST /v1/nothing HTTP/1.1\nHost: x\n" + js,
		"GET /v1/events/" + m.id + "?wait=20 HTTP/1.1\nHost: x\n" + auth,
		"GET /v1/events/" + m.id + "/stream HTTP/1.1\nHost: x\n" + auth,
		"GET /v1/slot/" + m.id + "/state HTTP/1.1\nHost: x\n" + auth,
		"GET / HTTP/1.1\nHost: x\n",
		"HEAD /healthz HTTP/1.1\nHost: x\n",
		"DELETE /v1/slot/" + m.id + " HTTP/1.1\nHost: x\n" + auth,
		"OPTIONS * HTTP/1.1\nHost: x\n",
	}
	for name, framing := range map[string]string{
		"identity":               "Transfer-Encoding: identity\n",
		"Identity in capitals":   "TRANSFER-ENCODING: IDENTITY\n",
		"identity and a length":  "Transfer-Encoding: identity\nContent-Length: 12\n",
		"a length and identity":  "Content-Length: 12\nTransfer-Encoding: identity\n",
		"identity then chunked":  "Transfer-Encoding: identity, chunked\n",
		"two lines, two codings": "Transfer-Encoding: identity\nTransfer-Encoding: chunked\n",
		"doubled chunked":        "Transfer-Encoding: chunked, chunked\n",
		"chunked twice":          "Transfer-Encoding: chunked\nTransfer-Encoding: chunked\n",
		"unknown coding":         "Transfer-Encoding: gzip\n",
		"unknown, then chunked":  "Transfer-Encoding: gzip, chunked\n",
		"chunked, then unknown":  "Transfer-Encoding: chunked, gzip\n",
		"no coding":              "Transfer-Encoding: \n",
		"coding in quotes":       "Transfer-Encoding: \"chunked\"\n",
		"coding with parameter":  "Transfer-Encoding: chunked;q=1\n",
		"coding and vertical":    "Transfer-Encoding: \x0bchunked\n",
		"coding and NUL":         "Transfer-Encoding: chunked\x00\n",
		"chunked and a length":   "Transfer-Encoding: chunked\nContent-Length: 12\n",
		"a length and chunked":   "Content-Length: 12\nTransfer-Encoding: chunked\n",
		"two equal lengths":      "Content-Length: 12\nContent-Length: 12\n",
		"two lengths":            "Content-Length: 12\nContent-Length: 0\n",
		"a list of lengths":      "Content-Length: 12, 12\n",
		"a length with a sign":   "Content-Length: +12\n",
		"an empty length":        "Content-Length:\n",
		"a folded line":          "X-A: a\n b\n",
		"folded by a tab":        "X-A: a\n\tb\n",
		"a folded coding":        "X-A: a\n Transfer-Encoding: chunked\nContent-Length: 12\n",
		"a folded value":         "Transfer-Encoding:\n chunked\n",
		"a folded length":        "Content-Length: 1\n 2\n",
		"a blank before a colon": "Transfer-Encoding : chunked\n",
		"a tab before a colon":   "Transfer-Encoding\t: chunked\n",
		"a blank in a name":      "Transfer Encoding: chunked\n",
		"a blank and a length":   "Content-Length x: 12\n",
		"a bare CR":              "X-A: a\rTransfer-Encoding: chunked\n",
		"a bare CR in a name":    "X\rTransfer-Encoding: chunked\n",
		"NUL in a name":          "Transfer-Encoding\x00: chunked\n",
		"a line without colon":   "Transfer-Encoding chunked\n",
		"no name":                ": chunked\n",
	} {
		for _, line := range lines {
			for _, before := range []string{"", "GET /healthz HTTP/1.1\nHost: x\n\n"} {
				w := g.dial()
				w.send(before + line + framing + "\n" + smuggled + smuggled)
				if before != "" {
					w.reply("GET").want(t, 200)
				}
				method, _, _ := strings.Cut(line, " ")
				if r, err := w.tryReply(method); err != nil || r.status != 400 || !r.close {
					t.Errorf("%s: %.20q: status %d, close %v, %v", name, line, r.status, r.close, err)
				}
				if method != "HEAD" { // of a head that can't be read, nobody knows the method
					w.ends()
				}
				w.Close()
			}
		}
	}
	// A blank line first is continued by nothing.
	for _, first := range []string{" Host: x\nHost: x\n", "\tX: y\nHost: x\n"} {
		w := g.dial()
		w.send("GET /healthz HTTP/1.1\n" + first + "\n" + smuggled)
		w.reply("GET").want(t, 400)
		w.ends()
	}
	// HTTP/1.0 knows no transfer coding.
	for _, coding := range []string{"chunked", "identity"} {
		w := g.dial()
		w.send("POST /v1/slot/allocate HTTP/1.0\nHost: x\n" + js + "Transfer-Encoding: " + coding + "\nConnection: keep-alive\n\n" + smuggled)
		w.reply("POST").want(t, 400)
		w.ends()
	}
	if got := m.pull(""); len(got) != 0 {
		t.Errorf("a smuggled post was stored: %v", got)
	}
	m.call("GET", "/v1/slot/"+m.id+"/state", m.token, nil).want(t, 200) // nor was the slot deleted
	g.healthy()
}

// What is not ambiguous is served as ever, whatever the spelling.
func TestFraming_PlainIsServed(t *testing.T) {
	t.Parallel()
	g := newRig(t)
	m := g.allocate()
	head := "POST /v1/events/" + m.id + " HTTP/1.1\nHost: x\nContent-Type: application/json\nAuthorization: Bearer " + m.token + "\n"
	w := g.dial()
	for _, rest := range []string{
		"transfer-encoding:chunked\n\nc\n" + `{"event":{}}` + "\n0\n\n",
		"TRANSFER-ENCODING: \t Chunked \t\n\nc;x=y\n" + `{"event":{}}` + "\n0\nX-Trailer: a\n\n",
		"content-length:12\n\n" + `{"event":{}}`,
		"X-Transfer-Encoding: identity\nContent-Length:  12 \n\n" + `{"event":{}}`,
		"X-Spaces: a  b\tc : d\nX-Empty:\nContent-Length: 12\n\n" + `{"event":{}}`,
	} {
		w.send(head + rest)
		w.reply("POST").want(t, 201)
	}
	if n := len(m.pull("")); n != 5 {
		t.Errorf("%d events, want 5", n)
	}
}
