package natslog

import (
	"errors"
	"fmt"
	"net/url"
	"strings"
)

// parseURL reads the URL of a server. Its errors have nothing of what may be a
// password.
func parseURL(text string, schemes ...string) (*url.URL, error) {
	if !strings.Contains(text, "://") {
		text = schemes[0] + "://" + text
	}
	u, err := url.Parse(text)
	if err != nil {
		return nil, errors.New("natslog: the URL of a server can't be read: it is scheme://host:port")
	}
	for _, s := range schemes {
		if u.Scheme == s {
			if u.Hostname() == "" {
				return nil, fmt.Errorf("natslog: the URL %s has no host", redacted(u))
			}
			return u, nil
		}
	}
	return nil, fmt.Errorf("natslog: the URL %s has to begin with %s://", redacted(u), strings.Join(schemes, ":// or "))
}

// redacted is a URL for people: without what authenticates. A user name alone may be a
// token, so it goes, too.
func redacted(u *url.URL) string {
	r := *u
	if r.User != nil {
		r.User = url.User("xxxxx")
	}
	r.RawQuery, r.Fragment = "", ""
	return r.String()
}

// Redact gives URLs as they may be shown and logged: without users, passwords and
// tokens.
func Redact(urls []string) string {
	list := make([]string, 0, len(urls))
	for _, text := range urls {
		u, err := parseURL(text, "nats", "tls", "ws", "wss", "http", "https")
		if err != nil {
			list = append(list, "(unreadable)")
			continue
		}
		list = append(list, redacted(u))
	}
	return strings.Join(list, ",")
}

// serverURLs checks the URLs of servers and joins them as the client wants them.
func serverURLs(urls []string) (string, error) {
	list := make([]string, 0, len(urls))
	for _, text := range urls {
		u, err := parseURL(strings.TrimSpace(text), "nats", "tls", "ws", "wss")
		if err != nil {
			return "", err
		}
		list = append(list, u.String())
	}
	return strings.Join(list, ","), nil
}
