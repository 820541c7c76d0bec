package fasthttp

import (
	"bytes"
	"log/slog"
	"net"
	"regexp"
	"strings"
	"sync"
	"testing"
)

// tokenBook keeps all that a relay logs, at the lowest level, and the tokens
// that were handed out by it or sent to it. The two must have nothing in common.
// Every rig has one.
type tokenBook struct {
	mu   sync.Mutex
	list []string
	text []byte
}

const (
	// part is how many characters of a token may not be logged either.
	part = 16
	// A test with more tokens, or more text, has shown enough.
	bookTokens, bookText = 4096, 8 << 20
)

var (
	handedOut = regexp.MustCompile(`"(?:slot_token|owner_token|token)":"([^"]+)"`)
	sent      = regexp.MustCompile(`(?i)bearer[ \t]+([!-~]+)`)
)

// Write implements io.Writer.
func (b *tokenBook) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.text) < bookText {
		b.text = append(b.text, p...)
	}
	return len(p), nil
}

func (b *tokenBook) handler() slog.Handler {
	return slog.NewTextHandler(b, &slog.HandlerOptions{Level: slog.LevelDebug})
}

func (b *tokenBook) add(token string) {
	if b == nil || len(token) < part || strings.Count(token, token[:1]) == len(token) {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if n := len(b.list); n < bookTokens && (n == 0 || b.list[n-1] != token) {
		b.list = append(b.list, token)
	}
}

// addSent finds tokens in what goes out on a bare connection.
func (b *tokenBook) addSent(p []byte) {
	if b == nil || !bytes.Contains(p, []byte("earer")) && !bytes.Contains(p, []byte("EARER")) {
		return
	}
	for _, m := range sent.FindAllSubmatch(p, -1) {
		b.add(string(m[1]))
	}
}

// leaks returns the lines of the log that hold a part of a token.
func (b *tokenBook) leaks() (lines []string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	parts := make(map[string]bool)
	for _, token := range b.list {
		for i := range len(token) - part + 1 {
			parts[token[i:i+part]] = true
		}
	}
next:
	for line := range strings.Lines(string(b.text)) {
		for i := range max(len(line)-part+1, 0) {
			if parts[line[i:i+part]] {
				lines = append(lines, line)
				continue next
			}
		}
	}
	return lines
}

func (b *tokenBook) check(t testing.TB) {
	t.Helper()
	if lines := b.leaks(); len(lines) > 0 {
		t.Errorf("%d lines of the log hold a token, or a part of one, such as:\n%.600s", len(lines), lines[0])
	}
}

// The book sees a token, and a part of one, wherever it is logged.
func TestTokens_TheBookSees(t *testing.T) {
	token := strings.Repeat("0123456789abcdef", 3) + "fedcba9876543210"
	for name, text := range map[string]string{"whole": token, "quoted": `"Bearer ` + token + `"`, "a part": token[40:56], "nothing": token[:15] + "-" + token[40:55]} {
		b := new(tokenBook)
		b.addSent([]byte("GET / HTTP/1.1\r\nAUTHORIZATION: BEARER  " + token + "\r\n"))
		slog.New(b.handler()).Debug("said", "it", text)
		if got := len(b.leaks()); got == 1 != (name != "nothing") {
			t.Errorf("%s: %d leaks", name, got)
		}
	}
}

// Heads that can't be read, and whatever else goes wrong on a connection, are
// logged without what they hold; the rig checks that.
func TestTokens_NeverLogged(t *testing.T) {
	t.Parallel()
	g := newRig(t, shortTimes, func(o *rigOptions) { o.relay.AccessLog = true })
	g.undescribed = true
	m := g.allocate()
	auth := "Authorization: Bearer " + m.token + "\n"
	line := "GET /v1/events/" + m.id + " HTTP/1.1\nHost: x\n"
	post := "POST /v1/events/" + m.id + " HTTP/1.1\nHost: x\nContent-Type: application/json\n" + auth
	for name, head := range map[string]string{
		"line without colon":   line + auth + "nonsense\n\n",
		"blank before colon":   line + "Authorization : Bearer " + m.token + "\n\n",
		"token as a line":      line + "Bearer " + m.token + "\n\n",
		"too large":            line + auth + "X: " + strings.Repeat("a", 9000) + "\n\n",
		"too large, last":      line + "X: " + strings.Repeat("a", 9000) + "\n" + auth + "\n",
		"bad method":           "G@T / HTTP/1.1\nHost: x\n" + auth + "\n",
		"a token as a method":  m.token + " /healthz HTTP/1.1\nHost: x\n" + auth + "\n",
		"a token in a path":    "GET /v1/events/" + m.token + " HTTP/1.1\nHost: x\n" + auth + "\n",
		"a path behind a slot": "GET /v1/events/" + m.id + "/x" + m.token + " HTTP/1.1\nHost: x\n" + auth + "\n",
		"a token in a query":   "GET /v1/events/" + m.id + "?ticket=" + m.token + " HTTP/1.1\nHost: x\n\n",
		"a user in a target":   "GET http://u:" + m.token + "@x/healthz HTTP/1.1\nHost: x\n\n",
		"a bad target":         "GET healthz?" + m.token + " HTTP/1.1\nHost: x\n\n",
		"no request line":      "Authorization: Bearer " + m.token + "\n\n",
		"a version":            "GET / " + m.token + "\nHost: x\n\n",
		"NUL":                  line + "Authorization: Bearer " + m.token + "\x00\n\n",
		"bare LF":              strings.ReplaceAll(line+auth, "\n", "\r") + "\n\n",
		"two hosts":            line + auth + "Host: " + m.token + "\n\n",
		"a folded line":        line + "Authorization: Bearer\n " + m.token + "\n\n",
		"a coding":             line + auth + "Transfer-Encoding: " + m.token + "\n\n",
		"a length":             line + auth + "Content-Length: " + m.token + "\n\n",
		"an unfinished head":   line + auth,
		"an unfinished body":   post + "Content-Length: 100\n\n{" + m.token,
		"a bad chunk":          post + "Transfer-Encoding: chunked\n\n" + m.token + "\n",
		"a bad trailer":        post + "Transfer-Encoding: chunked\n\n0\nAuthorization: Bearer " + m.token + "\n\n",
		"no JSON":              post + "Content-Length: 66\n\n\"" + m.token + "x",
	} {
		w := g.dial()
		w.out = nil
		w.send(head)
		if r, err := w.tryReply("GET"); err != nil || r.status < 200 {
			t.Errorf("%s: %v %v", name, r, err)
		}
		w.Close()
	}
	for range 3 { // and connections that end in the middle
		w := g.dial()
		w.out = nil
		w.send(line + auth)
		w.Conn.(*net.TCPConn).SetLinger(0)
		w.Close()
	}
	g.healthy()
	g.tokens.mu.Lock()
	defer g.tokens.mu.Unlock()
	for _, want := range []string{"http server", `"error when serving connection`, "msg=request", "path=/v1/events/" + m.id, "path=/v1/events/…"} {
		if !bytes.Contains(g.tokens.text, []byte(want)) {
			t.Errorf("the log does not hold %q, so the test proves little", want)
		}
	}
}
