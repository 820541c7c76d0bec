package offline

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"cowrelay/cmd/cowrelay/internal/adminclient"
	"cowrelay/cmd/cowrelay/internal/command"
	"cowrelay/cow"

	"github.com/spf13/cobra"
)

// NewExportCommand returns the command export.
func NewExportCommand() *cobra.Command {
	var e export
	cmd := &cobra.Command{
		Use:   "export {--all | --slot ID...}",
		Short: "Write the events of one slot or all as JSON lines",
		Long: `export writes events as JSON lines, slot by slot, each in the order of its slot:

  {"slot_id":"<32 hex digits>","position":0,"event":{...}}

The event's bytes are those that were posted. With --bare a line is the event and
nothing else, for one slot. An export has no tokens, no hashes of tokens, and no
slots without events.

export reads the store of a stopped relay and writes nothing there. Or it asks a
running relay over its admin listener (--admin). Of each slot it takes the events
that were there when it began, whatever is posted meanwhile. It says of which slots
events left by themselves before it came to them.

With --out the lines go to a file beside FILE, called FILE.*.partial. It becomes
FILE when everything is in it and on disk. If FILE is a symbolic link, the link
stays. If FILE is a FIFO or a device, export writes to it.`,
		Example: `  cowrelay export --all --data-dir /var/lib/cowrelay --out events.jsonl
  cowrelay export --slot 0123456789abcdef0123456789abcdef --bare --admin http://127.0.0.1:9770`,
		GroupID: command.GroupOperate,
		Args:    command.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := e.check(cmd); err != nil {
				return command.Usage(err)
			}
			return e.run(cmd)
		},
	}
	f := cmd.Flags()
	f.StringArrayVar(&e.names, "slot", nil, "id of a slot; may be repeated")
	f.BoolVar(&e.all, "all", false, "export all slots")
	f.BoolVar(&e.bare, "bare", false, "write the events alone; for one slot")
	f.StringVar(&e.out, "out", "", "file to write, readable by its owner alone; default: standard output")
	adminclient.AddFlags(f)
	f.Lookup("admin").Usage = "URL of a running relay's admin listener, to ask it and read no store"
	addDataDir(f)
	command.NoFiles(cmd, "slot", "admin")
	cmd.MarkFlagDirname("data-dir")
	return cmd
}

// export is one run of the command.
type export struct {
	// As it was asked for.
	names     []string // ids of slots
	all, bare bool
	out       string   // "": standard output
	wanted    []cow.ID // names, read; empty: all

	stderr io.Writer
	w      *bufio.Writer
	failed error // of writing to w

	// What was done.
	events  int64
	bytes   uint64 // of events
	removed int    // slots that were removed meanwhile
	trimmed int    // slots whose events left in part meanwhile
	broken  int    // slots that could not be read to their end
}

// check reads the names, and refuses flags that exclude each other.
func (e *export) check(cmd *cobra.Command) error {
	for _, name := range e.names {
		id, ok := cow.ParseID(name)
		if !ok {
			return fmt.Errorf("--slot %q is no slot id: 32 lowercase hex digits", name)
		}
		e.wanted = append(e.wanted, id)
	}
	switch {
	case e.all && e.names != nil:
		return errors.New("--all and --slot exclude each other")
	case !e.all && e.names == nil:
		return errors.New("which slots? --all, or --slot ID")
	case e.bare && len(e.names) != 1:
		return errors.New("--bare is for one --slot: its lines don't say whose they are")
	case cmd.Flags().Changed("admin") && cmd.Flags().Changed("data-dir"):
		return errors.New("--admin and --data-dir exclude each other")
	}
	return nil
}

func (e *export) run(cmd *cobra.Command) (err error) {
	ctx, cancel := command.UntilInterrupted(cmd)
	defer cancel()
	// A second signal ends the process: the first may have met a write that waits.
	defer context.AfterFunc(ctx, cancel)()
	e.stderr = cmd.ErrOrStderr()
	began := time.Now()

	var src source
	if f := cmd.Flags(); f.Changed("admin") {
		src, err = newRelaySource(f)
	} else {
		src, err = openStoreSource(dataDir(cmd))
	}
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, src.Close()) }()
	slots, err := src.slots(ctx, e.wanted)
	if err != nil {
		return command.Interrupted(ctx, err)
	}
	out, err := newExportOut(e.out, cmd.OutOrStdout())
	if err != nil {
		return err
	}
	e.w = bufio.NewWriterSize(out, 256<<10)
	err = e.copy(ctx, src, slots)
	if flushed := e.w.Flush(); err == nil {
		err = flushed
	}
	if err == nil && e.broken > 0 {
		err = fmt.Errorf("%d slots could not be read to their end: restore the store from a backup, or take what is here", e.broken)
	}
	if lost := src.Lost(); err == nil && lost != nil {
		err = fmt.Errorf("the newest events are missing: %w", lost)
	}
	if err = out.finish(command.Interrupted(ctx, err)); err != nil {
		return err
	}
	fmt.Fprintf(e.stderr, "exported %d events of %d slots, %s\n", e.events, len(slots)-e.removed, amount(e.bytes, time.Since(began)))
	return nil
}
