package operate

import (
	"context"
	"fmt"
	"net/http"
	neturl "net/url"
	"strings"
	"time"

	"cowrelay/cmd/cowrelay/internal/command"
	"cowrelay/cmd/cowrelay/internal/config"
	"cowrelay/cmd/cowrelay/internal/probe"

	"github.com/spf13/cobra"
)

// NewHealthCommand returns the command health. It is for supervisors that can run a
// program and nothing else, such as HEALTHCHECK in an image without a shell.
func NewHealthCommand() *cobra.Command {
	l := config.NewLayers()
	var alive bool
	var limit time.Duration
	var url string
	cmd := &cobra.Command{
		Use:   "health",
		Short: "Ask a relay whether it is ready: exit status 0 or 1",
		Long: `Ask a relay whether it is ready. The exit status is 0 if it is. It is 1 if
the relay is not ready or does not answer. health finds the address in the same
variables and file that serve reads: that of --admin, else of --bind, else of
--uds. Without --admin, a relay that is --local-only, or has a Unix socket alone,
can only say whether it is alive.`,
		Example: `  cowrelay health
  cowrelay health --url https://relay.example.com --timeout 5s`,
		Args:    command.NoArgs,
		GroupID: command.GroupServe,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if limit <= 0 {
				return command.WrongValue(cmd, "timeout", "a time such as 3s")
			}
			if u, err := neturl.Parse(url); url != "" && (err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https") {
				return command.Usage(fmt.Errorf("--url: %q: it is a URL such as https://relay.example.com", url))
			}
			path, socket := "/readyz", ""
			if alive {
				path = "/healthz"
			}
			get := probe.Get
			if url == "" {
				get = probe.GetOwn
				c, err := l.Load()
				if err != nil {
					return err
				}
				url, socket = localURL(c)
				if c.Admin == "" && (c.LocalOnly || socket != "") {
					path = "/healthz" // the only one of the two that is there
				}
			}
			ctx, stop := command.UntilInterrupted(cmd)
			defer stop()
			ctx, cancel := context.WithTimeout(ctx, limit)
			defer cancel()
			var status int
			var text string
			var err error
			if socket != "" {
				status, text, err = probe.GetUnix(ctx, socket, path)
			} else {
				status, text, err = get(ctx, strings.TrimRight(url, "/")+path)
			}
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
	l.BindFile(fs, "configuration file that serve reads")
	fs.StringVar(&url, "url", "", "ask this relay, such as https://relay.example.com, by either listener")
	fs.BoolVar(&alive, "alive", false, "ask whether it is alive, ready or not")
	fs.DurationVar(&limit, "timeout", 3*time.Second, "longest time to wait for the answer")
	command.NoFiles(cmd, "url", "timeout")
	return cmd
}

// localURL is where a relay of this configuration answers on this machine: a URL,
// or, if it has no other listener, a Unix socket.
func localURL(c *config.Config) (url, socket string) {
	switch {
	case c.Admin != "":
		return "http://" + probe.Reachable(c.Admin), ""
	case len(c.Binds) > 0:
		return c.Binds[0].URL(probe.Reachable(c.Binds[0].Address)), ""
	}
	return c.UDS, c.UDS
}
