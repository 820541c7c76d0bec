package use

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"runtime/pprof"
	"strings"
	"sync"
	"text/tabwriter"
	"time"

	"cowrelay/cmd/cowrelay/internal/command"
	"cowrelay/cmd/cowrelay/internal/human"
	"cowrelay/cmd/cowrelay/internal/term"
	relayclient "cowrelay/fasthttp/client"

	"github.com/HdrHistogram/hdrhistogram-go"
	"github.com/spf13/cobra"
)

// NewPingCommand returns the command ping.
func NewPingCommand() *cobra.Command {
	var p pinging
	cmd := &cobra.Command{
		Use:   "ping",
		Short: "Measure how long a post, a pull and a stream take",
		Long: `ping posts an event, pulls it, and reads it from a stream that is open all the time.
It does so once a second, and prints the times. In the end it prints the least, the
mean, the 99th percentile and the greatest.

  post    from the request until the relay says that the event is on its disk
  pull    from the request until the event is here
  stream  from the request of the post until the event is here, on the stream

ping makes a slot for itself and removes it in the end. A relay may not let it do
that; then ping says so, and the slot stays. With --profile or --slot it uses that slot
instead: its events stay there, and the slot's readers get them.

The first round opens the connections and does not count. The exit status is 1 if a
round failed. In a pipe, or with --json, ping prints a JSON object for each round, and
one in the end.`,
		Example: `  cowrelay ping --relay https://relay.example.com
  cowrelay ping --count 100 --interval 50ms --size 4000
  cowrelay ping --count 0 --profile notes`,
		GroupID: command.GroupUse,
		Args:    command.NoArgs,
		RunE:    func(cmd *cobra.Command, _ []string) error { return p.run(cmd) },
	}
	addSlotFlags(cmd)
	// ping shows what is, and waits for nobody.
	cmd.Flags().MarkHidden("retry-for")
	f := cmd.Flags()
	f.IntVarP(&p.count, "count", "c", 10, "rounds; 0: until Ctrl-C")
	f.DurationVarP(&p.interval, "interval", "i", time.Second, "from the beginning of one round to that of the next; at least 10ms")
	f.DurationVar(&p.timeout, "timeout", 5*time.Second, "longest time for each part of a round")
	f.IntVar(&p.size, "size", 200, "bytes of an event, about")
	f.Bool("json", false, "print JSON; also without it when the output is no terminal")
	command.NoFiles(cmd, "count", "interval", "timeout", "size")
	return cmd
}

// pinging is one run of ping.
type pinging struct {
	count, size       int
	interval, timeout time.Duration

	cmd     *cobra.Command
	client  *relayclient.Client
	mailbox *relayclient.Slot
	json    bool
	id      string             // in the ids of all events of this run
	at      relayclient.Cursor // behind the last event that was pulled

	opened  chan struct{}
	arrived chan arrival // what the stream has brought
	ended   error        // of the stream; read after arrived is closed

	rounds, failed int
	times          [3]*hdrhistogram.Histogram // of pingParts, in microseconds
}

// arrival is an event that came on the stream.
type arrival struct {
	id string
	at time.Time
}

// pingParts are the parts of a round that are measured.
var pingParts = [3]string{"post", "pull", "stream"}

func (p *pinging) run(cmd *cobra.Command) (err error) {
	switch {
	case p.count < 0:
		return command.WrongValue(cmd, "count", "a whole number from 0 up")
	case p.interval < 10*time.Millisecond:
		return command.WrongValue(cmd, "interval", "a time such as 1s, at least 10ms: others use the relay too")
	case p.timeout <= 0:
		return command.WrongValue(cmd, "timeout", "a time such as 5s")
	case p.size < 0 || p.size > 250_000:
		return command.WrongValue(cmd, "size", "a whole number from 0 to 250000")
	}
	ctx, stop := command.UntilInterrupted(cmd)
	defer stop()
	defer context.AfterFunc(ctx, stop)() // a second signal ends the process
	p.cmd, p.id = cmd, rand.Text()[:10]
	asked, _ := cmd.Flags().GetBool("json")
	p.json = asked || !term.IsTerminal(cmd.OutOrStdout())
	for i := range p.times {
		p.times[i] = hdrhistogram.New(1, 10*time.Minute.Microseconds(), 3)
	}
	remove, err := p.open(ctx)
	if err != nil {
		return command.Interrupted(ctx, err)
	}
	defer p.client.Close()
	defer func() { err = errors.Join(err, remove()) }()

	following, end := context.WithCancel(ctx)
	var stream sync.WaitGroup
	defer stream.Wait()
	defer end()
	stream.Go(func() {
		pprof.Do(following, pprof.Labels("cowrelay", "stream"), p.follow)
	})
	if err := p.warmUp(ctx); err != nil {
		return command.Interrupted(ctx, fmt.Errorf("before the first round: %w", err))
	}
	p.head()
	if err := p.all(ctx); err != nil {
		return err
	}
	if err := p.summary(); err != nil {
		return err
	}
	switch {
	case p.rounds == 0:
		return errors.New("interrupted")
	case p.failed > 0:
		return fmt.Errorf("%d of %d rounds failed", p.failed, p.rounds)
	}
	return nil
}

