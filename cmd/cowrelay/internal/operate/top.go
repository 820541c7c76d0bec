package operate

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"cowrelay/cmd/cowrelay/internal/adminclient"
	"cowrelay/cmd/cowrelay/internal/command"
	"cowrelay/cmd/cowrelay/internal/term"

	"github.com/spf13/cobra"
	xterm "golang.org/x/term"
)

// NewTopCommand returns the command top.
func NewTopCommand() *cobra.Command {
	var every time.Duration
	var once bool
	var by string
	cmd := &cobra.Command{
		Use:   "top",
		Short: "Watch a running relay in the terminal",
		Long: `top shows rates, latencies, streams, memory, disk and the busiest slots of a
running relay until q or Ctrl-C. It asks the relay's admin listener. It waits for a
relay that is away. The keys p, b, e and s choose the order of the slots. ? explains
the screen.

Latencies are those between two looks, estimated from histograms. In a pipe, with
--once, or on a terminal that only prints (TERM=dumb), top prints one picture and
ends.`,
		Example: "  cowrelay top --every 5s\n  cowrelay top --once | head -8",
		GroupID: command.GroupOperate,
		Args:    command.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if every < 100*time.Millisecond {
				return command.WrongValue(cmd, "every", "a time such as 2s, at least 100ms")
			}
			client, err := adminclient.New(cmd.Flags())
			if err != nil {
				return err
			}
			ctx, stop := command.UntilInterrupted(cmd)
			defer stop()
			t := &top{client: client, view: topView{url: client.URL, every: every, by: by, past: make(map[string]history)}}
			if t.view.by, err = orderOf(by); err != nil {
				return err
			}
			out := cmd.OutOrStdout()
			if once || !term.IsTerminal(out) || os.Getenv("TERM") == "dumb" {
				return t.once(ctx, out)
			}
			return t.watch(ctx, cmd.InOrStdin(), term.FileOf(out))
		},
	}
	f := cmd.Flags()
	adminclient.AddFlags(f)
	f.DurationVar(&every, "every", 2*time.Second, "time between two looks")
	f.BoolVar(&once, "once", false, "print one picture and end")
	f.StringVar(&by, "by", "posts", "order of the slots: "+strings.Join(topOrders, ", "))
	command.NoFiles(cmd, "admin", "every")
	cmd.RegisterFlagCompletionFunc("by", cobra.FixedCompletions(topOrders, cobra.ShellCompDirectiveNoFileComp))
	return cmd
}

// orderOf finds the order whose name begins with text.
func orderOf(text string) (string, error) {
	for _, o := range topOrders {
		if text != "" && strings.HasPrefix(o, text) {
			return o, nil
		}
	}
	return "", command.Usage(fmt.Errorf("--by: %q: it is one of %s", text, strings.Join(topOrders, ", ")))
}

// top is one run of the command. Its view belongs to the goroutine of watch; what
// asks the relay runs beside it.
type top struct {
	client *adminclient.Client
	view   topView
}

// topSlots is how many slots top asks for: what a tall screen holds.
const topSlots = 100

// read asks the relay, and gives up on one that hangs.
func (t *top) read(ctx context.Context, by string) (*reading, error) {
	ctx, cancel := context.WithTimeout(ctx, max(2*t.view.every, 5*time.Second))
	defer cancel()
	r, err := look(ctx, t.client, by, topSlots)
	if errors.Is(err, context.DeadlineExceeded) {
		err = errors.New("no answer in time")
	}
	return r, err
}

// once prints what happens between two looks.
func (t *top) once(ctx context.Context, out io.Writer) error {
	for range 2 {
		r, err := t.read(ctx, t.view.by)
		if err != nil {
			return err
		}
		first := t.view.last.to == nil
		t.view.take(r)
		if !first {
			break
		}
		select {
		case <-time.After(t.view.every):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	const height = 60
	width, cut := 80, 1<<16
	if f := term.FileOf(out); f != nil {
		if columns, _, err := xterm.GetSize(int(f.Fd())); err == nil && columns > 0 {
			width, cut = columns, columns
		}
	}
	lines := t.view.lines(width, height, time.Now())
	for _, l := range lines[:len(lines)-1] { // without keys
		if _, err := fmt.Fprintln(out, beginning(l.text(), cut-1)); err != nil {
			return err
		}
	}
	return nil
}

// watch shows the relay until q, Ctrl-C or a signal. It never waits for the relay:
// keys are heard, and the clock runs on, while one hangs.
func (t *top) watch(ctx context.Context, in io.Reader, out *os.File) error {
	s, err := openScreen(in, out)
	if err != nil {
		return fmt.Errorf("cannot use the terminal: %w", err)
	}
	defer s.close()
	a := newAsker(ctx, t.read)
	defer a.close()
	a.ask(t.view.by)
	next := time.NewTicker(t.view.every)
	defer next.Stop()
	look := time.NewTicker(250 * time.Millisecond) // at the clock and the size of the screen
	defer look.Stop()
	keys := s.keys
	for {
		width, height := s.size()
		if err := s.show(t.view.lines(width, height, time.Now())); err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return nil
		case <-next.C:
			a.ask(t.view.by)
		case got := <-a.answers:
			a.asking = false
			if got.err != nil {
				t.view.lose(got.err, time.Now())
			} else {
				t.view.take(got.reading)
			}
		case key, ok := <-keys:
			switch {
			case !ok: // the terminal is gone, or its end of input
				keys = nil
			case key == 'q' || key == 3: // Ctrl-C
				return nil
			case key == '?':
				t.view.help = !t.view.help
			default:
				if by, err := orderOf(string(rune(key))); err == nil && by != t.view.by {
					t.view.by = by
					a.ask(by)
				}
			}
		case <-look.C:
		}
	}
}
