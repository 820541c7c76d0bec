// Package probe asks a relay for one page. The command health uses it from another
// process, and a running relay asks itself.
package probe

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
)

// Reachable returns the address to connect to, for one that a listener was given.
// A listener on all addresses of IPv6 is on all of IPv4 too, so the answer for both
// is 127.0.0.1: ::1 may be missing in a container.
func Reachable(address string) string {
	host, port, err := net.SplitHostPort(address)
	if ip := net.ParseIP(host); err == nil && (host == "" || ip.IsUnspecified()) {
		return net.JoinHostPort("127.0.0.1", port)
	}
	return address
}

// Get gets a URL and returns the status and the first line of the answer. It opens
// a connection of its own: one that is kept alive would not show that the listener
// takes no more.
func Get(ctx context.Context, url string) (status int, text string, err error) {
	return get(ctx, url, &http.Transport{})
}

// GetOwn is Get of a relay on this machine. It does not look whose certificate the
// relay shows: that is for a name, and it is asked by its address.
func GetOwn(ctx context.Context, url string) (status int, text string, err error) {
	return get(ctx, url, &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}})
}

// GetUnix is Get of a path at a Unix socket.
func GetUnix(ctx context.Context, socket, path string) (status int, text string, err error) {
	return get(ctx, "http://localhost"+path, &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", socket)
	}})
}

func get(ctx context.Context, url string, transport *http.Transport) (status int, text string, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return 0, "", err
	}
	transport.DisableKeepAlives = true
	defer transport.CloseIdleConnections()
	resp, err := transport.RoundTrip(req)
	if err != nil {
		return 0, "", fmt.Errorf("cannot ask %s: %w", url, err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, 1<<10))
	if err != nil {
		return 0, "", fmt.Errorf("cannot read the answer of %s: %w", url, err)
	}
	text, _, _ = strings.Cut(strings.TrimSpace(string(body)), "\n")
	return resp.StatusCode, text, nil
}
