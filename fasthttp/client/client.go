package client

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"
	"time"
)

// Options of New. A zero field takes its default, which its comment names.
type Options struct {
	// HTTP makes the requests. The default takes proxies from the environment,
	// speaks HTTP/1.1, and keeps a bounded number of idle connections. The client
	// never follows redirects, even if HTTP would.
	HTTP *http.Client

	Timeout  time.Duration // of one try, until the body of the reply is read (60 s)
	RetryFor time.Duration // how long a call tries again (1 min; negative: it does not)
	MinWait  time.Duration // the first wait before a further try, give or take half (100 ms)
	MaxWait  time.Duration // the longest wait, likewise, unless the relay asks for more (5 s)
	MaxRetry time.Duration // the longest wait that a relay may ask for when a stream ends (30 s)
	FailFast bool          // until the relay has answered once, no call tries again
	Silence  time.Duration // a stream that is silent for so long counts as broken (30 s)

	// RepeatWithoutID repeats a post whose answer was lost even if its event has
	// no id. The event may then be stored twice.
	RepeatWithoutID bool

	// OnRetry is called before a call waits for its next try, with the reason and
	// the wait. OnBack is called when a later try was answered. Both may be nil.
	// Several goroutines may call them at once.
	OnRetry func(err error, wait time.Duration)
	OnBack  func()

	// OnOpen is called each time when a stream is open: what is posted from then on
	// comes on it. It may be nil. Several goroutines may call it at once.
	OnOpen func()

	UserAgent string // ("cowrelay-client")
}

// Client talks to one relay. New makes it. It is safe for concurrent use.
type Client struct {
	base string // URL of the relay, without a slash at its end
	http *http.Client
	opts Options

	// plain: the last page came without positions. It is a hint, for which question
	// to put first. Every answer shows anew what the relay has.
	plain atomic.Bool

	// answered: the relay has answered, be it that it refused or was too busy.
	answered atomic.Bool
}

// New returns a client of the relay at the URL, such as http://127.0.0.1:8770.
// It makes no connection yet.
func New(relay string, opts Options) (*Client, error) {
	u, err := url.Parse(relay)
	switch {
	case err != nil: // its text repeats the URL
		return nil, fmt.Errorf("bad URL of a relay %q: it is like http://127.0.0.1:8770", relay)
	case u.Scheme != "http" && u.Scheme != "https" || u.Host == "":
		return nil, fmt.Errorf("bad URL of a relay %q: it is like http://127.0.0.1:8770", relay)
	case u.User != nil || u.RawQuery != "" || u.Fragment != "":
		return nil, fmt.Errorf("bad URL of a relay %q: user, query and fragment have no place in it", u.Redacted())
	}
	def(&opts.Timeout, time.Minute)
	def(&opts.RetryFor, time.Minute)
	def(&opts.MinWait, 100*time.Millisecond)
	def(&opts.MaxWait, 5*time.Second)
	def(&opts.MaxRetry, 30*time.Second)
	def(&opts.Silence, 30*time.Second)
	def(&opts.UserAgent, "cowrelay-client")
	var own http.Client
	if opts.HTTP != nil {
		own = *opts.HTTP
	}
	if own.Transport == nil {
		own.Transport = newTransport()
	}
	// A redirect would take the token to another server, and turn a POST into a GET.
	own.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return &Client{base: strings.TrimRight(u.String(), "/"), http: &own, opts: opts}, nil
}

func def[T comparable](v *T, to T) {
	if *v == *new(T) {
		*v = to
	}
}

func newTransport() *http.Transport {
	dialer := &net.Dialer{Timeout: 10 * time.Second, KeepAlive: 30 * time.Second}
	return &http.Transport{
		Proxy:                  http.ProxyFromEnvironment,
		DialContext:            dialer.DialContext,
		TLSHandshakeTimeout:    10 * time.Second,
		MaxIdleConns:           256,
		MaxIdleConnsPerHost:    256,
		IdleConnTimeout:        60 * time.Second, // the relay closes them after 75 s
		MaxResponseHeaderBytes: 64 << 10,
		ReadBufferSize:         32 << 10,
		DisableCompression:     true,
	}
}

// URL returns the relay's URL.
func (c *Client) URL() string { return c.base }

// Close closes connections that are not in use. The client stays usable.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// Slot is a slot of a relay, with the token that opens it. Client.Slot and
// Client.Allocate make it. Printing it does not show the token.
type Slot struct {
	ID    string
	Token string
	// Owner is the token that may also remove the slot and manage its tokens. Empty:
	// Token is used for that too.
	Owner string

	client *Client
}

