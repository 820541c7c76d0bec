package fasthttp

import (
	"bytes"
	"fmt"
	"io"
	"log/slog"
	"net"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"cowrelay/fasthttp/conn"

	"github.com/valyala/fasthttp"
)

// bareServer is upstream's server alone, on a real listener, with the options
// that the relay gives it.
func bareServer(t *testing.T, s *fasthttp.Server, wrap func(net.Conn) net.Conn) (addr string) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s.StreamRequestBody, s.ReadBufferSize, s.Logger = true, conn.ReadBuffer, serverLog{slog.New(slog.DiscardHandler)}
	var served sync.WaitGroup
	served.Go(func() { s.Serve(wrappingListener{ln, wrap}) })
	t.Cleanup(func() {
		s.Shutdown()
		served.Wait()
	})
	return ln.Addr().String()
}

type wrappingListener struct {
	net.Listener
	wrap func(net.Conn) net.Conn
}

func (l wrappingListener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err == nil && l.wrap != nil {
		c = l.wrap(c)
	}
	return c, err
}

// ask sends requests in one go and returns all that comes back.
func ask(t *testing.T, addr, text string) string {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(time.Minute))
	io.WriteString(c, strings.ReplaceAll(text, "\n", "\r\n"))
	all, err := io.ReadAll(c)
	if err != nil {
		t.Errorf("after %q: %v", all, err)
	}
	return string(all)
}

// The header that HeaderReceived is given lies within the context that the
// handler is given, where ctxOf looks for it.
func TestUpstream_ContextOfAHeader(t *testing.T) {
	ctx, ok := reflect.TypeFor[fasthttp.RequestCtx]().FieldByName("Request")
	if !ok || ctx.Type != reflect.TypeFor[fasthttp.Request]() {
		t.Fatalf("RequestCtx.Request is %v: the header of a request is not in its context any more", ctx.Type)
	}
	header, ok := ctx.Type.FieldByName("Header")
	if !ok || header.Type != reflect.TypeFor[fasthttp.RequestHeader]() {
		t.Fatalf("Request.Header is %v: the header of a request is not in it any more", header.Type)
	}
	given := make(chan *fasthttp.RequestCtx, 10)
	addr := bareServer(t, &fasthttp.Server{
		HeaderReceived: func(h *fasthttp.RequestHeader) (conf fasthttp.RequestConfig) {
			given <- ctxOf(h)
			return conf
		},
		Handler: func(ctx *fasthttp.RequestCtx) {
			if found := <-given; found != ctx || found.Conn() != ctx.Conn() || found.Conn() == nil {
				t.Error("ctxOf finds another context than the handler has")
			}
			ctx.SetBodyString("served")
		},
	}, nil)
	got := ask(t, addr, "GET / HTTP/1.1\nHost: x\n\nPOST / HTTP/1.1\nHost: x\nContent-Length: 2\n\nhiGET / HTTP/1.1\nHost: x\nConnection: close\n\n")
	if n := strings.Count(got, "served"); n != 3 {
		t.Errorf("%d of 3 requests were served: %q", n, got)
	}
}

// A request that HeaderReceived withholds reaches the handler without its body
// being waited for, with the reason; the next one on another connection does not
// have it.
func TestUpstream_Withhold(t *testing.T) {
	addr := bareServer(t, &fasthttp.Server{
		HeaderReceived: func(h *fasthttp.RequestHeader) (conf fasthttp.RequestConfig) {
			if h.IsPost() {
				withhold(h, "for the test")
			}
			return conf
		},
		Handler: func(ctx *fasthttp.RequestCtx) {
			body, err := io.ReadAll(bytes.NewReader(ctx.Request.Body()))
			fmt.Fprintf(ctx, "why %q, body %q, %v", withheld(ctx), body, err)
		},
	}, nil)
	for name, lines := range framings {
		got := ask(t, addr, "POST / HTTP/1.1\nHost: x\n"+lines+"\n") // the body never comes
		if want := `why "for the test", body "", <nil>`; !strings.Contains(got, "HTTP/1.1 200") || !strings.HasSuffix(got, want) {
			t.Errorf("%s: %q, want it to end with %q", name, got, want)
		}
		if got := ask(t, addr, "GET / HTTP/1.1\nHost: x\nConnection: close\n\n"); !strings.HasSuffix(got, `why "", body "", <nil>`) {
			t.Errorf("the request behind it: %q", got)
		}
	}
}

