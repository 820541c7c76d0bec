package use

import (
	"context"
	"errors"
	"os"

	"cowrelay/cmd/cowrelay/internal/command"
	"cowrelay/cmd/cowrelay/internal/term"
	relayclient "cowrelay/fasthttp/client"

	"github.com/spf13/cobra"
)

// NewPostCommand returns the command post.
func NewPostCommand() *cobra.Command {
	p := new(posting)
	cmd := slotCommand(&cobra.Command{
		Use:   "post {EVENT... | --file FILE | -}",
		Short: "Post events to a slot",
		Long: `post stores events, JSON objects: those in the command line, or those of a file or
of standard input, one a line or over several lines. It returns when all are on
the relay's disk, and goes on over a restart of the relay.

post sends the lines of an input in order, many in one request and one request at a
time. The relay stores a request whole or not at all. If the answer is lost, post
looks at what is stored behind the last position that it knows, and goes on from
there. So each event is stored once, with an event_id or without. Others may post in
between. But if they post the same text as you, without an event_id, post can't tell
theirs from yours.

The relay stores an event with an event_id once, however often it is posted. So you
may post the whole input again after a failure, or after Ctrl-C. --add-id gives each
event without an event_id a random one, another in each run: it doesn't make it safe
to post an input again. Nothing else in an event changes.

Events in the command line are sent one by one. If the answer to one without an
event_id is lost, it counts as failed, though it may be stored. It is the same where
the relay has no batches or positions, and where the token may not read the slot.

--parallel sends several requests at once, of one event each. It stores them in any
order.

post reports a line that is not an event with its number, and posts the rest. The
exit status is then 1.

In the end post prints how many events were stored, how many were there already and
how many failed. If there was one event only, it prints its event_id too.`,
		Example: `  cowrelay post '{"event_id":"a","text":"hello"}'
  cowrelay post --parallel 64 --file events.jsonl
  tail -f log.jsonl | cowrelay post -`,
	}, p.run)
	cmd.GroupID = command.GroupUse
	f := cmd.Flags()
	f.StringVar(&p.file, "file", "", "file of events; - is standard input")
	f.StringVar(&p.id, "id", "", "event_id for the one event in the command line")
	f.BoolVar(&p.addID, "add-id", false, "give events without event_id a random one, in front")
	f.IntVar(&p.parallel, "parallel", 1, "how many posts may be under way at once; with more than 1 the order is any")
	command.NoFiles(cmd, "id", "parallel")
	return cmd
}

// An input of more lines than barLines gets a bar.
const barLines = 1000

// check refuses flags and arguments that exclude each other.
func (p *posting) check(args []string) error {
	switch {
	case p.file == "" && len(args) == 0:
		return errors.New("which events? Give them, --file FILE, or - for standard input")
	case p.file != "" && len(args) > 0:
		return errors.New("events in the command line and --file exclude each other")
	case p.id != "" && len(args) != 1:
		return errors.New("--id is for one event in the command line")
	case p.id != "" && p.addID:
		return errors.New("--id and --add-id exclude each other")
	case p.parallel < 1 || p.parallel > 1024:
		return command.WrongValue(p.session.cmd, "parallel", "a whole number from 1 to 1024")
	}
	return nil
}

// run posts everything, and goes on behind what fails alone.
func (p *posting) run(s *slotSession, args []string) error {
	if p.file == "" && len(args) == 1 && args[0] == "-" {
		p.file, args = "-", nil
	}
	p.session = s
	if err := p.check(args); err != nil {
		return command.Usage(err)
	}
	next, closeInput, err := p.open(args)
	if err != nil {
		return err
	}
	defer closeInput()
	// A token that may only post is a good one.
	if _, err := s.check(); err != nil && !errors.Is(err, relayclient.ErrMissingRight) {
		return err
	}
	if p.total > barLines || p.total < 0 && !term.IsTerminal(os.Stdin) {
		p.bar = term.NewBar(s.cmd.ErrOrStderr(), p.total, "posting", "lines")
	}
	ctx, cancel := context.WithCancel(s.ctx)
	defer cancel()
	if p.input != nil && p.parallel == 1 {
		p.stopped = (&batches{posting: p}).run(ctx, p.prepared)
		return p.finish()
	}
	items := readAhead(ctx, next)
	for posted, err := range s.mailbox.PostMany(ctx, p.events(ctx, items), p.parallel) {
		it := p.under[0]
		p.under = p.under[1:]
		if err := p.result(it, posted, err); err != nil {
			p.stopped = errors.Join(p.stopped, err)
			break
		}
	}
	return p.finish()
}
