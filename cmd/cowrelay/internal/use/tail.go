package use

import (
	"errors"
	"iter"
	"time"

	"cowrelay/cmd/cowrelay/internal/command"
	relayclient "cowrelay/fasthttp/client"

	"github.com/spf13/cobra"
)

// NewTailCommand returns the command tail.
func NewTailCommand() *cobra.Command {
	var t tailing
	cmd := slotCommand(&cobra.Command{
		Use:   "tail",
		Short: "Print the last events of a slot, follow it, run a command for each event",
		Long: `tail prints the last events of a slot, one JSON object a line. It reads no others.
With an event_id in --since it reads the events after that one, to find the last of
them. It also reads the whole slot at a relay that has no positions.

With --follow it then prints new events until Ctrl-C, or until there are --count of
them. When the relay restarts or the connection breaks, it says so on standard error.
It goes on after the last event, without a gap or a repeat, however long that takes.

` + sinceHelp + `

With a time in --since, tail prints all events from then on, unless --lines says how
many.

` + templateHelp + `

--exec runs a shell command for each event in place of printing it, one at a time and
in order. The command finds the event on its standard input. The variables
` + eventIDVariable + ` and ` + positionVariable + ` hold its event_id and its position, if it has one.
` + relayVariable + `, ` + slotVariable + ` and what opens the slot are set too, so that cowrelay in
the command uses the same slot. While commands are slower than the events, --queue
events wait, and the others stay at the relay: nothing is lost.

If a command fails, tail ends with status 1 and names the event. With --keep-going it
goes on. Ctrl-C and SIGTERM let the command that runs come to its end, and begin no
other. A second one ends the command, too.

--resume keeps the place behind the last event that is done in a file. If the file is
there, tail begins at that place, and the other flags for where to begin don't count.
An event whose command failed or was ended is not done. If tail is killed, it may do
the last event again.`,
		Example: `  cowrelay tail -f
  cowrelay tail -n 0 -f | jq .text
  cowrelay tail -n 0 -f --count 1
  cowrelay tail --since 10m --template '{{.from}}: {{.text}}'
  cowrelay tail -n -1 -f --exec ./handle-event --resume place.json`,
		Args: command.NoArgs,
	}, t.run)
	cmd.GroupID = command.GroupUse
	f := cmd.Flags()
	t.since.addFlags(cmd)
	t.printer.addFlags(cmd)
	t.executor.addFlags(cmd)
	f.Int64Var(&t.from, "from", 0, "position at which to begin")
	f.IntVarP(&t.last, "lines", "n", 10, "how many events to begin with; below 0: all")
	f.BoolVarP(&t.follow, "follow", "f", false, "go on with what comes, until Ctrl-C")
	f.IntVar(&t.count, "count", 0, "end after this many events; 0: never")
	f.StringVar(&t.place.path, "resume", "", "file that keeps the place behind the last event, and where to begin if it is there")
	command.NoFiles(cmd, "from", "lines", "count")
	return cmd
}

// tailing is one run of tail.
type tailing struct {
	since       since
	from        int64
	last, count int
	follow      bool
	printer     printer
	executor    executor
	place       resume

	at   relayclient.Cursor // behind the last event that was read
	done int                // events that were printed, or queued for their command
}

// read reads and checks the flags.
func (t *tailing) read(s *slotSession) error {
	f := s.cmd.Flags()
	if err := t.executor.check(s.cmd); err != nil {
		return command.Usage(err)
	}
	switch from := f.Changed("from"); {
	case t.from < 0:
		return command.WrongValue(s.cmd, "from", "a position from 0 up")
	case t.count < 0:
		return command.WrongValue(s.cmd, "count", "a whole number from 0 up")
	case from && (f.Changed("since") || f.Changed("since-id") || f.Changed("lines")):
		return command.Usage(errors.New("--from excludes --since, --since-id and --lines"))
	}
	if err := t.since.read(s.cmd, time.Now()); err != nil {
		return err
	}
	if t.since.byTime() && !f.Changed("lines") || f.Changed("from") {
		t.last = -1
	}
	t.place.slot = s.slot
	return t.printer.open(s.cmd, 4<<10)
}

