package call

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// Timeout is how long a call waits for its answer: longer than a relay's patience
// with its journal.
const Timeout = 13 * time.Second

// mostBody is how much of an answer is read, in bytes.
const mostBody = 16 << 20

// A Slot is a mailbox with its tokens.
type Slot struct {
	ID    string `json:"slot_id"`
	Token string `json:"slot_token"`
	Owner string `json:"owner_token"`
}

// A Client calls relays and records it. It may be used concurrently.
type Client struct {
	Rec    *Recorder
	Relays []string // base URLs
	Admins []string // those of the operators' listeners

	// kept keeps connections. net/http sends no post twice by itself, but it would
	// send a GET twice, and that of an invite counts. So fresh is for those.
	kept, fresh *http.Client
}

// NewClient returns a client of the relays and of their operators' listeners.
func NewClient(rec *Recorder, relays, admins []string) *Client {
	return &Client{
		Rec: rec, Relays: relays, Admins: admins,
		kept:  &http.Client{Timeout: Timeout, Transport: &http.Transport{MaxIdleConnsPerHost: 64}},
		fresh: &http.Client{Timeout: Timeout, Transport: &http.Transport{DisableKeepAlives: true}},
	}
}

// Close closes the connections that are kept.
func (c *Client) Close() { c.kept.CloseIdleConnections() }

// answer is what came back.
type answer struct {
	head http.Header
	body []byte
}

// member returns a member of the answer's object, or nil.
func (a *answer) member(name string) any {
	var m map[string]any
	if json.Unmarshal(a.body, &m) != nil {
		return nil
	}
	return m[name]
}

func (a *answer) text(name string) string { s, _ := a.member(name).(string); return s }

func (a *answer) number(name string) int64 { f, _ := a.member(name).(float64); return int64(f) }

// send sends one request and fills in when, and what status came. A call whose
// answer was cut has no status: its outcome is unknown.
func (c *Client) send(ctx context.Context, via *http.Client, k *Call, method, path, bearer, kind string, body []byte) *answer {
	return c.sendTo(ctx, via, k, c.Relays[k.Relay], method, path, bearer, kind, body)
}

func (c *Client) sendTo(ctx context.Context, via *http.Client, k *Call, to, method, path, bearer, kind string, body []byte) *answer {
	var r io.Reader
	if body != nil {
		r = bytes.NewReader(body)
	}
	a := &answer{head: http.Header{}}
	req, err := http.NewRequestWithContext(ctx, method, to+path, r)
	if err != nil {
		k.Text = err.Error()
		return a
	}
	if bearer != "" {
		req.Header.Set("Authorization", "Bearer "+bearer)
	}
	if body != nil {
		req.Header.Set("Content-Type", kind)
	}
	k.Begin = c.Rec.Now()
	res, err := via.Do(req)
	if err == nil {
		a.head = res.Header
		a.body, err = io.ReadAll(io.LimitReader(res.Body, mostBody))
		res.Body.Close()
		if err == nil {
			k.Status = res.StatusCode
		}
	}
	k.End = c.Rec.Now()
	if err != nil {
		k.Text = err.Error()
		var op *net.OpError
		k.Unsent = errors.As(err, &op) && op.Op == "dial"
	} else {
		k.Text = string(a.body[:min(len(a.body), 160)])
		k.Barred = k.Status == 403 && a.member("blocked") == true
	}
	return a
}

const (
	kindJSON  = "application/json"
	kindLines = "application/x-ndjson"
)

// Post posts one event.
func (c *Client) Post(ctx context.Context, relay int, s Slot, e Event) *Call {
	return c.PostAs(ctx, relay, s, s.Token, "", e)
}

// PostAs is Post with a token that was made; id is the token's.
func (c *Client) PostAs(ctx context.Context, relay int, s Slot, token, id string, e Event) *Call {
	k := &Call{Op: Post, Relay: relay, Slot: s.ID, Events: []Event{e}, Token: id}
	a := c.send(ctx, c.kept, k, "POST", "/v1/events/"+s.ID, token, kindJSON, []byte(`{"event":`+e.Text+`}`))
	k.Duplicate = a.text("status") == "duplicate"
	c.Rec.Keep(k)
	return k
}

