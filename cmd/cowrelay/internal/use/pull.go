package use

import (
	"bufio"
	"errors"
	"fmt"
	"time"

	"cowrelay/cmd/cowrelay/internal/command"
	relayclient "cowrelay/fasthttp/client"

	"github.com/spf13/cobra"
)

// NewPullCommand returns the command pull.
func NewPullCommand() *cobra.Command {
	var p pulling
	cmd := slotCommand(&cobra.Command{
		Use:   "pull",
		Short: "Print the events of a slot",
		Long: `pull prints the events of a slot to its end, oldest first, one JSON object a line,
as they were posted.

Every event has a position in its slot: 0, 1, 2 and so on. --from begins at one. To
go on later, add the number of lines that were printed. --last prints the newest
events, and reads no others.`,
		Example: `  cowrelay pull
  cowrelay pull --since "$LAST" --wait 20s
  cowrelay pull --from 1000 --limit 500
  cowrelay pull --last 20`,
		Args: cobra.NoArgs,
	}, p.run)
	cmd.GroupID = command.GroupUse
	f := cmd.Flags()
	f.StringVar(&p.since, "since", "", "event_id after which to begin; an unknown one is as good as none")
	f.Int64Var(&p.from, "from", 0, "position at which to begin")
	f.IntVar(&p.last, "last", 0, "print this many of the newest events")
	f.IntVar(&p.limit, "limit", 0, "most events to print; 0: all")
	f.DurationVar(&p.wait, "wait", 0, "how long to wait for the first event if there is none")
	command.NoFiles(cmd, "since", "from", "last", "limit", "wait")
	return cmd
}

// pulling is one run of pull.
type pulling struct {
	since       string
	from        int64
	last, limit int
	wait        time.Duration
}

func (p *pulling) run(s *slotSession, _ []string) error {
	begins := 0
	for _, name := range []string{"since", "from", "last"} {
		if s.cmd.Flags().Changed(name) {
			begins++
		}
	}
	last := s.cmd.Flags().Changed("last")
	switch {
	case begins > 1:
		return command.Usage(errors.New("--since, --from and --last exclude each other"))
	case p.limit < 0 || p.wait < 0 || p.from < 0 || p.last < 0:
		return command.Usage(errors.New("--from, --last, --limit and --wait are not below 0"))
	case last && (p.limit > 0 || p.wait > 0):
		return command.Usage(errors.New("--last excludes --limit and --wait"))
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
	from := relayclient.After(p.since)
	if p.from > 0 {
		from = relayclient.At(uint64(p.from))
	}
	events := s.mailbox.Pull(s.ctx, from, p.limit)
	if last {
		events = s.mailbox.Last(s.ctx, p.last)
	}
	for e, err := range events {
		if err == nil {
			err = line(e)
		}
		if err != nil {
			out.Flush()
			return fmt.Errorf("after %d events: %w", n, err)
		}
	}
	if n == 0 && p.wait > 0 {
		events, err := s.mailbox.Wait(s.ctx, from, p.wait)
		if err != nil {
			return err
		}
		for i, e := range events {
			if p.limit == 0 || i < p.limit {
				line(e)
			}
		}
	}
	return out.Flush()
}
