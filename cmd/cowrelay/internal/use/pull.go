package use

import (
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
events, and reads no others.

` + sinceHelp + `

` + templateHelp,
		Example: `  cowrelay pull
  cowrelay pull --since 10m
  cowrelay pull --since-id "$LAST" --wait 20s
  cowrelay pull --template '{{position}} {{.from}}: {{.text}}'
  cowrelay pull --from 1000 --limit 500
  cowrelay pull --last 20`,
		Args: command.NoArgs,
	}, p.run)
	cmd.GroupID = command.GroupUse
	f := cmd.Flags()
	p.since.addFlags(cmd)
	p.addFlags(cmd)
	f.Int64Var(&p.from, "from", 0, "position at which to begin")
	f.IntVar(&p.last, "last", 0, "print this many of the newest events")
	f.IntVar(&p.limit, "limit", 0, "most events to print; 0: all")
	f.DurationVar(&p.wait, "wait", 0, "how long to wait for the first event if there is none")
	command.NoFiles(cmd, "from", "last", "limit", "wait")
	return cmd
}

// pulling is one run of pull.
type pulling struct {
	printer
	since       since
	from        int64
	last, limit int
	wait        time.Duration
}

func (p *pulling) run(s *slotSession, _ []string) error {
	begins := 0
	for _, name := range []string{"since", "since-id", "from", "last"} {
		if s.cmd.Flags().Changed(name) {
			begins++
		}
	}
	last := s.cmd.Flags().Changed("last")
	switch {
	case begins > 1:
		return command.Usage(errors.New("--since, --since-id, --from and --last exclude each other"))
	case p.from < 0:
		return command.WrongValue(s.cmd, "from", "a position from 0 up")
	case p.last < 0:
		return command.WrongValue(s.cmd, "last", "a whole number from 0 up")
	case p.limit < 0:
		return command.WrongValue(s.cmd, "limit", "a whole number from 0 up")
	case p.wait < 0:
		return command.WrongValue(s.cmd, "wait", "a time from 0s up")
	case last && (p.limit > 0 || p.wait > 0):
		return command.Usage(errors.New("--last excludes --limit and --wait"))
	}
	if err := errors.Join(p.since.read(s.cmd, time.Now()), p.open(s.cmd, 256<<10)); err != nil {
		return err
	}
	if _, err := s.check(); err != nil {
		return err
	}
	defer p.since.note(s.cmd)
	n, err := p.pages(s)
	if err != nil {
		p.out.Flush()
		return fmt.Errorf("after %d events: %w", n, err)
	}
	return errors.Join(p.out.Flush(), p.finish())
}

// pages prints what is there, and if that is nothing, what comes while it waits. It
// returns how many events it has printed.
func (p *pulling) pages(s *slotSession) (n int, err error) {
	at, most := p.since.cursor(), p.limit
	if p.from > 0 {
		at = relayclient.At(uint64(p.from))
	}
	if p.since.byTime() {
		most = 0 // of which nobody knows how many count
	}
	events := s.mailbox.Pull(s.ctx, at, most)
	if s.cmd.Flags().Changed("last") {
		events = s.mailbox.Last(s.ctx, p.last)
	}
	for e, err := range events {
		if err != nil {
			return n, err
		}
		if at = e.Cursor; !p.since.wants(e, false) {
			continue
		}
		if err := p.print(e); err != nil {
			return n, err
		}
		if n++; n == p.limit {
			return n, nil
		}
	}
	if n > 0 || p.wait == 0 {
		return n, nil
	}
	came, err := s.mailbox.Wait(s.ctx, at, p.wait)
	if err != nil {
		return n, err
	}
	for _, e := range came {
		if !p.since.wants(e, true) {
			continue
		}
		if err := p.print(e); err != nil {
			return n, err
		}
		if n++; n == p.limit {
			break
		}
	}
	return n, nil
}
