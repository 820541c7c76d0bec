package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/spf13/pflag"
)

// adminClient speaks to a relay's admin listener.
type adminClient struct {
	url   string // without a slash at its end
	token string
	http  *http.Client
}

const (
	defaultAdminURL  = "http://127.0.0.1:9770"
	adminURLVariable = "COWRELAY_ADMIN_URL"
	adminFileVar     = "COWRELAY_ADMIN_TOKEN_FILE"
)

// addAdminFlags adds the flags that newAdminClient reads.
func addAdminFlags(f *pflag.FlagSet) {
	f.String("admin", "", "URL of the relay's admin listener; else "+adminURLVariable+", else "+defaultAdminURL)
	f.String("admin-token-file", "", "file with the admin token; else "+adminFileVar+", else the token in "+adminTokenVariable)
}

func newAdminClient(f *pflag.FlagSet) (*adminClient, error) {
	text, origin := flagOr(f, "admin", adminURLVariable, defaultAdminURL)
	if !strings.Contains(text, "://") {
		text = "http://" + text
	}
	u, err := url.Parse(text)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return nil, usageError{fmt.Errorf("%s: %q is no URL such as %s", origin, text, defaultAdminURL)}
	}
	path, origin := flagOr(f, "admin-token-file", adminFileVar, "")
	token, err := readAdminToken(path)
	if err != nil {
		if path == "" {
			origin = adminTokenVariable
		}
		return nil, usageError{fmt.Errorf("%s: %w", origin, err)}
	}
	return &adminClient{strings.TrimRight(text, "/"), token, &http.Client{
		Timeout: 30 * time.Second,
		// The token is for this address alone.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}, nil
}

// flagOr returns a flag's value, else the variable's, else the default, and
// the name of where it comes from.
func flagOr(f *pflag.FlagSet, flag, variable, def string) (value, origin string) {
	if v := f.Lookup(flag).Value.String(); v != "" {
		return v, "--" + flag
	}
	if v := os.Getenv(variable); v != "" {
		return v, variable
	}
	return def, "--" + flag
}

// errUnreachable is behind the error of a relay that does not answer.
var errUnreachable = errors.New("no relay answers")

// open sends a request and returns the reply if it is a good one. body nil
// sends none.
func (c *adminClient) open(ctx context.Context, method, path string, body any) (*http.Response, error) {
	var in io.Reader
	if body != nil {
		data, err := json.Marshal(body)
		if err != nil {
			return nil, err
		}
		in = bytes.NewReader(data)
	}
	req, err := http.NewRequestWithContext(ctx, method, c.url+path, in)
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
		return nil, fmt.Errorf("%w at %s (does it run? --admin names its admin listener): %w", errUnreachable, c.url, err)
	}
	if res.StatusCode < 300 {
		return res, nil
	}
	defer res.Body.Close()
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
	return nil, &adminRefusal{res.StatusCode, fmt.Sprintf("%s: %s (%s)", c.url, said.Error, res.Status)}
}

// adminRefusal is the error of a reply with another status than success.
type adminRefusal struct {
	status int
	text   string
}

func (e *adminRefusal) Error() string { return e.text }

// call sends a request and reads the JSON reply into v, unless v is nil.
func (c *adminClient) call(ctx context.Context, method, path string, body, v any) error {
	res, err := c.open(ctx, method, path, body)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	if v == nil {
		return nil
	}
	if err := json.NewDecoder(res.Body).Decode(v); err != nil {
		return fmt.Errorf("%s: cannot read the reply: %w", c.url, err)
	}
	return nil
}