// ownBody is a body that owns its head. It notes what it was given before it was
// called.
type ownBody struct {
	c    *conn.Conn
	head []byte
	text string
}

func (b *ownBody) TakeHead(part []byte)   { b.head = append(b.head, part...) }
func (*ownBody) Read([]byte) (int, error) { return 0, io.ErrNoProgress }
func (b *ownBody) WriteTo(io.Writer) (int64, error) {
	b.c.GiveHead(nil)
	n, err := b.c.Socket.Write([]byte("[" + string(b.head) + "]" + b.text))
	return int64(n - len(b.head) - 2), err
}

// The server gives the connection all of a reply's head, and what it had before
// it, ahead of the body's WriteTo; and it sends nothing beside what that writes.
func TestUpstream_BodyOwnsHead(t *testing.T) {
	g := newRig(t)
	g.undescribed = true
	defer withHandler(routeStats, func(_ *Relay, req request) error {
		body := &ownBody{c: req.conn, text: strings.Repeat("x", 12_288)}
		req.ctx.Response.SetBodyStream(body, len(body.text))
		bodyOwnsHead(req.ctx, req.conn, body)
		return nil
	})()
	got := ask(t, g.addr, "GET /healthz HTTP/1.1\nHost: x\n\nGET /stats.json HTTP/1.1\nHost: x\n\nGET /healthz HTTP/1.1\nHost: x\nConnection: close\n\n")
	first, rest, ok := strings.Cut(got, "]")
	if !ok || !strings.HasPrefix(first, "[HTTP/1.1 200 OK\r\n") || !strings.HasSuffix(first, "\r\n\r\n") || strings.Count(first, "HTTP/1.1 200 OK") != 2 {
		t.Fatalf("the body was given %q ahead; want the reply before it and its own head", first)
	}
	body, next, _ := strings.Cut(rest, "HTTP/1.1 200 OK\r\n")
	if body != strings.Repeat("x", 12_288) || !strings.HasSuffix(next, "\r\n\r\nok\n") {
		t.Errorf("%d bytes of a body of %d, then %q", len(body), 12_288, next)
	}
}

// The server tells of a request when its first byte is there, on the goroutine
// that reads it, and of its end before it waits for another.
func TestUpstream_ConnStates(t *testing.T) {
	var mu sync.Mutex
	var told []string
	note := func(what string) {
		mu.Lock()
		defer mu.Unlock()
		told = append(told, what)
	}
	addr := bareServer(t, &fasthttp.Server{
		ConnState: func(_ net.Conn, state fasthttp.ConnState) {
			switch state {
			case fasthttp.StateActive:
				note("begun")
			case fasthttp.StateIdle:
				note("answered")
			}
		},
		HeaderReceived: func(*fasthttp.RequestHeader) (conf fasthttp.RequestConfig) {
			note("header")
			return conf
		},
		Handler: func(*fasthttp.RequestCtx) { note("handler") },
	}, func(c net.Conn) net.Conn { return &notingConn{c, note} })
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	one := []string{"begun", "read", "header", "handler", "answered", "read"}
	for i := range 2 {
		for _, part := range []struct {
			text string
			told int // when the server reads again
		}{{"GET / HTT", 3 + i*len(one)}, {"P/1.1\r\nHost: x\r\n\r\n", 1 + (i+1)*len(one)}} {
			io.WriteString(c, part.text)
			eventually(t, "the server reads on", func() bool {
				mu.Lock()
				defer mu.Unlock()
				return len(told) >= part.told
			})
		}
	}
	mu.Lock()
	defer mu.Unlock()
	if want := slices.Concat([]string{"read"}, one, one); !slices.Equal(told, want) {
		t.Errorf("two requests of two parts:\n%q, want\n%q", told, want)
	}
}

// notingConn notes when it is asked to read.
type notingConn struct {
	net.Conn
	note func(string)
}

func (c *notingConn) Read(b []byte) (int, error) {
	c.note("read")
	return c.Conn.Read(b)
}