// Batch posts many events at once.
func (c *Client) Batch(ctx context.Context, relay int, s Slot, es []Event) *Call {
	k := &Call{Op: Batch, Relay: relay, Slot: s.ID, Events: es}
	var b bytes.Buffer
	for _, e := range es {
		b.WriteString(e.Text)
		b.WriteByte('\n')
	}
	a := c.send(ctx, c.kept, k, "POST", "/v1/events/"+s.ID, s.Token, kindLines, b.Bytes())
	k.Stored, k.Duplicates, k.Next = int(a.number("stored")), int(a.number("duplicates")), a.number("next")
	c.Rec.Keep(k)
	return k
}

// A Page says which page is wanted.
type Page struct {
	From       int64 // first position; -1: by Since
	Since      string
	Limit      int
	Consistent bool
}

// Pull reads a page.
func (c *Client) Pull(ctx context.Context, relay int, s Slot, p Page) *Call {
	return c.PullAs(ctx, relay, s, s.Token, "", p)
}

// PullAs is Pull with a token that was made; id is the token's.
func (c *Client) PullAs(ctx context.Context, relay int, s Slot, token, id string, p Page) *Call {
	k := &Call{Op: Pull, Relay: relay, Slot: s.ID, From: p.From, Since: p.Since, Consistent: p.Consistent, Token: id}
	q := url.Values{}
	if p.From >= 0 {
		q.Set("from", strconv.FormatInt(p.From, 10))
	} else if p.Since != "" {
		q.Set("since", p.Since)
	}
	if p.Limit > 0 {
		q.Set("limit", strconv.Itoa(p.Limit))
	}
	if p.Consistent {
		q.Set("consistent", "1")
	}
	a := c.send(ctx, c.kept, k, "GET", "/v1/events/"+s.ID+"?"+q.Encode(), token, "", nil)
	if k.Status == 200 {
		var list []json.RawMessage
		err := json.Unmarshal(a.body, &list)
		for _, e := range list {
			k.Got = append(k.Got, string(e))
		}
		var err2, err3 error
		k.Next, err2 = strconv.ParseInt(a.head.Get("Relay-Next"), 10, 64)
		k.SlotEnd, err3 = strconv.ParseInt(a.head.Get("Relay-End"), 10, 64)
		k.Trimmed = -1
		if n, err := strconv.ParseInt(a.head.Get("Relay-Trimmed"), 10, 64); err == nil {
			k.Trimmed = n
		}
		k.Stale = a.head.Get("Relay-Stale") != ""
		if err != nil || err2 != nil || err3 != nil {
			k.Text = fmt.Sprintf("not a page: %v %v %v: %s", err, err2, err3, k.Text)
			k.SlotEnd = -1
		} else {
			k.Text = ""
		}
	}
	c.Rec.Keep(k)
	return k
}

// Allocate makes a slot.
func (c *Client) Allocate(ctx context.Context, relay int) (Slot, *Call) {
	k := &Call{Op: Allocate, Relay: relay}
	a := c.send(ctx, c.kept, k, "POST", "/v1/slot/allocate", "", kindJSON, []byte("{}"))
	var s Slot
	_ = json.Unmarshal(a.body, &s) // a slot without an id is none
	k.Slot, k.Text = s.ID, ""      // it holds tokens
	c.Rec.Keep(k)
	return s, k
}

// Delete deletes a slot.
func (c *Client) Delete(ctx context.Context, relay int, s Slot) *Call {
	k := &Call{Op: Delete, Relay: relay, Slot: s.ID}
	c.send(ctx, c.kept, k, "DELETE", "/v1/slot/"+s.ID, s.Owner, "", nil)
	c.Rec.Keep(k)
	return k
}

// Make makes a token that may read and post.
func (c *Client) Make(ctx context.Context, relay int, s Slot) (token string, k *Call) {
	k = &Call{Op: Make, Relay: relay, Slot: s.ID}
	a := c.send(ctx, c.kept, k, "POST", "/v1/slot/"+s.ID+"/tokens", s.Owner, kindJSON, []byte(`{"may":["post","read"]}`))
	token, k.Key, k.Text = a.text("token"), a.text("token_id"), ""
	c.Rec.Keep(k)
	return token, k
}

