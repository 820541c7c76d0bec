// Package probe asks a relay on this machine for one page.
package probe

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
)

// reachable returns an address to connect to for one that is listened on. All
// addresses of IPv6 are all of IPv4 too, and ::1 may be missing in a container.
func Reachable(address string) string {
	host, port, err := net.SplitHostPort(address)
	if ip := net.ParseIP(host); err == nil && (host == "" || ip.IsUnspecified()) {
		return net.JoinHostPort("127.0.0.1", port)
	}
	return address
}

// probe gets a URL over a connection of its own and returns the status and the
// first line of the answer.
func Get(ctx context.Context, url string) (status int, text string, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return 0, "", err
	}
	transport := &http.Transport{DisableKeepAlives: true}
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
