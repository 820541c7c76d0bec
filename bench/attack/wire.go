package attack

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"
)

// opTimeout is how long an honest client waits for an answer.
const opTimeout = 30 * time.Second

// mostBody bounds what is read of an answer.
const mostBody = 8 << 20

// freshClient makes a connection for each request, as existing clients do.
var freshClient = &http.Client{
	Timeout:   opTimeout,
	Transport: &http.Transport{DisableKeepAlives: true, DialContext: dialHonest},
}

// honestIP is the address of the honest clients. Attackers have others, unless
// a variant says so.
var honestIP = net.IPv4(127, 0, 0, 1)

// clientAt is a client at another address that keeps up to n connections. done
// closes them.
func clientAt(ip net.IP, n int) (c *http.Client, done func()) {
	d := net.Dialer{Timeout: opTimeout, LocalAddr: &net.TCPAddr{IP: ip}, Control: bindNoPort}
	tr := &http.Transport{DialContext: d.DialContext, MaxIdleConnsPerHost: n}
	return &http.Client{Timeout: opTimeout, Transport: tr}, tr.CloseIdleConnections
}

func dialHonest(ctx context.Context, network, addr string) (net.Conn, error) {
	d := net.Dialer{Timeout: opTimeout, LocalAddr: &net.TCPAddr{IP: honestIP}, Control: bindNoPort}
	return d.DialContext(ctx, network, addr)
}

// A slot is a mailbox of the relay.
type slot struct {
	ID    string `json:"slot_id"`
	Token string `json:"slot_token"`
}

// send sends one request and reads the whole answer. A status other than want
// is an error.
func send(ctx context.Context, c *http.Client, method, url, token string, body []byte, want ...int) ([]byte, error) {
	var r io.Reader
	if body != nil {
		r = bytes.NewReader(body)
	}
	req, err := http.NewRequestWithContext(ctx, method, url, r)
	if err != nil {
		return nil, err
	}
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
		// An event's id makes it safe to send it again over another connection
		// where the relay closed a kept one: this tells net/http so. Nothing is
		// sent for it.
		req.Header["Idempotency-Key"] = []string{}
	}
	res, err := c.Do(req)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	b, err := io.ReadAll(io.LimitReader(res.Body, mostBody))
	if err != nil {
		return nil, fmt.Errorf("status %d, then %w", res.StatusCode, err)
	}
	for _, w := range want {
		if res.StatusCode == w {
			return b, nil
		}
	}
	return b, fmt.Errorf("status %d: %.200s", res.StatusCode, bytes.TrimSpace(b))
}

func (r *relay) allocate(ctx context.Context, c *http.Client) (s slot, err error) {
	b, err := send(ctx, c, "POST", "http://"+r.addr+"/v1/slot/allocate", "", []byte("{}"), 201)
	if err != nil {
		return s, fmt.Errorf("cannot allocate a slot: %w", err)
	}
	if err = json.Unmarshal(b, &s); err == nil && (s.ID == "" || s.Token == "") {
		err = errors.New("no id or no token")
	}
	return s, err
}

func (r *relay) eventsURL(s slot) string { return "http://" + r.addr + "/v1/events/" + s.ID }

// post posts an event, which must be stored, or be there.
func (r *relay) post(ctx context.Context, c *http.Client, s slot, event []byte) error {
	body := append(append([]byte(`{"event":`), event...), '}')
	_, err := send(ctx, c, "POST", r.eventsURL(s), s.Token, body, 201, 200)
	return err
}

// pull returns the events after the one named since.
func (r *relay) pull(ctx context.Context, c *http.Client, s slot, since string, limit, wait int) ([]json.RawMessage, error) {
	url := fmt.Sprintf("%s?since=%s&limit=%d", r.eventsURL(s), since, limit)
	if wait > 0 {
		url += fmt.Sprintf("&wait=%d", wait)
	}
	b, err := send(ctx, c, "GET", url, s.Token, nil, 200)
	if err != nil {
		return nil, err
	}
	var page []json.RawMessage
	if err := json.Unmarshal(b, &page); err != nil {
		return nil, fmt.Errorf("a page of %d bytes: %w", len(b), err)
	}
	return page, nil
}

// act does what an operator does.
func (r *relay) act(ctx context.Context, method, path, body string) ([]byte, error) {
	return send(ctx, freshClient, method, "http://"+r.admin+path, r.token, []byte(body), 200, 202, 204)
}

// request is the head of a request, for connections without an HTTP client.
func (r *relay) request(method, path, token, more string) []byte {
	h := method + " " + path + " HTTP/1.1\r\nHost: " + r.addr + "\r\n"
	if token != "" {
		h += "Authorization: Bearer " + token + "\r\n"
	}
	return []byte(h + more + "\r\n")
}

// pause waits for d, or until ctx ends; then it returns false.
func pause(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}
