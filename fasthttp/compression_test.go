package fasthttp

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"cowrelay/fasthttp/coding"

	"github.com/klauspost/compress/zstd"
)

// compressing has the relay offer codings.
func compressing(t testing.TB, codings string) func(*rigOptions) {
	t.Helper()
	set, err := coding.ParseSet(codings)
	if err != nil {
		t.Fatal(err)
	}
	return func(o *rigOptions) { o.relay.Compression = set }
}

// decoded is the body of a reply as its client reads it.
func decoded(t testing.TB, r reply) string {
	t.Helper()
	switch name := r.header.Get("Content-Encoding"); name {
	case "":
		return r.body
	case "gzip":
		z, err := gzip.NewReader(strings.NewReader(r.body))
		if err != nil {
			t.Fatal(err)
		}
		out, err := io.ReadAll(z)
		if err != nil {
			t.Fatal(err)
		}
		return string(out)
	case "zstd":
		z, err := zstd.NewReader(strings.NewReader(r.body))
		if err != nil {
			t.Fatal(err)
		}
		defer z.Close()
		out, err := io.ReadAll(z)
		if err != nil {
			t.Fatal(err)
		}
		return string(out)
	default:
		t.Fatalf("Content-Encoding: %s", name)
		return ""
	}
}

// Pages say the same in each coding, with the same headers: those that pass through the
// server's buffer, and those that are written from pieces.
func TestCompression_Pages(t *testing.T) {
	t.Parallel()
	g := newRig(t, compressing(t, "gzip,zstd"))
	m := g.allocate()
	m.fill(300)
	for i := range 10 {
		m.post(bigEvent(fmt.Sprint("big", i), 20_000)).want(t, 201)
	}
	for _, query := range []string{"?limit=0", "?limit=1", "?from=5&limit=70", "?limit=290", "?from=250&limit=60", "?last=310", "?since=e200"} {
		plain := m.call("GET", "/v1/events/"+m.id+query, m.token, nil).want(t, 200)
		if e := plain.header.Get("Content-Encoding"); e != "" {
			t.Errorf("%s: a client that asks for none gets %s", query, e)
		}
		for _, c := range []struct{ accept, want string }{
			{"gzip", "gzip"}, {"gzip, deflate, br, zstd", "gzip"}, {"zstd", "zstd"}, {"zstd;q=0.1, gzip", "gzip"}, {"identity", ""}, {"gzip;q=0, identity", ""}, {"br", ""},
		} {
			r := m.call("GET", "/v1/events/"+m.id+query, m.token, nil, "Accept-Encoding", c.accept).want(t, 200)
			if len(plain.body) < 1400 {
				c.want = ""
			}
			if got := r.header.Get("Content-Encoding"); got != c.want {
				t.Errorf("%s, %s: Content-Encoding %q, want %q", query, c.accept, got, c.want)
			}
			if got := decoded(t, r); got != plain.body {
				t.Errorf("%s, %s: %d bytes decoded, want %d", query, c.accept, len(got), len(plain.body))
			}
			if c.want != "" && len(r.body) > len(plain.body)*2/3 {
				t.Errorf("%s, %s: %d bytes of %d", query, c.accept, len(r.body), len(plain.body))
			}
			for _, name := range []string{"Relay-Next", "Relay-End", "Content-Type", "Vary"} {
				if got, want := r.header.Get(name), plain.header.Get(name); got != want || want == "" {
					t.Errorf("%s, %s: %s is %q, plain %q", query, c.accept, name, got, want)
				}
			}
			head := m.call("HEAD", "/v1/events/"+m.id+query, m.token, nil, "Accept-Encoding", c.accept).want(t, 200)
			if head.header.Get("Content-Encoding") != "" || head.header.Get("Content-Length") != fmt.Sprint(len(plain.body)) || head.header.Get("Vary") != "Accept-Encoding" {
				t.Errorf("%s, %s: HEAD has %v", query, c.accept, head.header)
			}
		}
	}
	if n := metric(g, `cowrelay_compression_replies_total{result="gzip"}`); n == 0 {
		t.Error("no page is counted as gzip")
	}
	plain, sent := metric(g, `cowrelay_compression_bytes_total{of="plain"}`), metric(g, `cowrelay_compression_bytes_total{of="sent"}`)
	if sent == 0 || sent >= plain {
		t.Errorf("%v bytes sent of %v", sent, plain)
	}
	if made, reused := metric(g, `cowrelay_compression_pieces_total{result="made"}`), metric(g, `cowrelay_compression_pieces_total{result="reused"}`); made == 0 || reused == 0 {
		t.Errorf("%v pieces made, %v reused", made, reused)
	}
	g.eventually("the replies' bytes are given back", func() bool { return metric(g, "cowrelay_compression_reply_bytes") == 0 })
}

