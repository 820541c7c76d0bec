package client

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"time"

	"cowrelay/bench/wire"
)

// Timeout is how long a client waits for an answer.
const Timeout = 30 * time.Second

// MostBody is how much of an answer is read at most, in bytes.
const MostBody = 8 << 20

// Fresh makes a connection for each request, as existing clients do.
var Fresh = &http.Client{
	Timeout:   Timeout,
	Transport: &http.Transport{DisableKeepAlives: true, DialContext: Dial},
}

// HonestIP is the address of the honest clients. Attackers have other
// addresses, unless a variant says so.
var HonestIP = net.IPv4(127, 0, 0, 1)

// ProxyIP is where a proxy is that the relay trusts, in drills about agents that
// meet. All agents come through it.
var ProxyIP = net.IPv4(127, 0, 0, 8)

// At returns a client with another address, which keeps up to n connections.
// done closes them.
func At(ip net.IP, n int) (c *http.Client, done func()) {
	d := net.Dialer{Timeout: Timeout, LocalAddr: &net.TCPAddr{IP: ip}, ControlContext: wire.BindNoPort}
	tr := &http.Transport{DialContext: d.DialContext, MaxIdleConnsPerHost: n}
	return &http.Client{Timeout: Timeout, Transport: tr}, tr.CloseIdleConnections
}

// Dial connects from the honest clients' address.
func Dial(ctx context.Context, network, addr string) (net.Conn, error) {
	d := net.Dialer{Timeout: Timeout, LocalAddr: &net.TCPAddr{IP: HonestIP}, ControlContext: wire.BindNoPort}
	return d.DialContext(ctx, network, addr)
}

// A Slot is a mailbox of the relay.
type Slot struct {
	ID    string `json:"slot_id"`
	Token string `json:"slot_token"`
	Owner string `json:"owner_token"` // "": the relay gave none
}

// Send sends one request and reads the whole answer. A status that is not in
// want is an error.
func Send(ctx context.Context, c *http.Client, method, url, token string, body []byte, want ...int) ([]byte, error) {
	b, status, err := Exchange(ctx, c, Request{Method: method, URL: url, Token: token, Body: body})
	if err != nil {
		return nil, err
	}
	if !slices.Contains(want, status) {
		err = fmt.Errorf("status %d: %.200s", status, bytes.TrimSpace(b))
	}
	return b, err
}

// A Request is one request.
type Request struct {
	Method, URL string
	Token       string // "": none
	From        string // the address that a proxy names; "": none
	Type        string // content type of the body; "": that of JSON
	Body        []byte // nil: none
}

// Exchange sends a request and reads the whole answer. It takes any status.
func Exchange(ctx context.Context, c *http.Client, q Request) (answer []byte, status int, err error) {
	var r io.Reader
	if q.Body != nil {
		r = bytes.NewReader(q.Body)
	}
	req, err := http.NewRequestWithContext(ctx, q.Method, q.URL, r)
	if err != nil {
		return nil, 0, err
	}
	if q.From != "" {
		req.Header.Set("X-Forwarded-For", q.From)
	}
	if q.Token != "" {
		req.Header.Set("Authorization", "Bearer "+q.Token)
	}
	if q.Body != nil {
		req.Header.Set("Content-Type", cmp.Or(q.Type, "application/json"))
		// If the relay has closed a kept connection, it is safe to send an event again:
		// its id makes sure that it is stored once. This entry lets net/http do so, and
		// sends nothing.
		req.Header["Idempotency-Key"] = []string{}
	}
	res, err := c.Do(req)
	if err != nil {
		return nil, 0, err
	}
	defer res.Body.Close()
	if answer, err = io.ReadAll(io.LimitReader(res.Body, MostBody)); err != nil {
		return nil, 0, fmt.Errorf("status %d, then %w", res.StatusCode, err)
	}
	return answer, res.StatusCode, nil
}
