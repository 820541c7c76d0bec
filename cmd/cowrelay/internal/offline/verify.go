package offline

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"time"

	"cowrelay/cmd/cowrelay/internal/command"
	"cowrelay/cmd/cowrelay/internal/term"
	"cowrelay/cow"
	"cowrelay/cow/pebblelog"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

func NewVerifyCommand() *cobra.Command {
	var v verification
	cmd := &cobra.Command{
		Use:   "verify",
		Short: "Check the store of a stopped relay",
		Long: `verify looks at everything in the store of a stopped relay, or in a copy of it,
and writes nothing:

  - the positions of each slot are gap-free, and its record counts its events
    and their bytes as they are
  - each event_id occurs once in its slot
  - the index of ids: what a relay builds it from at a load points at the id of
    each event
  - each event is one that the relay would accept, byte for byte
  - records decode, no events are without a slot, no key is unknown

What can't be read at the end of the newest log is told beside that, not as a
fault: after a crash it is the rest of a write that nobody was told is stored, and
damage looks the same.

It lists what is wrong, one fault a line, and goes on behind it. The exit status
is 0 for a sound store, 1 for one with faults or that can't be opened, 2 for a
wrong command line.`,
		Example: "  cowrelay verify --data-dir /var/lib/cowrelay",
		GroupID: command.GroupOperate,
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if v.most < 0 {
				return command.Usage(errors.New("--max-faults is 0 or more"))
			}
			v.dir = dataDir(cmd)
			return v.run(cmd)
		},
	}
	f := cmd.Flags()
	addDataDir(f)
	f.BoolVar(&v.json, "json", false, "write JSON lines: each fault, and what was looked at last")
	f.IntVar(&v.most, "max-faults", 100, "faults to list; the others are counted")
	return cmd
}

// addDataDir adds the flag that dataDir reads.
func addDataDir(f *pflag.FlagSet) {
	f.String("data-dir", "cowrelay-data", "folder of the store; else COWRELAY_DATA_DIR names it, as for serve")
}

func dataDir(cmd *cobra.Command) string {
	f := cmd.Flags().Lookup("data-dir")
	if dir := os.Getenv("COWRELAY_DATA_DIR"); dir != "" && !f.Changed {
		return dir
	}
	return f.Value.String()
}

// verification is one run of verify.
type verification struct {
	dir  string
	json bool
	most int

	out  io.Writer
	told int
	torn *pebblelog.TornTail
	err  error // of writing
}

func (v *verification) run(cmd *cobra.Command) error {
	v.out = cmd.OutOrStdout()
	ctx, cancel := command.UntilInterrupted(cmd)
	defer cancel()
	began := time.Now()
	report, err := v.verify(cmd, func(r *pebblelog.Reader, total int64) (pebblelog.Report, error) {
		bar := term.NewBar(cmd.ErrOrStderr(), total, "verifying", "bytes")
		defer term.EndBar(bar)
		return r.Verify(ctx, pebblelog.VerifyOptions{
			Fault: func(f pebblelog.Fault) {
				if v.told == 0 {
					bar.Clear()
				}
				v.tell(f)
			},
			Progress: func(r pebblelog.Report) { bar.Set64(int64(r.Bytes)) },
		})
	})
	switch {
	case ctx.Err() != nil:
		return fmt.Errorf("interrupted behind %d slots, with %d faults until then", report.Slots, report.Faults)
	case errors.Is(err, pebblelog.ErrInUse):
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
func (v *verification) verify(cmd *cobra.Command, look func(*pebblelog.Reader, int64) (pebblelog.Report, error)) (pebblelog.Report, error) {
	r, err := pebblelog.OpenReader(v.dir, readerOptions())
	if errors.Is(err, pebblelog.ErrCorrupt) {
		v.tell(pebblelog.Fault{Kind: pebblelog.FaultUnreadable, Position: -1, What: err.Error()})
		return pebblelog.Report{Faults: 1}, nil
	}
	if err != nil {
		return pebblelog.Report{}, err
	}
	v.torn = r.TornTail()
	total := int64(0)
	if err := r.Slots(func(s cow.SlotRecord) error { total += int64(s.Bytes); return nil }); err != nil {
		total = -1 // Verify will say why
	}
	report, err := look(r, total)
	return report, errors.Join(err, r.Close())
}

// readerOptions are for one pass over a store: there is little to cache. What is
// damaged comes as errors; the log would say it again.
func readerOptions() pebblelog.Options {
	return pebblelog.Options{CacheBytes: 8 << 20, Logger: slog.New(slog.DiscardHandler)}
}

// faultLine is a fault as JSON.
type faultLine struct {
	Kind     string `json:"kind"`
	Slot     string `json:"slot_id,omitempty"`
	Position *int64 `json:"position,omitempty"`
	What     string `json:"what"`
}

// torn is a log's torn tail as JSON.
type torn struct {
	File     string `json:"file"`
	Offset   int64  `json:"offset"`
	Bytes    int64  `json:"bytes"`
	Readable int    `json:"readable_parts_behind"`
}

func (v *verification) tell(f pebblelog.Fault) {
	if v.told++; v.told > v.most {
		return
	}
	if !v.json {
		v.line(f.String())
		return
	}
	line := faultLine{Kind: f.Kind, What: f.What}
	if f.Slot != (cow.ID{}) {
		line.Slot = f.Slot.String()
	}
	if f.Position >= 0 {
		line.Position = &f.Position
	}
	v.object(line)
}

func (v *verification) sum(r pebblelog.Report, took time.Duration) {
	if v.json {
		v.object(struct {
			Sound   bool    `json:"sound"`
			Slots   uint64  `json:"slots"`
			Events  uint64  `json:"events"`
			Bytes   uint64  `json:"bytes"`
			Records uint64  `json:"records"`
			Faults  uint64  `json:"faults"`
			Seconds float64 `json:"seconds"`
			Torn    *torn   `json:"torn_tail,omitempty"`
		}{r.Faults == 0, r.Slots, r.Events, r.Bytes, r.Records, r.Faults, took.Seconds(), (*torn)(v.torn)})
		return
	}
	if v.torn != nil {
		v.line("note: " + v.torn.String())
	}
	state := "sound"
	if r.Faults > 0 {
		state = "not sound"
		if more := v.told - v.most; more > 0 {
			v.line(fmt.Sprintf("and %d more", more))
		}
	}
	v.line(fmt.Sprintf("%s: looked at %d slots, %d events and %d records, %s", state, r.Slots, r.Events, r.Records, amount(r.Bytes, took)))
}

func (v *verification) object(o any) {
	b, err := json.Marshal(o)
	if err != nil {
		panic("BUG: " + err.Error())
	}
	v.line(string(b))
}

func (v *verification) line(s string) {
	if _, err := io.WriteString(v.out, s+"\n"); err != nil && v.err == nil {
		v.err = err
	}
}

// amount says how many bytes took how long.
func amount(bytes uint64, took time.Duration) string {
	return fmt.Sprintf("%.1f MB in %.1f s (%.0f MB/s)", float64(bytes)/1e6, took.Seconds(), float64(bytes)/1e6/took.Seconds())
}
