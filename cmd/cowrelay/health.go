package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"syscall"
	"time"

	"cowrelay/cow"

	"github.com/spf13/cobra"
)

// newHealthCommand makes the command for supervisors that can run a program and
// nothing else, such as HEALTHCHECK in an image without a shell.
func newHealthCommand() *cobra.Command {
	l := &layers{flags: make(map[string]string), lookup: os.LookupEnv}
	var alive bool
	var limit time.Duration
	var url string
	cmd := &cobra.Command{
		Use:   "health",
		Short: "Ask a relay whether it is ready: exit status 0 or 1",
		Long: `Ask a relay whether it is ready. The exit status is 0 if it is and 1 if it is
not or gives no answer. The relay's address is taken from the same variables and
file that serve reads: that of --admin, or of --bind where that is empty.`,
		Example: `  cowrelay health
  cowrelay health --url https://relay.example.com --timeout 5s`,
		Args:    cobra.NoArgs,
		GroupID: groupServe,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if url == "" {
				c, err := l.load()
				if err != nil {
					return err
				}
				url = localURL(c)
			}
			path := "/readyz"
			if alive {
				path = "/healthz"
			}
			ctx, stop := untilInterrupted(cmd)
			defer stop()
			ctx, cancel := context.WithTimeout(ctx, limit)
			defer cancel()
			status, text, err := probe(ctx, strings.TrimRight(url, "/")+path)
			if err != nil {
				return err
			}
			if status != http.StatusOK {
				return fmt.Errorf("%s%s: %s", url, path, text)
			}
			fmt.Fprintln(cmd.OutOrStdout(), text)
			return nil
		},
	}
	fs := cmd.Flags()
	fs.SortFlags = false
	fs.StringVar(&l.path, "config", "", "configuration file that serve reads [COWRELAY_CONFIG]")
	fs.StringVar(&url, "url", "", "ask this relay, such as https://relay.example.com, by either listener")
	fs.BoolVar(&alive, "alive", false, "ask whether it is alive, ready or not")
	fs.DurationVar(&limit, "timeout", 3*time.Second, "longest time to wait for the answer")
	return cmd
}

// localURL is where a relay of this configuration answers on this machine.
func localURL(c *config) string {
	address := c.admin
	if address == "" {
		address = c.bind
	}
	return "http://" + reachable(address)
}

// reachable returns an address to connect to for one that is listened on. All
// addresses of IPv6 are all of IPv4 too, and ::1 may be missing in a container.
func reachable(address string) string {
	host, port, err := net.SplitHostPort(address)
	if ip := net.ParseIP(host); err == nil && (host == "" || ip.IsUnspecified()) {
		return net.JoinHostPort("127.0.0.1", port)
	}
	return address
}

// probe gets a URL over a connection of its own and returns the status and the
// first line of the answer.
func probe(ctx context.Context, url string) (status int, text string, err error) {
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

// alive says why a relay that should serve does not: its listener takes no
// connection or gives no answer (to be turned away is one), or its commit loop
// hangs, and that not for the disk.
func alive(ctx context.Context, ln net.Listener, store *cow.Store) error {
	loop := make(chan error, 1)
	go func() { loop <- store.Alive(ctx) }()
	_, _, err := probe(ctx, "http://"+reachable(ln.Addr().String())+"/healthz")
	for _, ours := range []error{syscall.EMFILE, syscall.ENFILE, syscall.ENOBUFS, syscall.EADDRNOTAVAIL} {
		if errors.Is(err, ours) {
			err = nil // it was not asked
		}
	}
	return errors.Join(err, <-loop)
}
