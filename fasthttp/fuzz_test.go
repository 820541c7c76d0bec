package fasthttp

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"math"
	"math/big"
	"net"
	"net/http"
	"reflect"
	"regexp"
	"testing"
	"time"

	"cowrelay/cow"
	"cowrelay/cow/frame"
	"cowrelay/fasthttp/refusal"

	"github.com/valyala/fasthttp"
)

func FuzzRoute(f *testing.F) {
	for _, s := range []string{
		"/", "", "//", "/healthz", "//healthz", "/readyz?x", "/stats.json#f", "/v1/slot/allocate", "/v1/slot/" + noSlot, "/v1/slot/" + noSlot + "/state",
		"/v1/slot//state", "/v1/events/" + noSlot, "/v1/events/" + noSlot + "/stream?since=x", "/v1/events/", "/v1/events//", "/v1/events/%00/stream",
		"http://h/healthz", "http://h", "h:80", "*", "/v1/slot/allocate/state", "/v1/slot/x/responder-health", "?", "#/", "http:///v1/events/x",
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, target []byte) {
		before := bytes.Clone(target)
		rt, slot := findRoute(target)
		if rt == nil {
			t.Fatal("no route, not even none")
		}
		if !bytes.Equal(before, target) {
			t.Fatal("the target was changed")
		}
		if rt.bearer != (len(slot) > 0) {
			t.Fatalf("route %s with slot %q", rt.name, slot)
		}
		if bytes.ContainsAny(slot, "/?#") || !bytes.Contains(target, slot) {
			t.Fatalf("slot %q", slot)
		}
		if (rt == routeNone) != (rt.allow == "") {
			t.Fatalf("route %s allows %q", rt.name, rt.allow)
		}
		same := func(what string, other []byte) {
			if rt2, slot2 := findRoute(other); rt2 != rt || !bytes.Equal(slot, slot2) {
				t.Fatalf("%q is %s %q, %s it is %s %q", target, rt.name, slot, what, rt2.name, slot2)
			}
		}
		if len(target) > 0 && target[0] == '/' {
			same("with a slash more", append([]byte("/"), target...))
			same("in absolute form", append([]byte("http://host"), target...))
		}
		if !bytes.ContainsAny(target, "?#") && len(target) > 0 {
			same("with a query", append(bytes.Clone(target), "?a=/v1/events/x/stream"...))
		}
	})
}

// FuzzRequest throws bytes at the relay: first at what runs above the server's
// parser, then, as they are, at a connection.
func FuzzRequest(f *testing.F) {
	for _, s := range []string{
		"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n",
		"GET /healthz HTTP/1.0\r\n\r\n",
		"GET /v1/events/SLOT?since=e1&limit=2 HTTP/1.1\r\nAuthorization: Bearer TOKEN\r\n\r\n",
		"GET /v1/events/SLOT?limit=-1&since=%zz&%=& HTTP/1.1\r\nAuthorization: bearer TOKEN\r\n\r\n",
		"HEAD //v1/events/SLOT/stream HTTP/1.1\r\nAuthorization: Bearer TOKEN\r\n\r\n",
		"GET /v1/events/SLOT/stream?since=e0 HTTP/1.1\r\nAuthorization: Bearer TOKEN\r\nLast-Event-ID: e1\r\n\r\nmore",
		"POST /v1/events/SLOT HTTP/1.1\r\nAuthorization: Bearer TOKEN\r\nContent-Type: application/json\r\nContent-Length: 12\r\n\r\n{\"event\":{}}",
		"POST /v1/events/SLOT HTTP/1.1\r\nAuthorization: Bearer TOKEN\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\nc\r\n{\"event\":{}}\r\n0\r\n\r\nGET / HTTP/1.1\r\n\r\n",
		"POST /v1/slot/SLOT/responder-health HTTP/1.1\r\nAuthorization: Bearer TOKEN\r\nContent-Type: application/json\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n{}",
		"POST /v1/events/SLOT HTTP/1.1\r\nContent-Length: 999999\r\nTransfer-Encoding: chunked\r\n\r\nzz",
		"DELETE /v1/slot/x HTTP/1.1\r\nAuthorization: Bearer\r\n\r\n",
		"GET /v1/slot/SLOT/state HTTP/1.1\r\nAuthorization: Bearer TOKEN\r\nContent-Length: 5\r\n\r\nhelloGET",
		"\r\n\r\nGET\x00/ HTTP/1.1\r\n\r\n", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "POST", "\x16\x03\x01", "GET http://a/healthz HTTP/1.1\r\n\r\n",
	} {
		f.Add([]byte(s))
	}
	g := newRig(f, func(o *rigOptions) {
		o.relay.HeaderTimeout, o.relay.BodyTimeout = time.Second, time.Second
	})
	var m mailbox
	f.Fuzz(func(t *testing.T, data []byte) {
		g := &rig{TB: t, opts: g.opts, relay: g.relay, store: g.store, log: g.log, addr: g.addr, client: g.client}
		if id, ok := parseSlot(m.id); !ok || g.store.Slot(id) == nil || g.store.Slot(id).Count() > 1000 {
			m = g.allocate() // the last one may have been deleted
			m.fill(3)
		}
		data = bytes.ReplaceAll(bytes.ReplaceAll(data, []byte("SLOT"), []byte(m.id)), []byte("TOKEN"), []byte(m.token))
		fuzzHeader(t, g, data)
		fuzzConnection(t, g, data)
		if n := g.relay.panics.Load(); n != 0 {
			t.Fatalf("%d panics", n)
		}
	})
}

