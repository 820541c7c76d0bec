package offline

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"time"

	"cowrelay/cmd/cowrelay/internal/command"
	"cowrelay/cmd/cowrelay/internal/term"
	"cowrelay/cow/engine"

	"github.com/schollz/progressbar/v3"
	"github.com/spf13/cobra"
)

// NewImportCommand returns the command import.
func NewImportCommand() *cobra.Command {
	var i importing
	cmd := &cobra.Command{
		Use:   "import --from DIR",
		Short: "Take over the state folder of another relay",
		Long: `import takes the state of a relay that keeps JSON files into a data folder: slots
with their tokens and events, handles, invites, health records, totals and the
history of the statistics. Stop both relays first. DIR stays as it is.

An event that clients can read is taken as it is, in its place. What a client could
not read would block its whole mailbox: import leaves that out, writes it to the
file that --left-out names, and goes on. A damaged file or line costs itself, and is
reported.

What is in the data folder already stays. So import may be started again: after an
interruption it goes on, and when all is there it changes nothing. All is durable
when it ends. The exit status is 0 also if something was left out.`,
		Example: `  cowrelay import --from /var/lib/relay --data-dir /var/lib/cowrelay --dry-run
  cowrelay import --from /var/lib/relay --data-dir /var/lib/cowrelay`,
		GroupID: command.GroupOperate,
		Args:    command.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if i.from == "" {
				return command.Usage(errors.New("which folder? --from DIR"))
			}
			i.dir = dataDir(cmd)
			return i.run(cmd)
		},
	}
	f := cmd.Flags()
	f.StringVar(&i.from, "from", "", "state folder to take over")
	f.BoolVar(&i.dry, "dry-run", false, "look at everything and write nothing")
	f.StringVar(&i.leftOut, "left-out", "left-out.jsonl", "file for what could not be taken, written if there is any")
	addDataDir(f)
	cmd.MarkFlagDirname("from")
	cmd.MarkFlagDirname("data-dir")
	return cmd
}

// importing is one run of the command. One goroutine does all of it.
type importing struct {
	// As it was asked for.
	from, dir string
	leftOut   string
	dry       bool

	ctx    context.Context
	stdout io.Writer
	bar    *progressbar.ProgressBar
	read   int64 // bytes of the source, for the bar
	src    importSource
	to     *importStore
	told   importReport
	now    time.Time
}

func (i *importing) run(cmd *cobra.Command) (err error) {
	ctx, cancel := command.UntilInterrupted(cmd)
	defer cancel()
	i.ctx, i.stdout, i.now = ctx, cmd.OutOrStdout(), time.Now()
	if same, err := samePlace(i.from, i.dir); err != nil || same {
		return errors.Join(err, sameError(same))
	}
	if i.src, err = openImportSource(i.from); err != nil {
		return err
	}
	i.to, err = openImportStore(i.dir, i.dry)
	if errors.Is(err, engine.ErrInUse) {
		return fmt.Errorf("%w: stop the relay first", err)
	}
	if err != nil {
		return err
	}
	i.bar = term.NewBar(cmd.ErrOrStderr(), i.src.bytes, "importing", "bytes")
	i.told.begin(cmd.ErrOrStderr(), i.bar, i.leftOut, i.dry)
	err = i.all()
	term.EndBar(i.bar)
	err = errors.Join(err, i.told.end(), i.to.Close())
	if err != nil {
		if ctx.Err() != nil {
			return errors.New("interrupted: what was taken until then is in the data folder, and the same command goes on")
		}
		return err
	}
	i.sum()
	if changed := i.src.changed(); changed != "" {
		return fmt.Errorf("%s changed while it was read: does a relay use %s? Stop it, and import again", changed, i.from)
	}
	return nil
}

// all takes everything, in the order in which one thing needs the other.
func (i *importing) all() error {
	for _, path := range i.src.unknown {
		i.told.note(place{file: path}, "it is no file of a state folder, and was passed over")
	}
	for _, part := range []func() error{i.slots, i.health, i.handles, i.invites, i.totals, i.history} {
		if err := part(); err != nil {
			return err
		}
	}
	return nil
}

func (i *importing) sum() {
	verb := "imported"
	if i.dry {
		verb = "would import"
	}
	fmt.Fprintf(i.stdout, "%s from %s in %.1f s (%.1f MB):\n", verb, term.Shown(i.from), time.Since(i.now).Seconds(), float64(i.src.bytes)/1e6)
	i.told.print(i.stdout)
}

// passed moves the bar. It is called for each piece of the source.
func (i *importing) passed(bytes int64) error {
	i.read += bytes
	i.bar.Set64(min(i.read, i.src.bytes))
	return i.ctx.Err()
}

// samePlace says whether one of the folders is the other or lies in it.
func samePlace(from, dir string) (bool, error) {
	a, err := filepath.Abs(from)
	if err != nil {
		return false, err
	}
	b, err := filepath.Abs(dir)
	if err != nil {
		return false, err
	}
	if real, err := filepath.EvalSymlinks(a); err == nil {
		a = real
	}
	if real, err := filepath.EvalSymlinks(b); err == nil {
		b = real
	}
	within := func(in, of string) bool {
		rel, err := filepath.Rel(of, in)
		return err == nil && filepath.IsLocal(rel)
	}
	return within(a, b) || within(b, a), nil
}

func sameError(same bool) error {
	if !same {
		return nil
	}
	return errors.New("--from and --data-dir lie in one another: import needs a data folder of its own")
}
