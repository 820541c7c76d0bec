package fasthttp

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"cowrelay/cow"
	"cowrelay/cow/engine"
	"cowrelay/cow/journaltest"
	"cowrelay/cow/rendezvous"

	"github.com/cockroachdb/pebble/v2/vfs"
)

func TestMain(m *testing.M) {
	flag.Parse()
	if err := flag.Set("test.parallel", "4"); err != nil { // tests that run beside others wait, mostly
		panic(err)
	}
	os.Exit(m.Run())
}

// rigOptions is everything that a test may set about a relay.
type rigOptions struct {
	relay Options
	store cow.Options
	log   engine.Options
	desk  rendezvous.Options
	dir   string

	tls *tls.Config // if set, clients speak TLS

	journal func(cow.Journal) cow.Journal // if set, stands before the store's journal
	member  *journaltest.Member           // if set, is the store's journal, and closes with it
}

// rig is a whole relay: a store on Pebble in memory, served on a real TCP
// listener of 127.0.0.1.
type rig struct {
	testing.TB
	opts     rigOptions
	relay    *Relay
	store    *cow.Store
	desk     *rendezvous.Desk
	log      *engine.Journal
	addr     string
	closeLog func() error
	served   chan error
	client   *http.Client
	up       bool
	panics   uint64 // that the test provokes
	tokens   *tokenBook

	undescribed bool // what bare connections get is not held against openapi.yaml
}

func newRig(t testing.TB, edit ...func(*rigOptions)) *rig {
	t.Helper()
	o := rigOptions{dir: "data"}
	book := new(tokenBook)
	kept := slog.New(book.handler())
	o.relay.Logger, o.store.Logger, o.log.Logger, o.desk.Logger = kept, kept, kept, kept
	o.relay.SampleEvery = -1 // nothing is written unless the test does it
	o.log.FS = vfs.NewMem()
	o.log.CacheBytes, o.log.MemTableBytes, o.log.SegmentBytes = 4<<20, 4<<20, 256<<10
	for _, f := range edit {
		f(&o)
	}
	if l := o.relay.Logger; l != kept {
		o.relay.Logger = slog.New(slog.NewMultiHandler(l.Handler(), book.handler()))
	}
	g := &rig{TB: t, opts: o, tokens: book, client: &http.Client{
		Transport: &http.Transport{MaxIdleConnsPerHost: 64, TLSClientConfig: clientTLS.Clone(), DisableCompression: true}, // what was sent, as it was
		Timeout:   time.Minute,
	}}
	g.start()
	t.Cleanup(func() {
		g.client.CloseIdleConnections()
		if g.up {
			g.stop()
		}
		book.check(t)
	})
	return g
}

// start opens the store and serves it, as cmd/cowrelay does.
func (g *rig) start() {
	g.Helper()
	o := g.opts
	// The store commits on its own goroutine, and the statistics' history has it
	// commit before NewRelay returns: hence an atomic pointer, as in serve.
	observer := new(atomic.Pointer[Relay])
	o.log.Observe = func(took time.Duration, _ int) {
		if r := observer.Load(); r != nil {
			r.ObserveSync(took)
		}
	}
	o.store.Committed = func(posts, bytes int, took time.Duration) {
		if r := observer.Load(); r != nil {
			r.ObserveCommit(posts, bytes, took)
		}
	}
	var err error
	var log interface {
		cow.Journal
		cow.Records
	} = o.member
	if o.member == nil {
		if g.log, err = engine.Open(o.dir, o.log); err != nil {
			g.Fatal(err)
		}
		log = g.log
	}
	journal := cow.Journal(log)
	if o.journal != nil {
		journal = o.journal(journal)
	}
	g.closeLog = log.Close
	if g.store, err = cow.Open(journal, log, o.store); err != nil {
		g.Fatal(err)
	}
	if o.relay.Desk, err = rendezvous.Open(g.store, o.desk); err != nil {
		g.Fatal(err)
	}
	g.desk = o.relay.Desk
	g.relay = NewRelay(g.store, o.relay)
	observer.Store(g.relay)
	var conf net.ListenConfig
	conf.SetMultipathTCP(false) // as the relay's own
	ln, err := conf.Listen(context.Background(), "tcp", "127.0.0.1:0")
	if err != nil {
		g.Fatal(err)
	}
	g.addr = ln.Addr().String()
	g.served = make(chan error, 1)
	go func() { g.served <- g.relay.ServeTLS(ln, o.tls) }()
	g.eventually("the relay serves", func() bool { return g.relay.Ready() })
	g.up = true
}