func fuzzHeader(t *testing.T, g *rig, data []byte) {
	var ctx fasthttp.RequestCtx
	h := &ctx.Request.Header
	if h.Read(bufio.NewReader(bytes.NewReader(data))) != nil {
		return
	}
	g.relay.headerReceived(h)
	var req request
	req.ctx = &ctx
	serve, refused := g.relay.admit(h, &req)
	if (serve == nil) != (refused != nil) || req.route == nil {
		t.Fatalf("a handler %v and a refusal %v", serve != nil, refused)
	}
	if refused != nil {
		if refused.Status < 400 || refused.Status > 499 {
			t.Fatalf("refused with %d", refused.Status)
		}
		return
	}
	if req.route.bearer && req.slot == nil {
		t.Fatal("let in without a slot")
	}
	var res fasthttp.Response
	for _, stream := range []bool{false, true} {
		if q, err := req.reading(stream); err != nil {
			var bad *refusal.Reply
			if !errors.As(err, &bad) || bad.Status != 400 {
				t.Fatalf("a bad query is %v", err)
			}
			writeRefusal(&res, bad, "")
		} else if q.limit < 0 || q.limit > maxLimit || q.wait < 0 || q.wait > maxWait {
			t.Fatalf("query %+v", q)
		}
	}
}

// FuzzReading holds what a query and a Last-Event-ID ask for against a reader of
// queries that is written another way.
func FuzzReading(f *testing.F) {
	for _, s := range []string{
		"", "since=a", "since=a&limit=3", "from=0", "from=9223372036854775808", "from=18446744073709551616", "last=5", "last=1001&limit=7", "last=5&limit=0",
		"since=&from=1", "last=1&from=1", "from=1&from=2", "ids=position", "ids=x", "ids=position&from=3", "from=", "from=-1", "from=%31", "last=+1", "wait=99&from=1",
		"limit=x", "wait=x", "since", "from", "last=1e3", "FROM=1", "from=1&other=from",
	} {
		f.Add(s, "", true)
		f.Add(s, "17", false)
	}
	f.Add("ids=position&last=3", "18446744073709551615", true)
	f.Add("ids=position", " 7", true)
	f.Fuzz(func(t *testing.T, query, last string, stream bool) {
		var ctx fasthttp.RequestCtx
		ctx.Request.SetRequestURI("/v1/events/x?" + query)
		if last != "" {
			ctx.Request.Header.Set("Last-Event-ID", last)
		}
		got, err := request{ctx: &ctx}.reading(stream)
		want, good := plainReading(ctx.QueryArgs(), ctx.Request.Header.PeekAll("Last-Event-ID"), stream)
		if (err == nil) != good {
			t.Fatalf("%q (stream %v): %v, want it to be good: %v", query, stream, err, good)
		}
		if good && !reflect.DeepEqual(got, want) {
			t.Fatalf("%q, %q (stream %v): %+v, want %+v", query, last, stream, got, want)
		}
	})
}