// Revoke ends a token.
func (c *Client) Revoke(ctx context.Context, relay int, s Slot, id string) *Call {
	k := &Call{Op: Revoke, Relay: relay, Slot: s.ID, Key: id}
	c.send(ctx, c.kept, k, "DELETE", "/v1/slot/"+s.ID+"/tokens/"+id, s.Owner, "", nil)
	c.Rec.Keep(k)
	return k
}

// Rotate gives the slot another slot token. old and next number the tokens.
func (c *Client) Rotate(ctx context.Context, relay int, s Slot, old, next string) (token string, k *Call) {
	k = &Call{Op: Rotate, Relay: relay, Slot: s.ID, Old: old, Key: next}
	a := c.send(ctx, c.kept, k, "POST", "/v1/slot/"+s.ID+"/tokens/rotate", s.Owner, kindJSON, []byte("{}"))
	token, k.Text = a.text("slot_token"), ""
	c.Rec.Keep(k)
	return token, k
}

// Claim claims the agent's nick for its slot.
func (c *Client) Claim(ctx context.Context, relay int, g Agent, s Slot) *Call {
	k := &Call{Op: Claim, Relay: relay, Slot: s.ID, Key: g.Nick, DID: g.DID}
	a := c.send(ctx, c.kept, k, "POST", "/v1/handle/claim", s.Token, kindJSON, g.Claim(s))
	k.Again = a.text("status") == "re-claimed"
	k.Holder = a.text("claimed_by")
	c.Rec.Keep(k)
	return k
}

// Unclaim gives the agent's nick back.
func (c *Client) Unclaim(ctx context.Context, relay int, g Agent, s Slot) *Call {
	k := &Call{Op: Unclaim, Relay: relay, Slot: s.ID, Key: g.Nick, DID: g.DID}
	c.send(ctx, c.kept, k, "DELETE", "/v1/handle/claim/"+g.Nick, s.Token, "", nil)
	c.Rec.Keep(k)
	return k
}

// Lookup asks for the agent that holds a nick.
func (c *Client) Lookup(ctx context.Context, relay int, nick string) *Call {
	k := &Call{Op: Lookup, Relay: relay, Key: nick}
	a := c.send(ctx, c.kept, k, "GET", "/.well-known/wire/agent?handle="+url.QueryEscape(nick), "", "", nil)
	k.Holder = a.text("did")
	c.Rec.Keep(k)
	return k
}

// Invite registers an invite. It is not recorded: without an answer nobody has its
// token.
func (c *Client) Invite(ctx context.Context, relay, uses int, text string) (token string, err error) {
	k := &Call{Relay: relay}
	a := c.send(ctx, c.kept, k, "POST", "/v1/invite/register", "", kindJSON,
		fmt.Appendf(nil, `{"invite_url":"wire://pair?%s","uses":%d}`, text, uses))
	if token = a.text("token"); k.Status != 201 || token == "" {
		return "", fmt.Errorf("no invite: status %d", k.Status)
	}
	return token, nil
}

// Use takes an invite once. It was made with so many uses.
func (c *Client) Use(ctx context.Context, relay int, token string, made int) *Call {
	k := &Call{Op: Use, Relay: relay, Key: token, Stored: made}
	c.send(ctx, c.fresh, k, "GET", "/i/"+token, "", "", nil)
	if strings.Contains(k.Text, "wire://") || k.Status == 200 {
		k.Text = ""
	}
	c.Rec.Keep(k)
	return k
}

// Ready says whether a relay answers that it is ready.
func (c *Client) Ready(ctx context.Context, relay int) error {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	k := &Call{Relay: relay}
	c.send(ctx, c.fresh, k, "GET", "/readyz", "", "", nil)
	if k.Status != 200 {
		return fmt.Errorf("relay %d is not ready: status %d, %s", relay, k.Status, k.Text)
	}
	return nil
}
