package use

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"cowrelay/cmd/cowrelay/internal/command"
	"cowrelay/cmd/cowrelay/internal/human"
	"cowrelay/cmd/cowrelay/internal/term"
	relayclient "cowrelay/fasthttp/client"

	"github.com/schollz/progressbar/v3"
	"github.com/spf13/cobra"
)

func NewPostCommand() *cobra.Command {
	p := new(posting)
	cmd := slotCommand(&cobra.Command{
		Use:   "post {EVENT... | --file FILE | -}",
		Short: "Post events to a slot",
		Long: `post stores events, JSON objects: those in the command line, or those of a file or
of standard input, one a line or over several lines. It returns when all are on
the relay's disk, and goes on over a restart of the relay.

An event with an event_id is stored once, however often it is posted, so the whole
input may be posted again after a failure. One without is not sent again when
its answer was lost; it then counts as failed, though it may be stored. --add-id
gives each event without one a random id, which makes it safe to send again
within this run. Nothing else is changed in an event.

Events are posted one by one, in order. --parallel posts several at once, which
is many times as fast, and stores them in any order.

What is no event is told with its line, and the rest is posted all the same; the
exit status is then 1.`,
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

// posting is one run of the command.
type posting struct {
	file, id string
	addID    bool
	parallel int

	session *slotSession
	input   *postInput               // nil: events of the command line
	bar     *progressbar.ProgressBar // nil: none
	total   int64                    // lines of the input; -1: nobody knows, 0: it is the command line

	under   []postItem // posted, without an answer yet
	last    int        // line that was dealt with
	stopped error      // why not all were posted
	counts  struct {
		Stored    int `json:"stored"`
		Duplicate int `json:"duplicate"`
		Failed    int `json:"failed"`
	}
}

// barLines is how many lines are worth a bar.
const barLines = 1000

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
		return errors.New("--parallel is from 1 to 1024")
	}
	return nil
}

func (p *posting) run(s *slotSession, args []string) error {
	if p.file == "" && len(args) == 1 && args[0] == "-" {
		p.file, args = "-", nil
	}
	if err := p.check(args); err != nil {
		return command.Usage(err)
	}
	p.session = s
	next, closeInput, err := p.open(args)
	if err != nil {
		return err
	}
	defer closeInput()
	if _, err := s.check(); err != nil {
		return err
	}
	if p.total > barLines || p.total < 0 && !term.IsTerminal(os.Stdin) {
		p.bar = term.NewBar(s.cmd.ErrOrStderr(), p.total, "posting", "lines")
	}
	ctx, cancel := context.WithCancel(s.ctx)
	defer cancel()
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

// open returns what gives the items: io.EOF is their end.
func (p *posting) open(args []string) (next func() (postItem, error), closeInput func() error, err error) {
	if p.file == "" {
		n := 0
		return func() (postItem, error) {
			if n == len(args) {
				return postItem{}, io.EOF
			}
			n++
			return postItem{event: []byte(args[n-1]), first: n, last: n}, nil
		}, func() error { return nil }, nil
	}
	if p.file == "-" {
		p.input = newPostInput(p.session.cmd.InOrStdin())
		p.total = -1
		return p.input.next, func() error { return nil }, nil
	}
	file, err := os.Open(p.file)
	if err != nil {
		return nil, nil, err
	}
	p.input = newPostInput(file)
	if info, err := file.Stat(); err == nil && info.IsDir() {
		file.Close()
		return nil, nil, fmt.Errorf("%s is a folder", p.file)
	}
	p.total = -1
	if term.IsTerminal(p.session.cmd.ErrOrStderr()) {
		p.total = countLines(p.file)
	}
	return p.input.next, file.Close, nil
}

// countLines returns how many lines a file has, or -1.
func countLines(name string) int64 {
	info, err := os.Stat(name)
	if err != nil || !info.Mode().IsRegular() {
		return -1
	}
	file, err := os.Open(name)
	if err != nil {
		return -1
	}
	defer file.Close()
	buf := make([]byte, 256<<10)
	for n := int64(0); ; {
		k, err := file.Read(buf)
		n += int64(strings.Count(string(buf[:k]), "\n"))
		if err != nil {
			return n
		}
	}
}

// aheadItem is an item, or the error that ends them.
type aheadItem struct {
	postItem
	end error
}

// readAhead reads in a goroutine, because a read of standard input does not end
// with ctx. It ends with the input or, after the next item, with ctx.
func readAhead(ctx context.Context, next func() (postItem, error)) <-chan aheadItem {
	items := make(chan aheadItem, 256)
	go func() {
		for {
			it, err := next()
			select {
			case items <- aheadItem{it, err}:
			case <-ctx.Done():
				return
			}
			if err != nil {
				return
			}
		}
	}()
	return items
}

// events yields what is to be posted, and tells what is not.
func (p *posting) events(ctx context.Context, items <-chan aheadItem) func(func(json.RawMessage) bool) {
	return func(yield func(json.RawMessage) bool) {
		for {
			var it aheadItem
			select {
			case it = <-items:
			case <-ctx.Done():
				p.stopped = ctx.Err()
				return
			}
			if it.end != nil {
				if it.end != io.EOF {
					p.stopped = fmt.Errorf("cannot read the events: %w", it.end)
				}
				return
			}
			if it.err == nil {
				it.event, it.err = p.prepare(it.event)
			}
			if it.err != nil {
				p.fail(it.postItem, it.err)
				continue
			}
			p.under = append(p.under, it.postItem)
			if !yield(it.event) {
				return
			}
		}
	}
}

// prepare gives an event its id.
func (p *posting) prepare(event []byte) ([]byte, error) {
	switch {
	case p.id != "":
		return withID(event, p.id)
	case p.addID:
		with, err := withID(event, strings.ToLower(rand.Text()))
		if errors.Is(err, errHasID) {
			return event, nil
		}
		return with, err
	}
	return event, nil
}

// result counts what became of one event. An error ends all.
func (p *posting) result(it postItem, posted relayclient.Posted, err error) error {
	if err != nil && relayclient.Hopeless(err) {
		p.under = append([]postItem{it}, p.under...)
		return err
	}
	p.progress(it)
	if err != nil {
		p.fail(it, p.session.explain(err))
		return nil
	}
	status := "stored"
	if posted.Duplicate && !posted.Repeated { // else it is most likely our own
		status = "duplicate"
		p.counts.Duplicate++
	} else {
		p.counts.Stored++
	}
	if p.input != nil {
		return nil
	}
	out := p.session.cmd.OutOrStdout()
	if !p.session.json {
		_, err = fmt.Fprintln(out, status, term.Printable(posted.ID))
		return err
	}
	line := struct {
		ID     *string `json:"event_id"`
		Status string  `json:"status"`
	}{&posted.ID, status}
	if posted.ID == "" {
		line.ID = nil
	}
	return json.NewEncoder(out).Encode(line)
}

func (p *posting) fail(it postItem, err error) {
	p.counts.Failed++
	p.last = it.last
	where := it.where()
	if p.input == nil {
		where = fmt.Sprintf("event %d", it.first)
	}
	p.clear()
	fmt.Fprintf(p.session.cmd.ErrOrStderr(), "%s: %s: %s\n", p.session.cmd.CommandPath(), where, term.Shown(err.Error()))
}

// progress moves the bar.
func (p *posting) progress(it postItem) {
	p.last = it.last
	if p.bar != nil {
		p.bar.Set64(int64(it.last))
	}
}

func (p *posting) clear() {
	if p.bar != nil {
		p.bar.Clear()
	}
}

// finish prints the sums, and returns the error of the whole.
func (p *posting) finish() error {
	if p.bar != nil {
		p.clear()
		p.bar.Exit()
	}
	c, out := p.counts, p.session.cmd.OutOrStdout()
	var err error
	if p.input != nil && p.session.json {
		err = json.NewEncoder(out).Encode(c)
	} else if p.input != nil {
		_, err = fmt.Fprintf(out, "%s stored, %s duplicate, %s failed\n", human.Count(float64(c.Stored)), human.Count(float64(c.Duplicate)), human.Count(float64(c.Failed)))
	}
	if p.stopped != nil {
		stopped := command.Interrupted(p.session.ctx, p.session.explain(p.stopped))
		if p.input != nil {
			from := p.last + 1
			if len(p.under) > 0 {
				from = p.under[0].first
			}
			stopped = fmt.Errorf("stopped at line %d: what comes from there is not posted, or nobody knows: %w", from, stopped)
		}
		return errors.Join(stopped, err)
	}
	if err == nil && c.Failed > 0 {
		err = fmt.Errorf("%d of %d events failed", c.Failed, c.Failed+c.Stored+c.Duplicate)
	}
	return err
}
