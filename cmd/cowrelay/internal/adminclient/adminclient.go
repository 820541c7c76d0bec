// Package adminclient speaks to the admin listener of a running relay, for all
// commands that do: it finds the listener and the token by the same flags and
// variables everywhere, and turns replies into errors that say what to do.
package adminclient

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"cowrelay/cmd/cowrelay/internal/command"
	"cowrelay/cmd/cowrelay/internal/config"

	"github.com/spf13/pflag"
)

// Client speaks to a relay's admin listener. New makes it. It may be used from
// several goroutines.
type Client struct {
	URL   string // without a slash at its end
	token string // "": none
	http  *http.Client
}

const (
	defaultAdminURL  = "http://127.0.0.1:9770"
	adminURLVariable = command.AdminURLVariable
	adminFileVar     = command.AdminFileVariable
)

// AddFlags adds the flags that New reads.
func AddFlags(f *pflag.FlagSet) {
	f.String("admin", "", "URL of the relay's admin listener; else "+adminURLVariable+", else "+defaultAdminURL)
	f.String("admin-token-file", "", "file with the admin token; else "+adminFileVar+", else the token in "+config.AdminTokenVariable)
}

// New returns the client that flags and environment ask for.
func New(f *pflag.FlagSet) (*Client, error) {
	text, origin := command.FlagOr(f, "admin", adminURLVariable, defaultAdminURL)
	if !strings.Contains(text, "://") {
		text = "http://" + text
	}
	u, err := url.Parse(text)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return nil, command.Usage(fmt.Errorf("%s: %q is no URL such as %s", origin, text, defaultAdminURL))
	}
	path, origin := command.FlagOr(f, "admin-token-file", adminFileVar, "")
	token, err := config.ReadAdminToken(path)
	if err != nil {
		if path == "" {
			origin = config.AdminTokenVariable
		}
		return nil, command.Usage(fmt.Errorf("%s: %w", origin, err))
	}
	return &Client{strings.TrimRight(text, "/"), token, &http.Client{
		Timeout: 30 * time.Second,
		// The token is for this address alone.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}, nil
}

// LongReplies has c wait for a reply for as long as it takes, if it begins within
// the time that a whole one has otherwise. Call it before the first request.
func (c *Client) LongReplies() { c.LateReplies(c.http.Timeout) }

// LateReplies is LongReplies with a time for the beginning of a reply.
func (c *Client) LateReplies(begin time.Duration) {
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.DisableCompression = true
	transport.ResponseHeaderTimeout = begin
	c.http.Transport, c.http.Timeout = transport, 0
}

// Close closes the connections that are kept for a next request.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// ErrUnreachable is behind the error of a relay that does not answer.
var ErrUnreachable = errors.New("no relay answers")

// Open sends a request and returns the reply if it is a good one; the caller closes
// its body. body is sent as JSON, unless it is nil.
func (c *Client) Open(ctx context.Context, method, path string, body any) (*http.Response, error) {
	var in io.Reader
	if body != nil {
		data, err := json.Marshal(body)
		if err != nil {
			return nil, err
		}
		in = bytes.NewReader(data)
	}
	req, err := http.NewRequestWithContext(ctx, method, c.URL+path, in)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", "application/json")
	if c.token != "" {
		req.Header.Set("Authorization", "Bearer "+c.token)
	}
	res, err := c.http.Do(req)
	if err != nil {
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		if u := new(url.Error); errors.As(err, &u) {
			err = u.Err // without the URL again
		}
		return nil, fmt.Errorf("%w at %s (does it run? --admin names its admin listener): %w", ErrUnreachable, c.URL, err)
	}
	if res.StatusCode < 300 {
		return res, nil
	}
	defer res.Body.Close()
	return nil, c.refused(res)
}

// refused returns the error of a reply that is not a good one.
func (c *Client) refused(res *http.Response) error {
	data, _ := io.ReadAll(io.LimitReader(res.Body, 64<<10))
	var said struct{ Error string }
	switch {
	case json.Unmarshal(data, &said) == nil && said.Error != "":
	case res.StatusCode == http.StatusServiceUnavailable:
		said.Error = "the relay is starting"
	default:
		said.Error = "this is not the admin listener of a relay of this version"
	}
	if res.StatusCode == http.StatusUnauthorized && c.token != "" {
		said.Error = "the admin token is not the relay's"
	} else if res.StatusCode == http.StatusUnauthorized {
		said.Error = "it asks for an admin token: give --admin-token-file"
	}
	return &refusal{res.StatusCode, fmt.Sprintf("%s: %s (%s)", c.URL, said.Error, res.Status)}
}

// refusal is the error of a reply with another status than success.
type refusal struct {
	status int
	text   string
}

func (e *refusal) Error() string { return e.text }

// Status returns the status that a relay refused with, or 0 if err is anything
// else.
func Status(err error) int {
	var no *refusal
	if errors.As(err, &no) {
		return no.status
	}
	return 0
}

// Call sends a request and reads the JSON reply into v, unless v is nil.
func (c *Client) Call(ctx context.Context, method, path string, body, v any) error {
	res, err := c.Open(ctx, method, path, body)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	if v == nil {
		return nil
	}
	if err := json.NewDecoder(res.Body).Decode(v); err != nil {
		return fmt.Errorf("%s: cannot read the reply: %w", c.URL, err)
	}
	return nil
}
