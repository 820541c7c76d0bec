package use

import (
	"bufio"
	"errors"
	"iter"

	"cowrelay/cmd/cowrelay/internal/command"
	relayclient "cowrelay/fasthttp/client"

	"github.com/spf13/cobra"
)

// NewTailCommand returns the command tail.
func NewTailCommand() *cobra.Command {
	var since string
	var last int
	var follow bool
	cmd := slotCommand(&cobra.Command{
		Use:   "tail",
		Short: "Print the last events of a slot, and follow it",
		Long: `tail prints the last events of a slot, one JSON object a line. It reads no others.
With --since it reads the events after that one, to find the last of them. It also
reads the whole slot at a relay that has no positions.

With --follow it then prints new events until Ctrl-C. When the relay restarts or
the connection breaks, it says so on standard error. It goes on after the last
event, without a gap or a repeat, however long that takes.`,
		Example: `  cowrelay tail -f
  cowrelay tail -n 0 -f | jq .text`,
		Args: cobra.NoArgs,
	}, func(s *slotSession, _ []string) error {
		if _, err := s.check(); err != nil {
			return err
		}
		out := bufio.NewWriter(s.cmd.OutOrStdout())
		print := func(e relayclient.Event) error {
			out.Write(e.JSON)
			out.WriteByte('\n')
			return out.Flush()
		}
		err := s.tail(relayclient.After(since), last, follow, print)
		if follow && s.ctx.Err() != nil && !errors.As(err, new(outputError)) {
			return nil // Ctrl-C is how it ends
		}
		return err
	})
	cmd.GroupID = command.GroupUse
	f := cmd.Flags()
	f.StringVar(&since, "since", "", "event_id after which to begin; an unknown one is as good as none")
	f.IntVarP(&last, "lines", "n", 10, "how many events to begin with; below 0: all")
	f.BoolVarP(&follow, "follow", "f", false, "go on with what comes, until Ctrl-C")
	command.NoFiles(cmd, "since", "lines")
	return cmd
}

// outputError is the error of an output that can't be written to. Ctrl-C ends a tail
// well, but such an error stays one.
type outputError struct{ error }

func (e outputError) Unwrap() error { return e.error }

// tail prints the last events behind a place, and with follow what comes then.
func (s *slotSession) tail(at relayclient.Cursor, last int, follow bool, print func(relayclient.Event) error) error {
	each := func(events iter.Seq2[relayclient.Event, error]) error {
		for e, err := range events {
			if err != nil {
				return err
			}
			if err := print(e); err != nil {
				return outputError{err}
			}
			at = e.Cursor
		}
		return nil
	}
	var err error
	switch {
	case last < 0:
		err = each(s.mailbox.Pull(s.ctx, at, 0))
	case at.ID != "":
		var kept iter.Seq2[relayclient.Event, error]
		if kept, at, err = s.lastBehind(at, last); err == nil {
			err = each(kept)
		}
	case last == 0 && follow:
		return each(s.mailbox.TailNew(s.ctx))
	default:
		err = each(s.mailbox.Last(s.ctx, last))
	}
	if err != nil || !follow {
		return err
	}
	return each(s.mailbox.Tail(s.ctx, at))
}

// lastBehind returns the last events behind a place, and the place behind them. It
// keeps no more than those, however many there are.
func (s *slotSession) lastBehind(at relayclient.Cursor, last int) (iter.Seq2[relayclient.Event, error], relayclient.Cursor, error) {
	var kept []relayclient.Event
	for e, err := range s.mailbox.Pull(s.ctx, at, 0) {
		if err != nil {
			return nil, at, err
		}
		at = e.Cursor
		e.JSON = append([]byte(nil), e.JSON...) // not the whole page
		if kept = append(kept, e); len(kept) > last {
			kept = kept[1:]
		}
	}
	return func(yield func(relayclient.Event, error) bool) {
		for _, e := range kept {
			if !yield(e, nil) {
				return
			}
		}
	}, at, nil
}