// open finds or makes the slot. remove removes it if it was made here.
func (p *pinging) open(ctx context.Context) (remove func() error, err error) {
	f := p.cmd.Flags()
	opened := make(chan struct{}, 1)
	p.opened, p.arrived = opened, make(chan arrival, 64)
	var given *target
	var url string
	if f.Changed("profile") || f.Changed("slot") {
		if given, err = findTarget(f); err != nil {
			return nil, err
		}
		url = given.relay
	} else {
		profile, err := loadProfile(f)
		if err != nil {
			return nil, err
		}
		url, _ = findRelay(f, profile)
	}
	p.client, err = relayclient.New(url, relayclient.Options{
		RetryFor: -1, Timeout: p.timeout, UserAgent: "cowrelay/" + p.cmd.Root().Version,
		OnOpen: func() {
			select {
			case opened <- struct{}{}:
			default:
			}
		},
	})
	if err != nil {
		return nil, command.Usage(err)
	}
	if given != nil {
		p.mailbox = p.client.Slot(given.slot, given.token)
		s := slotSession{target: given, cmd: p.cmd, ctx: ctx, client: p.client}
		_, err := s.check()
		return func() error { return nil }, s.explain(err)
	}
	if p.mailbox, err = p.client.Allocate(ctx); err != nil {
		return nil, err
	}
	return p.remove, nil
}

// remove removes the slot that was made, also after Ctrl-C.
func (p *pinging) remove() error {
	ctx, cancel := context.WithTimeout(context.Background(), p.timeout)
	defer cancel()
	err := p.mailbox.Delete(ctx)
	var no *relayclient.Error
	if errors.As(err, &no) && (no.Status == 404 || no.Status == 405) {
		fmt.Fprintf(p.cmd.ErrOrStderr(), "%s: this relay does not let a client remove a slot: %s stays\n", p.cmd.CommandPath(), p.mailbox.ID)
		return nil
	}
	if err != nil {
		return fmt.Errorf("cannot remove slot %s: %w", p.mailbox.ID, err)
	}
	return nil
}

// follow reads the stream until ctx ends. If nobody wants what it has brought, it
// waits.
func (p *pinging) follow(ctx context.Context) {
	defer close(p.arrived)
	for e, err := range p.mailbox.TailNew(ctx) {
		if err != nil {
			p.ended = err
			return
		}
		if !strings.HasPrefix(e.ID, "ping-"+p.id) {
			continue
		}
		select {
		case p.arrived <- arrival{e.ID, time.Now()}:
		case <-ctx.Done():
			return
		}
	}
}

// warmUp waits until the stream is open, and does one round.
func (p *pinging) warmUp(ctx context.Context) error {
	limit := time.NewTimer(p.timeout)
	defer limit.Stop()
	select {
	case <-p.opened:
	case _, ok := <-p.arrived:
		if !ok {
			return fmt.Errorf("stream: %w", p.ended)
		}
	case <-limit.C:
		return fmt.Errorf("stream: it was not open after %v", p.timeout)
	case <-ctx.Done():
		return ctx.Err()
	}
	// A relay without positions knows a place by the id before it, so the first event is
	// only there to be pulled behind.
	first := p.eventID("first")
	start := time.Now()
	if _, err := p.post(ctx, first); err != nil {
		return fmt.Errorf("post: %w", err)
	}
	if _, err := p.await(ctx, first, start); err != nil {
		return fmt.Errorf("stream: %w", err)
	}
	p.at = relayclient.After(first)
	_, part, err := p.round(ctx, p.eventID("second"))
	if err != nil {
		return fmt.Errorf("%s: %w", part, err)
	}
	return nil
}

func (p *pinging) eventID(n any) string { return fmt.Sprintf("ping-%s-%v", p.id, n) }

// all does the rounds.
func (p *pinging) all(ctx context.Context) error {
	tick := time.NewTicker(p.interval)
	defer tick.Stop()
	for p.count == 0 || p.rounds < p.count {
		took, part, err := p.round(ctx, p.eventID(p.rounds+1))
		if ctx.Err() != nil {
			return nil // this round was cut short
		}
		p.rounds++
		if err != nil {
			p.failed++
			err = fmt.Errorf("%s: %w", part, err)
		}
		if err := p.line(took, err); err != nil {
			return err
		}
		if p.rounds == p.count {
			break
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil
		}
	}
	return nil
}

