package fasthttp

import (
	"fmt"
	"io"
	"strings"
	"testing"
)

// Pages of every length, of short and long parts, come whole and in their order,
// whatever else stands in the server's buffer before and behind them: replies
// that were asked for in one go share it.
func TestPage_BesideOtherReplies(t *testing.T) {
	t.Parallel()
	g := newRig(t)
	m := g.allocate()
	var events []string
	add := func(n int) {
		e := bigEvent(fmt.Sprint("p", len(events)), n)
		m.post(e).want(t, 201)
		events = append(events, e)
	}
	// A chunk of its own for each event of more than 64 KiB, and sizes around
	// the server's buffer of 4 KiB and three times that.
	for _, n := range []int{100, 4000, 4095, 4096, 4097, 8191, 8193, 100_000, 100, 12_200, 12_288, 12_289, 70_000, 90_000, 50, 200_000} {
		add(n)
	}
	for i := range 300 {
		add(60 + i*17%900)
	}
	want := func(from, n int) string {
		return "[" + strings.Join(events[from:min(from+n, len(events))], ",") + "]"
	}
	request := func(path string) string {
		return "GET " + path + " HTTP/1.1\nHost: x\nAuthorization: Bearer " + m.token + "\n\n"
	}
	w := g.dial()
	for limit := 1; limit < 40; limit += 3 {
		var ask strings.Builder
		var answers []string
		for from := 1; from < 24; from += 1 + limit%5 {
			ask.WriteString(request(fmt.Sprintf("/v1/events/%s?since=p%d&limit=%d", m.id, from-1, limit)))
			ask.WriteString(request("/healthz"))
			answers = append(answers, want(from, limit), "ok\n")
		}
		go io.WriteString(w, strings.ReplaceAll(ask.String(), "\n", "\r\n"))
		for i, text := range answers {
			if r := w.reply("GET"); r.status != 200 || r.body != text {
				t.Fatalf("limit %d, reply %d: status %d, %d bytes; want the %d bytes of the slot", limit, i, r.status, len(r.body), len(text))
			}
		}
	}
}

// A client that leaves while a page is written to it harms nobody.
func TestPage_ClientLeaves(t *testing.T) {
	t.Parallel()
	g := newRig(t)
	m := g.allocate()
	for i := range 20 {
		m.post(bigEvent(fmt.Sprint("b", i), 200_000)).want(t, 201)
	}
	for range 20 {
		w := g.dial()
		w.send("GET /v1/events/" + m.id + " HTTP/1.1\nHost: x\nAuthorization: Bearer " + m.token + "\n\n")
		if _, err := w.br.ReadByte(); err != nil {
			t.Fatal(err)
		}
		w.Close()
	}
	if got := m.pull(""); len(got) != 20 {
		t.Errorf("%d events come back", len(got))
	}
	g.eventually("the connections to end", func() bool { return g.relay.conns.Len() <= 1 })
}