var onlyDigits = regexp.MustCompile(`^[0-9]+$`)

func plainReading(args *fasthttp.Args, header [][]byte, stream bool) (q reading, good bool) {
	values := make(map[string][][]byte)
	for k, v := range args.All() {
		values[string(k)] = append(values[string(k)], v)
	}
	if stream {
		delete(values, "limit")
		delete(values, "wait")
	} else {
		delete(values, "ids")
	}
	numbers := make(map[string]uint64)
	for _, key := range []string{"since", "from", "last", "limit", "wait", "ids"} {
		if len(values[key]) > 1 {
			return q, false
		}
		if len(values[key]) == 1 && key != "since" && key != "ids" {
			text := string(values[key][0])
			if !onlyDigits.MatchString(text) {
				return q, false
			}
			n, _ := new(big.Int).SetString(text, 10)
			if !n.IsUint64() {
				n.SetUint64(math.MaxUint64)
			}
			numbers[key] = n.Uint64()
		}
	}
	has := func(key string) bool { return len(values[key]) == 1 }
	if has("since") && has("from") || has("since") && has("last") || has("from") && has("last") {
		return q, false
	}
	q.limit = 100
	if has("last") {
		q.limit = int(min(numbers["last"], 1000))
	}
	if has("limit") {
		limit := int(min(numbers["limit"], 1000))
		if has("last") {
			limit = min(limit, q.limit)
		}
		q.limit = limit
	}
	q.wait = time.Duration(min(numbers["wait"], 25)) * time.Second
	switch {
	case has("since"):
		q.start = cow.After(values["since"][0])
	case has("from"):
		q.start = cow.From(numbers["from"])
	case has("last"):
		q.start = cow.Last(int(min(numbers["last"], 1000)))
	case stream:
		q.start = cow.Newest()
	}
	if has("ids") {
		if string(values["ids"][0]) != "position" {
			return q, false
		}
		q.ids = frame.Positions
	}
	if !stream || len(header) == 0 {
		return q, true
	}
	q.start = cow.After(header[0])
	if q.ids == frame.Positions {
		q.start = cow.Oldest()
		if onlyDigits.Match(header[0]) {
			n, _ := new(big.Int).SetString(string(header[0]), 10)
			if n.Add(n, big.NewInt(1)); !n.IsUint64() {
				n.SetUint64(math.MaxUint64)
			}
			q.start = cow.From(n.Uint64())
		}
	}
	return q, true
}

// fuzzConnection sends the bytes, ends its side, and expects the relay to end
// the other soon, having said nothing but whole replies.
func fuzzConnection(t *testing.T, g *rig, data []byte) {
	c, err := net.Dial("tcp", g.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(6 * time.Second))
	go func() { // may fail: the relay may have closed
		c.Write(data)
		c.(*net.TCPConn).CloseWrite()
	}()
	said, err := io.ReadAll(c)
	var timeout net.Error
	if errors.As(err, &timeout) && timeout.Timeout() {
		if g.relay.polls.Len() > 0 {
			return // a long poll may wait
		}
		t.Fatalf("no end within 6 s; said %.200q", said)
	}
	br := bufio.NewReader(bytes.NewReader(said))
	for {
		if _, err := br.Peek(1); err != nil {
			return
		}
		// Replies to HEAD have no body; the method is not known here.
		res, err := http.ReadResponse(br, &http.Request{Method: "HEAD"})
		if err != nil {
			t.Fatalf("not a reply: %v in %.300q", err, said)
		}
		if res.Header.Get("Content-Type") == "text/event-stream" && res.ContentLength < 0 {
			return
		}
		if next, _ := br.Peek(9); len(next) > 0 && string(next) != "HTTP/1.1 " {
			if n, err := io.CopyN(io.Discard, br, res.ContentLength); err != nil {
				t.Fatalf("a body of %d bytes where %d were told: %.300q", n, res.ContentLength, said)
			}
		}
	}
}