// round does one round. What was not measured took no time. part is what failed.
func (p *pinging) round(ctx context.Context, id string) (took [3]time.Duration, part string, err error) {
	start := time.Now()
	if took[0], err = p.post(ctx, id); err != nil {
		return took, pingParts[0], err
	}
	if took[1], err = p.pull(ctx, id); err != nil {
		return took, pingParts[1], err
	}
	if took[2], err = p.await(ctx, id, start); err != nil {
		return took, pingParts[2], err
	}
	return took, "", nil
}

// post posts an event.
func (p *pinging) post(ctx context.Context, id string) (time.Duration, error) {
	start := time.Now()
	event := fmt.Sprintf(`{"event_id":%q,"type":"cowrelay ping","timestamp":%q`, id, start.UTC().Format(time.RFC3339Nano))
	event += `,"pad":"` + strings.Repeat("x", max(p.size-len(event)-len(`,"pad":""}`), 0)) + `"}`
	_, err := p.mailbox.Post(ctx, []byte(event))
	return time.Since(start), err
}

// pull pulls from behind the last event that was pulled, until the event is here.
func (p *pinging) pull(ctx context.Context, id string) (time.Duration, error) {
	ctx, cancel := context.WithTimeout(ctx, p.timeout)
	defer cancel()
	start := time.Now()
	for e, err := range p.mailbox.Pull(ctx, p.at, 0) {
		if err != nil {
			return 0, err
		}
		if p.at = e.Cursor; e.ID == id {
			return time.Since(start), nil
		}
	}
	return 0, errors.New("the event is stored, and a pull does not bring it")
}

// await waits until the event has come on the stream, and returns how long after start
// that was.
func (p *pinging) await(ctx context.Context, id string, start time.Time) (time.Duration, error) {
	limit := time.NewTimer(p.timeout)
	defer limit.Stop()
	for {
		select {
		case a, ok := <-p.arrived:
			switch {
			case !ok && p.ended == nil:
				return 0, context.Canceled
			case !ok:
				return 0, p.ended
			case a.id == id:
				return a.at.Sub(start), nil
			}
		case <-limit.C:
			return 0, fmt.Errorf("the event did not come within %v", p.timeout)
		case <-ctx.Done():
			return 0, ctx.Err()
		}
	}
}

// head says what is asked.
func (p *pinging) head() {
	if !p.json {
		fmt.Fprintf(p.cmd.OutOrStdout(), "PING %s, slot %s, %d bytes\n", term.Printable(p.client.URL()), term.Printable(p.mailbox.ID), p.size)
	}
}

// line prints a round.
func (p *pinging) line(took [3]time.Duration, failed error) (err error) {
	line := map[string]any{"round": p.rounds}
	var text []string
	for i, name := range pingParts {
		if took[i] > 0 {
			p.times[i].RecordValue(max(took[i].Microseconds(), 1))
			line[name+"_ms"] = milliseconds(took[i].Microseconds())
			text = append(text, name+" "+human.Took(took[i].Seconds()))
		}
	}
	if failed != nil {
		line["error"] = failed.Error()
		text = append(text, term.Printable(failed.Error()))
	}
	out := p.cmd.OutOrStdout()
	if p.json {
		return json.NewEncoder(out).Encode(line)
	}
	_, err = fmt.Fprintf(out, "round %d: %s\n", p.rounds, strings.Join(text, ", "))
	return err
}

func milliseconds(us int64) float64 { return float64(us) / 1000 }

// summary prints what all rounds together took.
func (p *pinging) summary() error {
	out := p.cmd.OutOrStdout()
	if p.json {
		sums := map[string]any{"relay": p.client.URL(), "slot_id": p.mailbox.ID, "rounds": p.rounds, "failed": p.failed}
		for i, name := range pingParts {
			if h := p.times[i]; h.TotalCount() > 0 {
				sums[name] = map[string]float64{
					"min_ms": milliseconds(h.Min()), "mean_ms": h.Mean() / 1000,
					"p99_ms": milliseconds(h.ValueAtQuantile(99)), "max_ms": milliseconds(h.Max()),
				}
			}
		}
		return json.NewEncoder(out).Encode(sums)
	}
	fmt.Fprintf(out, "\n%d rounds, %d failed\n", p.rounds, p.failed)
	tw := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprint(tw, "\tmin\tmean\tp99\tmax\t\n")
	for i, name := range pingParts {
		if h := p.times[i]; h.TotalCount() > 0 {
			fmt.Fprintf(tw, "%s\t%s\t%s\t%s\t%s\t\n", name, human.Took(float64(h.Min())/1e6), human.Took(h.Mean()/1e6),
				human.Took(float64(h.ValueAtQuantile(99))/1e6), human.Took(float64(h.Max())/1e6))
		}
	}
	return tw.Flush()
}