// stop drains and closes all, and fails the test if that takes long.
func (g *rig) stop() {
	g.Helper()
	g.up = false
	g.client.CloseIdleConnections()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	if err := g.relay.Drain(ctx, 0); err != nil && !errors.Is(err, context.DeadlineExceeded) {
		g.Errorf("drain: %v", err)
	}
	if err := <-g.served; err != nil {
		g.Errorf("serve: %v", err)
	}
	if n := g.relay.panics.Load(); n != g.panics {
		g.Errorf("%d panics in the relay", n)
	}
	g.desk.Close()
	if err := errors.Join(g.store.Close(), g.closeLog()); err != nil {
		g.Errorf("close: %v", err)
	}
}

func (g *rig) restart() {
	g.Helper()
	g.stop()
	g.start()
}

func (g *rig) eventually(what string, ok func() bool) {
	g.Helper()
	eventually(g.TB, what, ok)
}

func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(time.Minute); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("not within a minute: %s", what)
		}
	}
}

// reply is what came back, already held against section 1 of the contract.
type reply struct {
	status int
	header http.Header
	body   string
	close  bool
}

// field returns a member of the JSON reply.
func (r reply) field(t testing.TB, name string) any {
	t.Helper()
	var m map[string]any
	if err := json.Unmarshal([]byte(r.body), &m); err != nil {
		t.Fatalf("status %d: body %.200q: %v", r.status, r.body, err)
	}
	v, ok := m[name]
	if !ok {
		t.Fatalf("status %d: body %.200q has no %q", r.status, r.body, name)
	}
	return v
}

func (r reply) want(t testing.TB, status int) reply {
	t.Helper()
	if r.status != status {
		t.Fatalf("status %d, want %d; body %.300q", r.status, status, r.body)
	}
	return r
}

var freeStanding = regexp.MustCompile(`(^|[\s:])(404|410)($|[\s:])`)

// checkReply reads the reply to res.Request and checks 1.2 and 1.3, JSON with a
// length, and errors that say what they are without the words that clients look
// for; and that openapi.yaml describes it. Every test gets its replies here.
func checkReply(t testing.TB, res *http.Response, method string) (reply, error) {
	t.Helper()
	body, err := io.ReadAll(res.Body)
	res.Body.Close()
	r := reply{res.StatusCode, res.Header, string(body), res.Close}
	if err != nil {
		return r, err
	}
	checkDescribed(t, res.Request, res, body)
	if slices.Contains([]int{http.StatusContinue, http.StatusNoContent, http.StatusNotModified}, res.StatusCode) {
		return r, nil
	}
	kind := res.Header.Get("Content-Type")
	if len(res.TransferEncoding) > 0 || res.Header.Get("Content-Length") == "" {
		t.Errorf("%s: status %d: no Content-Length (%v)", method, res.StatusCode, res.Header)
	}
	if method == http.MethodHead {
		if len(body) > 0 {
			t.Errorf("HEAD got a body: %q", body)
		}
		return r, nil
	}
	if n := res.Header.Get("Content-Length"); n != strconv.Itoa(len(body)) {
		t.Errorf("status %d: Content-Length %s, body of %d bytes", res.StatusCode, n, len(body))
	}
	if kind == "application/json" && !json.Valid([]byte(decoded(t, r))) {
		t.Errorf("status %d: body is not JSON: %.200q", res.StatusCode, body)
	}
	if res.StatusCode < 400 {
		return r, nil
	}
	var e struct{ Error *string }
	if kind != "application/json" || json.Unmarshal(body, &e) != nil || e.Error == nil || *e.Error == "" {
		t.Errorf("status %d: the error is not {error}: %s %.200q", res.StatusCode, kind, body)
		return r, nil
	}
	if m := freeStanding.FindString(r.body + " " + *e.Error); m != "" && strings.TrimSpace(strings.Trim(m, ":")) != strconv.Itoa(res.StatusCode) {
		t.Errorf("status %d: the text holds a free-standing status: %q", res.StatusCode, *e.Error)
	}
	for _, word := range []string{"connection refused", "operation timed out", "certificate"} {
		if strings.Contains(strings.ToLower(r.body), word) {
			t.Errorf("status %d: the text holds %q: %q", res.StatusCode, word, *e.Error)
		}
	}
	return r, nil
}

// call sends one request through net/http.
func (g *rig) call(method, path, token string, body any, headers ...string) reply {
	g.Helper()
	r, err := g.tryCall(method, path, token, body, headers...)
	if err != nil {
		g.Fatalf("%s %s: %v", method, path, err)
	}
	return r
}