// A client of net/http asks for gzip by itself, and sees no difference.
func TestCompression_NetHTTP(t *testing.T) {
	g := newRig(t, compressing(t, "gzip,zstd"))
	m := g.allocate()
	m.fill(500)
	want := m.call("GET", "/v1/events/"+m.id+"?limit=1000", m.token, nil).want(t, 200).body
	client := &http.Client{Transport: new(http.Transport)}
	defer client.CloseIdleConnections()
	for range 3 {
		req, _ := http.NewRequest("GET", "http://"+g.addr+"/v1/events/"+m.id+"?limit=1000", nil)
		req.Header.Set("Authorization", "Bearer "+m.token)
		res, err := client.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(res.Body)
		res.Body.Close()
		if err != nil || string(body) != want || !res.Uncompressed {
			t.Errorf("%v: %d bytes, want %d; compressed %v", err, len(body), len(want), res.Uncompressed)
		}
	}
}

// A long poll that was woken is a page like others.
func TestCompression_LongPoll(t *testing.T) {
	g := newRig(t, compressing(t, "zstd"))
	m := g.allocate()
	w := g.dial()
	w.send("GET /v1/events/" + m.id + "?wait=25 HTTP/1.1\nHost: x\nAuthorization: Bearer " + m.token + "\nAccept-Encoding: zstd\n\n")
	g.eventually("it waits", func() bool { return m.subscribers() == 1 })
	event := bigEvent("a", 5000)
	m.post(event).want(t, 201)
	res, err := http.ReadResponse(w.br, nil)
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	if got := decoded(t, reply{header: res.Header, body: string(body)}); got != "["+event+"]" || res.Header.Get("Content-Encoding") != "zstd" {
		t.Errorf("%v: %.100q", res.Header, got)
	}
}

// Without a coding that it offers, the relay answers as if there were no codings; and the
// setting changes while it serves.
func TestCompression_Off(t *testing.T) {
	g := newRig(t)
	m := g.allocate()
	m.fill(300)
	get := func() reply {
		return m.call("GET", "/v1/events/"+m.id, m.token, nil, "Accept-Encoding", "gzip, zstd").want(t, 200)
	}
	if r := get(); r.header.Get("Content-Encoding") != "" || r.header.Get("Vary") != "" {
		t.Errorf("%v", r.header)
	}
	live := g.opts.relay.Live
	live.Compression, _ = coding.ParseSet("gzip")
	g.relay.SetLive(live)
	if r := get(); r.header.Get("Content-Encoding") != "gzip" || r.header.Get("Vary") != "Accept-Encoding" {
		t.Errorf("%v", r.header)
	}
}

// A compressed body is refused before it is read, with what to do, and nothing is
// unpacked.
func TestCompression_OfRequests(t *testing.T) {
	g := newRig(t, compressing(t, "gzip,zstd"))
	m := g.allocate()
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	io.WriteString(z, `{"event":{"event_id":"a"}}`)
	z.Close()
	for _, name := range []string{"gzip", "GZIP", "x-gzip", "deflate", "br", "zstd", "compress", "identity, gzip"} {
		for _, path := range []string{"/v1/events/" + m.id, "/v1/slot/allocate"} {
			r := g.call("POST", path, m.token, b.Bytes(), "Content-Encoding", name).want(t, 415)
			if got := r.header.Get("Accept-Encoding"); got != "identity" {
				t.Errorf("%s: Accept-Encoding %q", name, got)
			}
		}
	}
	g.call("POST", "/v1/events/"+m.id, "", b.Bytes(), "Content-Encoding", "gzip").want(t, 401)
	for i, name := range []string{"identity", "utf-8"} { // what the second means nobody knows; its bodies are plain
		g.call("POST", "/v1/events/"+m.id, m.token, `{"event":`+eventN(i)+`}`, "Content-Encoding", name).want(t, 201)
	}
	if got := m.pull(""); len(got) != 2 {
		t.Errorf("the slot has %q", got)
	}
}
