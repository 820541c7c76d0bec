package use

import (
	"bufio"
	"fmt"
	"time"

	"cowrelay/cmd/cowrelay/internal/command"
	relayclient "cowrelay/fasthttp/client"

	"github.com/spf13/cobra"
)

// NewPullCommand returns the command pull.
func NewPullCommand() *cobra.Command {
	var since string
	var limit int
	var wait time.Duration
	cmd := slotCommand(&cobra.Command{
		Use:   "pull",
		Short: "Print the events of a slot",
		Long: `pull prints the events of a slot to its end, oldest first, one JSON object a line,
as they were posted.`,
		Example: `  cowrelay pull
  cowrelay pull --since "$LAST" --wait 20s`,
		Args: cobra.NoArgs,
	}, func(s *slotSession, _ []string) error {
		if limit < 0 || wait < 0 {
			return command.Usage(fmt.Errorf("--limit and --wait are not below 0"))
		}
		if _, err := s.check(); err != nil {
			return err
		}
		out := bufio.NewWriterSize(s.cmd.OutOrStdout(), 256<<10)
		n := 0
		line := func(e relayclient.Event) error {
			n++
			out.Write(e.JSON)
			return out.WriteByte('\n') // a write that failed stays failed
		}
		from := relayclient.After(since)
		for e, err := range s.mailbox.Pull(s.ctx, from, limit) {
			if err == nil {
				err = line(e)
			}
			if err != nil {
				out.Flush()
				return fmt.Errorf("after %d events: %w", n, err)
			}
		}
		if n == 0 && wait > 0 {
			events, err := s.mailbox.Wait(s.ctx, from, wait)
			if err != nil {
				return err
			}
			for i, e := range events {
				if limit == 0 || i < limit {
					line(e)
				}
			}
		}
		return out.Flush()
	})
	cmd.GroupID = command.GroupUse
	f := cmd.Flags()
	f.StringVar(&since, "since", "", "event_id after which to begin; an unknown one is as good as none")
	f.IntVar(&limit, "limit", 0, "most events to print; 0: all")
	f.DurationVar(&wait, "wait", 0, "how long to wait for the first event if there is none")
	command.NoFiles(cmd, "since", "limit", "wait")
	return cmd
}
