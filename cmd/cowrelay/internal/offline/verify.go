package offline

import (
	"errors"
	"fmt"
	"io"
	"time"

	"cowrelay/cmd/cowrelay/internal/command"
	"cowrelay/cmd/cowrelay/internal/term"
	"cowrelay/cow"
	"cowrelay/cow/engine"
	"cowrelay/cow/pebblestore"

	"github.com/spf13/cobra"
)

// NewVerifyCommand returns the command verify.
func NewVerifyCommand() *cobra.Command {
	var v verification
	cmd := &cobra.Command{
		Use:   "verify",
		Short: "Check the store of a stopped relay",
		Long: `verify looks at everything in the data folder of a stopped relay, or in a copy of
it, and writes nothing:

  - the positions of each slot have no gaps, and its record counts its events and
    their bytes right
  - each event_id occurs once in its slot
  - the index of ids, as a relay builds it when it loads a slot, points at the id
    of each event
  - each event is one that the relay would accept, byte for byte
  - records can be read, all events belong to a slot, no key is unknown

It also looks at each byte of the commit log, and at the events that are there
alone: after a crash these are the newest ones. It says how far the log reaches, and
what a start would apply to the store.

If the log ends with a write that a crash cut off, verify notes that, and does not
count it as a fault: it was never acknowledged. Where something that was acknowledged
can't be read, that is a fault. A start refuses then, unless it has --accept-loss.

verify prints one fault a line and goes on. The exit status is 0 for a sound store, 1
for one that has faults or can't be opened, 2 for a wrong command line.`,
		Example: "  cowrelay verify --data-dir /var/lib/cowrelay",
		GroupID: command.GroupOperate,
		Args:    command.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if v.most < 0 {
				return command.WrongValue(cmd, "max-faults", "a whole number from 0 up")
			}
			v.dir = dataDir(cmd)
			return v.run(cmd)
		},
	}
	f := cmd.Flags()
	addDataDir(f)
	f.BoolVar(&v.json, "json", false, "write JSON lines: each fault, and what was looked at last")
	f.IntVar(&v.most, "max-faults", 100, "faults to list; the others are counted")
	command.NoFiles(cmd, "max-faults")
	cmd.MarkFlagDirname("data-dir")
	return cmd
}

// verification is one run of verify.
type verification struct {
	dir  string
	json bool
	most int // faults to list

	out  io.Writer
	told int // faults that were found, listed or not
	log  *engine.LogState
	torn *pebblestore.TornTail // of the log of a folder of format 1
	err  error                 // of writing
}

func (v *verification) run(cmd *cobra.Command) error {
	v.out = cmd.OutOrStdout()
	ctx, cancel := command.UntilInterrupted(cmd)
	defer cancel()
	began := time.Now()
	report, err := v.verify(cmd, func(r *engine.Reader, total int64) (engine.Report, error) {
		bar := term.NewBar(cmd.ErrOrStderr(), total, "verifying", "bytes")
		defer term.EndBar(bar)
		return r.Verify(ctx, engine.VerifyOptions{
			Fault: func(f engine.Fault) {
				if v.told == 0 {
					bar.Clear()
				}
				v.fault(f)
			},
			Progress: func(r engine.Report) { bar.Set64(int64(r.Bytes)) },
		})
	})
	switch {
	case ctx.Err() != nil:
		return fmt.Errorf("interrupted behind %d slots, with %d faults until then", report.Slots, report.Faults)
	case errors.Is(err, engine.ErrInUse):
		return fmt.Errorf("%w: stop the relay first, or verify a copy", err)
	case err != nil:
		return err
	}
	v.sum(report, time.Since(began))
	switch {
	case v.err != nil:
		return fmt.Errorf("cannot write what was found: %w", v.err)
	case report.Faults > 0:
		return fmt.Errorf("the store has %d faults: restore it from a backup, or export what is left", report.Faults)
	}
	return nil
}

// verify opens the store for look. A store that is too damaged to be opened has
// one fault.
func (v *verification) verify(cmd *cobra.Command, look func(*engine.Reader, int64) (engine.Report, error)) (engine.Report, error) {
	r, err := engine.OpenReader(v.dir, readerOptions())
	if err != nil && engine.IsCorrupt(err) {
		v.fault(engine.Fault{Kind: engine.FaultUnreadable, Position: -1, What: err.Error()})
		return engine.Report{Faults: 1}, nil
	}
	if err != nil {
		return engine.Report{}, err
	}
	v.log, v.torn = r.Log(), r.TornTail()
	total := int64(0)
	if err := r.Slots(func(s cow.SlotRecord) error { total += int64(s.Bytes); return nil }); err != nil {
		total = -1 // Verify will say why
	}
	report, err := look(r, total)
	return report, errors.Join(err, r.Close())
}