func (t *tailing) run(s *slotSession, _ []string) error {
	if err := t.read(s); err != nil {
		return err
	}
	at, resumed, err := t.place.load()
	if err != nil {
		return err
	}
	if _, err := s.check(); err != nil {
		return err
	}
	if resumed {
		t.at, t.last, t.since = at, -1, since{}
	} else if t.at = t.since.cursor(); t.from > 0 {
		t.at = relayclient.At(uint64(t.from))
	}
	each, interrupted := t.show, s.ctx
	if t.executor.text != "" {
		each = t.executor.add
		s.ctx = t.executor.start(s, &t.place)
	}
	err = t.all(s, each)
	// Ctrl-C is how a tail that follows ends.
	if errors.Is(err, errEnough) || t.follow && interrupted.Err() != nil && !errors.As(err, new(outputError)) {
		err = nil
	}
	t.since.note(s.cmd)
	if t.executor.text == "" {
		return errors.Join(err, t.place.save(), t.printer.finish())
	}
	if failed := t.executor.finish(); failed != nil {
		return failed // what the reader ended with comes from it
	}
	return err
}

// show prints an event.
func (t *tailing) show(e relayclient.Event) error {
	err := t.printer.print(e)
	if err == nil {
		err = t.printer.out.Flush()
	}
	if err != nil {
		return outputError{err}
	}
	return t.place.done(e.Cursor, time.Second)
}

// all hands over the last events behind a place, and with follow what comes then.
func (t *tailing) all(s *slotSession, do func(relayclient.Event) error) error {
	each := func(events iter.Seq2[relayclient.Event, error], live bool) error {
		for e, err := range events {
			if err != nil {
				return err
			}
			if t.at = e.Cursor; !t.since.wants(e, live) {
				continue
			}
			if err := do(e); err != nil {
				return err
			}
			if t.done++; t.done == t.count {
				return errEnough
			}
		}
		return nil
	}
	var err error
	switch {
	case t.last < 0:
		err = each(s.mailbox.Pull(s.ctx, t.at, 0), false)
	case t.at.ID != "" || t.since.byTime():
		var kept []relayclient.Event
		if kept, err = t.lastBehind(s); err != nil {
			break
		}
		at := t.at
		err = each(func(yield func(relayclient.Event, error) bool) {
			for _, e := range kept {
				if !yield(e, nil) {
					return
				}
			}
		}, true) // they are wanted
		t.at = at
	case t.last == 0 && t.follow:
		// A place that is kept is known from the beginning on, so that the next run misses
		// nothing.
		var end uint64
		if t.place.path != "" {
			end, err = s.mailbox.End(s.ctx)
		}
		if t.place.path == "" || errors.Is(err, relayclient.ErrNotOffered) {
			return each(s.mailbox.TailNew(s.ctx), true)
		}
		t.at = relayclient.At(end)
	default:
		err = each(s.mailbox.Last(s.ctx, t.last), false)
	}
	if err == nil && t.done == 0 {
		err = t.place.done(t.at, 0)
	}
	if err != nil || !t.follow {
		return err
	}
	return each(s.mailbox.Tail(s.ctx, t.at), true)
}

// lastBehind returns the last events behind the place, and moves the place behind
// them. It keeps no more than those, however many there are.
func (t *tailing) lastBehind(s *slotSession) (kept []relayclient.Event, err error) {
	for e, err := range s.mailbox.Pull(s.ctx, t.at, 0) {
		if err != nil {
			return nil, err
		}
		if t.at = e.Cursor; !t.since.wants(e, false) {
			continue
		}
		e.JSON = append([]byte(nil), e.JSON...) // not the whole page
		if kept = append(kept, e); len(kept) > t.last {
			kept = kept[1:]
		}
	}
	return kept, nil
}