// Slot returns the slot with the id. It makes no request.
func (c *Client) Slot(id, token string) *Slot { return &Slot{ID: id, Token: token, client: c} }

// Relay returns the URL of the slot's relay.
func (s *Slot) Relay() string { return s.client.base }

// String returns the slot's id.
func (s *Slot) String() string { return s.ID }

// GoString returns the slot's id.
func (s *Slot) GoString() string { return "client.Slot(" + s.ID + ")" }

// Allocate makes a new slot. The relay shows its tokens this once. Owner is empty if
// the relay knows no tokens with fewer rights. If the answer is
// lost, Allocate does not try again: that would leave a slot whose token nobody has.
func (c *Client) Allocate(ctx context.Context) (*Slot, error) {
	return c.AllocateFor(ctx, Lifetime{})
}

// Lifetime is how long a slot is kept after it was used last, and how long each of its
// events. Zero is as long as the relay's operator says. Whole seconds count.
type Lifetime struct{ Slot, Event time.Duration }

// AllocateFor is Allocate for a slot with a lifetime of its own. The relay refuses what is
// not within its operator's bounds, and says which these are. A relay that knows no
// lifetimes makes a slot without one: State tells.
func (c *Client) AllocateFor(ctx context.Context, l Lifetime) (*Slot, error) {
	body, err := json.Marshal(struct {
		Slot  int64 `json:"ttl_seconds,omitempty"`
		Event int64 `json:"event_ttl_seconds,omitempty"`
	}{int64(l.Slot / time.Second), int64(l.Event / time.Second)})
	if err != nil {
		return nil, err
	}
	var s struct {
		ID    string `json:"slot_id"`
		Token string `json:"slot_token"`
		Owner string `json:"owner_token"`
	}
	r, err := c.do(ctx, call{method: http.MethodPost, path: "/v1/slot/allocate", body: body})
	if err != nil {
		return nil, err
	}
	if err := r.decode(&s); err != nil {
		return nil, err
	}
	if s.ID == "" || s.Token == "" {
		return nil, r.foreign(errors.New("no slot_id and slot_token in it"))
	}
	return &Slot{ID: s.ID, Token: s.Token, Owner: s.Owner, client: c}, nil
}

// Health is what a slot's reader says about itself.
type Health struct {
	Status        string `json:"status"`
	SetAt         string `json:"set_at"`
	Reason        string `json:"reason,omitempty"`
	LastSuccessAt string `json:"last_success_at,omitempty"`
}

// State is what the relay says about a slot.
type State struct {
	SlotID          string  `json:"slot_id"`
	EventCount      uint64  `json:"event_count"`
	LastPullAtUnix  *int64  `json:"last_pull_at_unix"` // nil: never pulled
	ResponderHealth *Health `json:"responder_health"`
	// How long the slot is kept after it was used last, and how long each event; nil: for
	// ever, or the relay does not say.
	TTLSeconds      *int64 `json:"ttl_seconds"`
	EventTTLSeconds *int64 `json:"event_ttl_seconds"`
}

// State returns the slot's state.
func (s *Slot) State(ctx context.Context) (*State, error) {
	r, err := s.client.do(ctx, call{method: http.MethodGet, path: s.path("state"), token: s.Token, repeat: true})
	if err != nil {
		return nil, err
	}
	var st *State
	if err := r.decode(&st); err != nil {
		return nil, err
	}
	if st == nil || st.SlotID != s.ID {
		return nil, r.foreign(errors.New("it is not about this slot"))
	}
	return st, nil
}

// SetHealth sets the slot's responder health record. Status and SetAt must not be
// empty.
func (s *Slot) SetHealth(ctx context.Context, h Health) error {
	body, err := json.Marshal(h)
	if err != nil {
		return err
	}
	_, err = s.client.do(ctx, call{method: http.MethodPost, path: s.path("responder-health"), token: s.Token, body: body, repeat: true})
	return err
}

// Delete removes the slot with all its events, as its owner. It also succeeds if an
// earlier try of the same call removed the slot and its answer was lost.
func (s *Slot) Delete(ctx context.Context) error {
	r, err := s.client.do(ctx, call{method: http.MethodDelete, path: "/v1/slot/" + url.PathEscape(s.ID), token: s.owner(), repeat: true})
	if errors.Is(err, ErrGone) && r.lost {
		return nil
	}
	return err
}

// owner returns the token for what only the slot's owner may do.
func (s *Slot) owner() string {
	if s.Owner != "" {
		return s.Owner
	}
	return s.Token
}

func (s *Slot) path(what string) string { return "/v1/slot/" + url.PathEscape(s.ID) + "/" + what }

func (s *Slot) eventsPath() string { return "/v1/events/" + url.PathEscape(s.ID) }
