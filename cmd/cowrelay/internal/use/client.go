package use

import (
	"fmt"
	"sync/atomic"
	"time"

	"cowrelay/cmd/cowrelay/internal/command"
	"cowrelay/cmd/cowrelay/internal/term"
	relayclient "cowrelay/fasthttp/client"

	"github.com/spf13/cobra"
)

// newClient returns a client of a relay. When it has to wait, it says so on stderr,
// once until the relay answers again.
func newClient(cmd *cobra.Command, relay string) (*relayclient.Client, error) {
	patience, err := cmd.Flags().GetDuration("retry-for")
	if err != nil {
		return nil, err
	}
	if patience < 0 {
		return nil, command.WrongValue(cmd, "retry-for", "a time from 0s up")
	}
	if patience == 0 {
		patience = -1
	}
	var away atomic.Bool // the client calls back from several goroutines
	begin := cmd.CommandPath() + ": "
	if term.IsTerminal(cmd.ErrOrStderr()) {
		begin = "\r\x1b[K" + begin // a bar may be there
	}
	note := func(format string, args ...any) {
		fmt.Fprint(cmd.ErrOrStderr(), begin+term.Shown(fmt.Sprintf(format, args...))+"\n")
	}
	c, err := relayclient.New(relay, relayclient.Options{
		RetryFor: patience, UserAgent: "cowrelay/" + cmd.Root().Version,
		OnRetry: func(err error, wait time.Duration) {
			if !away.Swap(true) {
				note("%v; trying again", err)
			}
		},
		OnBack: func() {
			if away.Swap(false) {
				note("the relay answers again")
			}
		},
	})
	if err != nil {
		return nil, command.Usage(err)
	}
	return c, nil
}
