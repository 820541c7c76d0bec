package fasthttp

import (
	"bytes"
	"fmt"
	"io"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// framings are the ways in which a head can announce a body that does not come.
var framings = map[string]string{
	"fixed":    "Content-Length: 2000000\n",
	"one byte": "Content-Length: 1\n",
	"chunked":  "Transfer-Encoding: chunked\n",
	"expect":   "Content-Length: 2000000\nExpect: 100-continue\n",
	"both":     "Transfer-Encoding: chunked\nExpect: 100-continue\n",
	"too much": "Content-Length: 99999999\n",
}

// early is a request that is decided by its head.
type early struct {
	name, line, headers string
	status              int
}

func earlyRequests(m mailbox) []early {
	auth := func(token string) string { return "Authorization: Bearer " + token + "\n" }
	const js = "Content-Type: application/json\n"
	return []early{
		{"no bearer", "POST /v1/events/" + m.id, js, 401},
		{"unknown slot", "POST /v1/events/" + noSlot, js + auth(m.token), 404},
		{"wrong token", "POST /v1/events/" + m.id, js + auth(noToken), 403},
		{"no content type", "POST /v1/events/" + m.id, auth(m.token), 415},
		{"wrong content type", "POST /v1/events/" + m.id, auth(m.token) + "Content-Type: text/plain\n", 415},
		{"wrong method", "PUT /v1/events/" + m.id, js + auth(m.token), 405},
		{"no such path", "POST /v1/nothing", js + auth(m.token), 404},
		{"allocate without type", "POST /v1/slot/allocate", "", 415},
		{"health of no slot id", "POST /v1/slot/x/responder-health", js, 400},
		{"health without bearer", "POST /v1/slot/" + m.id + "/responder-health", js, 401},
		{"delete without bearer", "DELETE /v1/slot/" + m.id, js, 401},
		{"stream with a wrong token", "GET /v1/events/" + m.id + "/stream", auth(noToken), 403},
		{"post on a stream", "POST /v1/events/" + m.id + "/stream", js + auth(m.token), 405},
	}
}

// 1.4: who is refused hears so before sending the body, whatever its framing.
func TestEarly_AnsweredByTheHeadAlone(t *testing.T) {
	g := newRig(t)
	m := g.allocate()
	for framing, lines := range framings {
		for _, e := range earlyRequests(m) {
			var took time.Duration
			for range 30 { // other work on this machine may delay some
				w := g.dial()
				start := time.Now()
				w.send(e.line + " HTTP/1.1\nHost: x\n" + e.headers + lines + "\n")
				r := w.reply("POST")
				took = time.Since(start)
				if r.status != e.status {
					t.Fatalf("%s, %s: status %d, want %d: %s", framing, e.name, r.status, e.status, r.body)
				}
				if !r.close {
					t.Errorf("%s, %s: no Connection: close", framing, e.name)
				}
				w.Close()
				if took < 100*time.Millisecond {
					break
				}
			}
			if took >= 100*time.Millisecond {
				t.Errorf("%s, %s: answered after %v", framing, e.name, took)
			}
		}
	}
}

// The client may send all of its body and read only then: the reply is there,
// and no write of it failed.
func TestEarly_ReplyOutlivesTheBody(t *testing.T) {
	t.Parallel()
	g := newRig(t)
	m := g.allocate()
	block := strings.Repeat("x", 64<<10)
	requests := append(earlyRequests(m), // a GET may have a body too; it is answered as if it had none
		early{"healthz with a body", "GET /healthz", "", 200},
		early{"pull with a body", "GET /v1/events/" + m.id, "Authorization: Bearer " + m.token + "\n", 200},
		early{"head with a body", "HEAD /healthz", "", 200})
	for _, chunked := range []bool{false, true} {
		for _, e := range requests {
			w := g.dial()
			if chunked {
				w.send(e.line + " HTTP/1.1\nHost: x\n" + e.headers + "Transfer-Encoding: chunked\n\n")
			} else {
				w.send(e.line + " HTTP/1.1\nHost: x\n" + e.headers + "Content-Length: 2097152\n\n")
			}
			for i := range 32 {
				if chunked {
					w.send("10000\n" + block + "\n")
				} else {
					w.send(block)
				}
				if i < 4 {
					time.Sleep(5 * time.Millisecond) // so that the relay has closed, if it does
				}
			}
			if chunked {
				w.send("0\n\n")
			}
			if r := w.reply(strings.Fields(e.line)[0]); r.status != e.status || !r.close {
				t.Errorf("chunked %v, %s: status %d, close %v: %s", chunked, e.name, r.status, r.close, r.body)
			}
			w.ends()
		}
	}
}

// A body over the limit of its route is refused by its length, or as soon as it
// is too long, and the reply is not lost either.
func TestEarly_OversizeBody(t *testing.T) {
	g := newRig(t)
	m := g.allocate()
	head := "POST /v1/events/" + m.id + " HTTP/1.1\nHost: x\nContent-Type: application/json\nAuthorization: Bearer " + m.token + "\n"
	w := g.dial()
	w.send(head + "Content-Length: 2097153\n\n")
	start := time.Now()
	if r := w.reply("POST").want(t, 413); !r.close {
		t.Error("413 without Connection: close")
	}
	if took := time.Since(start); took > 6*time.Second { // a body may take 30 s
		t.Errorf("413 after %v", took)
	}
	w = g.dial()
	w.send(head + "Content-Length: 2097153\nExpect: 100-continue\n\n")
	w.reply("POST").want(t, 413)
	w = g.dial()
	w.send(head + "Transfer-Encoding: chunked\n\n")
	block := strings.Repeat(" ", 64<<10)
	for range 40 { // 2.5 MiB
		w.send("10000\n" + block + "\n")
	}
	w.send("0\n\n")
	if r := w.reply("POST").want(t, 413); !r.close {
		t.Error("413 without Connection: close")
	}
	w.ends()
}

func TestEarly_ExpectIsContinued(t *testing.T) {
	g := newRig(t)
	m := g.allocate()
	w := g.dial()
	body := `{"event":` + eventN(0) + `}`
	w.send("POST /v1/events/" + m.id + " HTTP/1.1\nHost: x\nContent-Type: application/json\nAuthorization: Bearer " + m.token +
		fmt.Sprintf("\nContent-Length: %d\nExpect: 100-continue\n\n", len(body)))
	if line, err := w.br.ReadString('\n'); err != nil || line != "HTTP/1.1 100 Continue\r\n" {
		t.Fatalf("%q, %v", line, err)
	}
	if line, err := w.br.ReadString('\n'); err != nil || line != "\r\n" {
		t.Fatalf("%q, %v", line, err)
	}
	w.send(body)
	w.reply("POST").want(t, 201)
	w.send("GET /healthz HTTP/1.1\nHost: x\n\n") // the connection lives on
	w.reply("GET").want(t, 200)
}

// An anonymous body is never buffered: a hundred of 2 MiB at once leave no
// mark on the heap.
func TestEarly_AnonymousBodyIsNotBuffered(t *testing.T) {
	g := newRig(t)
	m := g.allocate()
	const senders = 50
	held := make([]*wire, senders)
	for i := range held {
		held[i] = g.dial()
	}
	block := bytes.Repeat([]byte("x"), 64<<10)
	chunk := slices.Concat([]byte("10000\r\n"), block, []byte("\r\n"))
	runtime.GC()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	var wg sync.WaitGroup
	for i, w := range held {
		wg.Go(func() {
			framing, piece := "Content-Length: 2097152\r\n", block
			if i%2 == 1 {
				framing, piece = "Transfer-Encoding: chunked\r\n", chunk
			}
			io.WriteString(w.Conn, "POST /v1/events/"+m.id+" HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"+framing+"\r\n")
			for range 31 {
				if _, err := w.Conn.Write(piece); err != nil {
					t.Errorf("the client's write failed: %v", err)
					return
				}
			}
		})
	}
	wg.Wait()
	runtime.ReadMemStats(&after)
	if grown := after.TotalAlloc - before.TotalAlloc; grown > 16<<20 {
		t.Errorf("%d KiB were allocated for %d bodies", grown>>10, senders)
	}
	for _, w := range held {
		w.reply("POST").want(t, 401)
	}
}
