package client

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"time"
)

// The most bytes of a reply. A page is at most a whole slot.
const (
	maxReply = 1 << 20
	maxError = 64 << 10
	maxPage  = 128 << 20
)

// call is a request, and how it may be treated.
type call struct {
	method, path string // the path may have a query
	token        string
	body         []byte
	kind         string        // the Content-Type of the body (application/json)
	repeat       bool          // it may be done twice without harm
	max          int64         // the most bytes of a good reply (maxReply)
	wait         time.Duration // how long the relay may wait before it answers
}

// reply is a good answer.
type reply struct {
	relay  string
	header http.Header
	body   []byte
	lost   bool // an earlier try got no answer: the relay may have acted on it
}

func (r reply) decode(v any) error {
	if err := json.Unmarshal(r.body, v); err != nil {
		return r.foreign(err)
	}
	return nil
}

// foreign makes the error of a reply that does not come from a relay.
func (r reply) foreign(err error) error {
	return fmt.Errorf("%w: %s answered %s: %w", ErrReply, r.relay, quote(string(r.body[:min(len(r.body), 200)])), err)
}

// do makes a call. It tries again where that helps and does no harm.
func (c *Client) do(ctx context.Context, q call) (reply, error) {
	b := c.newBackoff()
	lost := false
	for {
		r, err := c.try(ctx, q)
		r.lost = lost
		if err == nil {
			c.answered.Store(true)
			b.back()
			return r, nil
		}
		var gone *LostError
		var no *Error
		again := false
		switch {
		case ctx.Err() != nil:
		case errors.As(err, &gone):
			again = q.repeat || !gone.Sent
			lost = lost || gone.Sent
		case errors.As(err, &no):
			again = no.notNow() || q.repeat && no.Status >= 500
			if no.notNow() || no.Status < 500 { // else it may be a proxy that answers
				c.answered.Store(true)
			}
		}
		hasty := c.opts.FailFast && !c.answered.Load()
		if !again || hasty || !b.wait(ctx, err) {
			if gone != nil {
				gone.GaveUp = again && ctx.Err() == nil
			}
			r.lost = lost
			return r, err
		}
	}
}

// request makes the request of a call. It sets sent when the request gets a
// connection.
func (c *Client) request(ctx context.Context, q call, sent *bool) (*http.Request, error) {
	ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{GotConn: func(httptrace.GotConnInfo) { *sent = true }})
	var body io.Reader
	if q.body != nil {
		body = bytes.NewReader(q.body)
	}
	req, err := http.NewRequestWithContext(ctx, q.method, c.base+q.path, body)
	if err != nil {
		return nil, err
	}
	req.Header.Set("User-Agent", c.opts.UserAgent)
	if q.token != "" {
		req.Header.Set("Authorization", "Bearer "+q.token)
	}
	if q.body != nil {
		def(&q.kind, "application/json")
		req.Header.Set("Content-Type", q.kind)
	}
	return req, nil
}

var errSlow = errors.New("it took too long")

// try makes a call once.
func (c *Client) try(ctx context.Context, q call) (reply, error) {
	r := reply{relay: c.base}
	ctx, cancel := context.WithTimeoutCause(ctx, c.opts.Timeout+q.wait, errSlow)
	defer cancel()
	var sent bool
	req, err := c.request(ctx, q, &sent)
	if err != nil {
		return r, err
	}
	res, err := c.http.Do(req)
	if err != nil {
		return r, c.lost(ctx, sent, err)
	}
	defer res.Body.Close()
	def(&q.max, maxReply)
	if res.StatusCode < 200 || res.StatusCode > 299 {
		return r, c.refusal(ctx, res)
	}
	body, err := readAll(res, q.max)
	if errors.Is(err, ErrReply) {
		return r, err
	}
	if err != nil {
		return r, c.lost(ctx, true, err)
	}
	r.header, r.body = res.Header, body
	return r, nil
}

// refusal reads the reply of a refused request. A part of the body is enough.
func (c *Client) refusal(ctx context.Context, res *http.Response) error {
	body, err := io.ReadAll(io.LimitReader(res.Body, maxError))
	if err != nil && len(body) == 0 && ctx.Err() != nil {
		return c.lost(ctx, true, err)
	}
	return newError(res.StatusCode, res.Header, body)
}

// readAll reads a reply of at most most bytes.
func readAll(res *http.Response, most int64) ([]byte, error) {
	tooLong := fmt.Errorf("%w: it is longer than %d bytes", ErrReply, most)
	if res.ContentLength > most {
		return nil, tooLong
	}
	var b bytes.Buffer
	if res.ContentLength > 0 {
		b.Grow(int(res.ContentLength) + bytes.MinRead)
	}
	n, err := b.ReadFrom(io.LimitReader(res.Body, most+1))
	if n > most {
		return nil, tooLong
	}
	return b.Bytes(), err
}

// lost wraps the error of a request without an answer.
func (c *Client) lost(ctx context.Context, sent bool, err error) error {
	if cause := context.Cause(ctx); cause != nil {
		err = cause
	}
	var u *url.Error
	if errors.As(err, &u) {
		err = u.Err
	}
	return &LostError{Relay: c.base, Sent: sent, Err: err}
}

// backoff holds the waits of one call. They grow. They are random, so that clients
// that failed together don't come back together.
type backoff struct {
	client *Client
	next   time.Duration // the next wait, before jitter
	until  time.Time     // when to give up; zero: never
	waited bool          // since the last answer
}

func (c *Client) newBackoff() *backoff {
	return &backoff{client: c, next: c.opts.MinWait, until: time.Now().Add(c.opts.RetryFor)}
}

// wait waits for the next try. It returns false if there is none, because the time
// for it or ctx is over.
func (b *backoff) wait(ctx context.Context, err error) bool {
	d := b.next/2 + rand.N(b.next)
	b.next = min(2*b.next, max(b.client.opts.MaxWait, b.client.opts.MinWait))
	var no *Error
	if errors.As(err, &no) {
		d = max(d, no.RetryAfter+d/4)
	}
	return b.sleep(ctx, err, d)
}

func (b *backoff) sleep(ctx context.Context, err error, d time.Duration) bool {
	if !b.until.IsZero() && time.Now().Add(d).After(b.until) {
		return false
	}
	b.waited = true
	if f := b.client.opts.OnRetry; f != nil {
		f(err, d)
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// back calls OnBack if a try was answered after others were not.
func (b *backoff) back() {
	if f := b.client.opts.OnBack; f != nil && b.waited {
		f()
	}
	b.waited = false
}