func (g *rig) tryCall(method, path, token string, body any, headers ...string) (reply, error) {
	g.Helper()
	var in io.Reader
	switch b := body.(type) {
	case nil:
	case string:
		in = strings.NewReader(b)
	case []byte:
		in = bytes.NewReader(b)
	case io.Reader:
		in = b
	}
	req, err := http.NewRequest(method, g.url()+path, in)
	if err != nil {
		g.Fatal(err)
	}
	if in != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
		g.tokens.add(token)
	}
	for i := 0; i+1 < len(headers); i += 2 {
		if headers[i+1] == "" {
			req.Header.Del(headers[i])
		} else {
			req.Header.Set(headers[i], headers[i+1])
		}
	}
	res, err := g.client.Do(req)
	if err != nil {
		return reply{}, err
	}
	r, err := checkReply(g.TB, res, method)
	for _, m := range handedOut.FindAllStringSubmatch(r.body, -1) {
		g.tokens.add(m[1])
	}
	return r, err
}

// mailbox is a slot and the two tokens that it was made with.
type mailbox struct {
	*rig
	id, token, owner string
}

func (g *rig) allocate() mailbox {
	g.Helper()
	r := g.call("POST", "/v1/slot/allocate", "", "{}").want(g, 201)
	return mailbox{g, r.field(g, "slot_id").(string), r.field(g, "slot_token").(string), r.field(g, "owner_token").(string)}
}

// post sends an event and returns the reply.
func (m mailbox) post(event string) reply {
	m.Helper()
	return m.call("POST", "/v1/events/"+m.id, m.token, `{"event":`+event+`}`)
}

// fill posts events 0 to n-1, ids e0, e1, ...
func (m mailbox) fill(n int) {
	m.Helper()
	for i := range n {
		m.post(eventN(i)).want(m, 201)
	}
}

func eventN(i int) string { return fmt.Sprintf(`{"event_id":"e%d","n":%d}`, i, i) }

// pull returns the events of a page, as they were sent.
func (m mailbox) pull(query string) []string {
	m.Helper()
	r := m.call("GET", "/v1/events/"+m.id+query, m.token, nil).want(m, 200)
	return m.split(r.body)
}

func (m mailbox) split(page string) []string {
	m.Helper()
	var raw []json.RawMessage
	if err := json.Unmarshal([]byte(page), &raw); err != nil || raw == nil {
		m.Fatalf("the page %.100q is no array: %v", page, err)
	}
	list := make([]string, len(raw))
	for i := range raw {
		list[i] = string(raw[i])
	}
	return list
}

// wire is a bare connection to the relay.
type wire struct {
	testing.TB
	net.Conn
	br     *bufio.Reader
	out    *outbox
	tokens *tokenBook
}

// url is the relay's.
func (g *rig) url() string {
	if g.opts.tls != nil {
		return "https://" + g.addr
	}
	return "http://" + g.addr
}

func (g *rig) dial() *wire {
	g.Helper()
	w := dial(g.TB, g.addr)
	if g.opts.tls != nil {
		w.Conn = tls.Client(w.Conn, clientTLS)
		w.br = bufio.NewReaderSize(w.Conn, 64<<10)
	}
	w.tokens = g.tokens
	if g.undescribed {
		w.out = nil
	}
	return w
}

func dial(t testing.TB, addr string) *wire {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	c.SetDeadline(time.Now().Add(time.Minute))
	t.Cleanup(func() { c.Close() })
	return &wire{t, c, bufio.NewReaderSize(c, 64<<10), new(outbox), nil}
}

// send writes; \n in s is sent as CR LF.
func (w *wire) send(s string) {
	w.Helper()
	if _, err := io.WriteString(w, strings.ReplaceAll(s, "\n", "\r\n")); err != nil {
		w.Fatalf("send: %v", err)
	}
}

// Write also notes what is sent, so that replies can be held against it.
func (w *wire) Write(b []byte) (int, error) {
	w.out.add(b)
	w.tokens.addSent(b)
	return w.Conn.Write(b)
}

func (w *wire) reply(method string) reply {
	w.Helper()
	r, err := w.tryReply(method)
	if err != nil {
		w.Fatalf("reply: %v", err)
	}
	return r
}

// request waits for a reply to begin, and returns the request that it answers;
// see outbox.next.
func (w *wire) request(method string) (req *http.Request, done func()) {
	w.br.Peek(1) // whoever answers has got it all, or all that it wants
	return w.out.next(method)
}

func (w *wire) tryReply(method string) (reply, error) {
	w.Helper()
	req, done := w.request(method)
	res, err := http.ReadResponse(w.br, req)
	if err != nil {
		return reply{}, err
	}
	if res.StatusCode != http.StatusContinue {
		done()
	}
	return checkReply(w.TB, res, method)
}

// ends checks that the relay closes the connection, with nothing more on it.
func (w *wire) ends() {
	w.Helper()
	if rest, err := io.ReadAll(w.br); err != nil || len(rest) > 0 {
		w.Errorf("the connection does not end cleanly: %.100q, %v", rest, err)
	}
}
