package backup

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"cowrelay/cmd/cowrelay/internal/adminclient"
	"cowrelay/cmd/cowrelay/internal/command"
	"cowrelay/cmd/cowrelay/internal/config"
	"cowrelay/cmd/cowrelay/internal/human"
	"cowrelay/cow/engine"

	"github.com/spf13/cobra"
)

// NewCommand returns the command backup.
func NewCommand() *cobra.Command {
	var b backup
	cmd := &cobra.Command{
		Use:   "backup DIR",
		Short: "Make a backup of a running relay",
		Long: `backup asks a running relay for a copy of its store, over its admin listener, and
writes it into a new folder in DIR, such as DIR/2026-11-29T22-00-00Z. All that the
relay acknowledged before backup began is in it.

What an earlier backup in DIR has already is linked, and neither sent nor copied. So
each backup is a whole one, and takes the space of what is new. Give each relay a DIR
of its own.

Each file is held against its checksum, and the store is opened. --verify also reads
all of it, with what earlier backups brought. A backup appears when it is whole and
durable. One that was cut off leaves nothing but a folder *.partial, which the next
one clears away.

cowrelay restore makes a data folder of a backup. sha256sum -c SHA256SUMS in its
folder checks its files without this program.

--offline copies the data folder of a stopped relay in place of a running one's.`,
		Example: `  cowrelay backup /var/backups/cowrelay
  cowrelay backup /var/backups/cowrelay --keep 14 --rate 50MiB
  cowrelay backup list /var/backups/cowrelay`,
		GroupID:           command.GroupOperate,
		ValidArgsFunction: folders,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 1 {
				return errors.New("into which folder? Give one: cowrelay backup DIR")
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			return b.run(cmd, args[0])
		},
	}
	f := cmd.Flags()
	f.IntVar(&b.keep, "keep", 0, "how many whole backups stay in DIR: older ones are removed behind one that succeeded; 0: all stay")
	f.StringVar(&b.rate, "rate", defaultRate, "bytes a second that the relay reads for it at most; 0: no limit, else at least 1MiB")
	f.BoolVar(&b.verify, "verify", false, "read all files again, with what earlier backups brought, and look at every event")
	f.BoolVar(&b.json, "json", false, "write a JSON line")
	f.BoolVar(&b.offline, "offline", false, "copy the data folder of a stopped relay")
	f.String("data-dir", "cowrelay-data", "with --offline: that folder; else COWRELAY_DATA_DIR names it, as for serve")
	adminclient.AddFlags(f)
	command.NoFiles(cmd, "admin", "keep", "rate")
	cmd.MarkFlagDirname("data-dir")
	cmd.AddCommand(newListCommand())
	return cmd
}

// folders has the shell offer folders.
var folders = cobra.FixedCompletions(nil, cobra.ShellCompDirectiveFilterDirs)

// defaultRate leaves most of a small disk to posts.
const defaultRate = "64MiB"

// backup is one run of the command.
type backup struct {
	// As it was asked for.
	keep                  int
	rate                  string
	pace                  int64 // rate in bytes a second
	verify, json, offline bool

	cmd            *cobra.Command
	stdout, stderr io.Writer
	began          time.Time
	into           *series
	had            []engine.Had // what the newest backup before has
	sent           int64        // bytes of files that it had not
}

func (b *backup) run(cmd *cobra.Command, dir string) (err error) {
	if b.keep < 0 {
		return command.WrongValue(cmd, "keep", "a whole number from 0 up")
	}
	least := int64(1 << 20)
	if b.rate == "0" {
		least = 0
	}
	if b.pace, err = config.ParseSize(b.rate, least); err != nil {
		return command.WrongValue(cmd, "rate", "0, or a size such as 64MiB, at least 1MiB")
	}
	ctx, cancel := command.UntilInterrupted(cmd)
	defer cancel()
	cmd.SetContext(ctx)
	b.cmd, b.stdout, b.stderr, b.began = cmd, cmd.OutOrStdout(), cmd.ErrOrStderr(), time.Now()
	from := b.takeStopped
	if !b.offline {
		client, err := adminclient.New(cmd.Flags())
		if err != nil {
			return err
		}
		defer client.Close()
		client.LateReplies(beginTime)
		from = func(folder, name string) (engine.Manifest, error) { return b.take(client, folder, name) }
	}
	if b.into, err = openSeries(dir); err != nil {
		return fmt.Errorf("nothing was backed up: %w", err)
	}
	defer func() { err = errors.Join(err, b.into.Close()) }()
	var wrong []error
	b.had, wrong = b.into.had()
	for _, err := range wrong {
		fmt.Fprintf(b.stderr, "cowrelay backup: an earlier backup is not used: %v\n", err)
	}
	folder, name, err := b.into.begin(b.began)
	if err != nil {
		return fmt.Errorf("nothing was backed up: %w", err)
	}
	m, err := from(folder, name)
	if err != nil {
		return errors.Join(command.Interrupted(ctx, fmt.Errorf("nothing was backed up: %w", err)), os.RemoveAll(folder))
	}
	removed := []string(nil)
	if b.keep > 0 {
		if removed, err = b.into.keep(b.keep); err != nil {
			err = fmt.Errorf("the backup %q is whole, but older ones could not be removed: %w", name, err)
		}
	}
	return errors.Join(err, b.tell(name, m, removed))
}

// tell says what was done.
func (b *backup) tell(name string, m engine.Manifest, removed []string) error {
	took := time.Since(b.began)
	if b.json {
		return json.NewEncoder(b.stdout).Encode(struct {
			Backup  string   `json:"backup"`
			Applied uint64   `json:"applied"`
			Slots   uint64   `json:"slots"`
			Files   int      `json:"files"`
			Bytes   int64    `json:"bytes"`
			Sent    int64    `json:"sent_bytes"`
			Seconds float64  `json:"seconds"`
			Removed []string `json:"removed,omitempty"`
		}{name, m.Applied, m.Slots, len(m.Files), m.Bytes(), b.sent, took.Seconds(), removed})
	}
	_, err := fmt.Fprintf(b.stdout, "%s: %s slots, %s in %d files, %s of it new, in %.1f s\n", name, human.Count(float64(m.Slots)), human.Bytes(float64(m.Bytes())), len(m.Files), human.Bytes(float64(b.sent)), took.Seconds())
	for _, r := range removed {
		if err == nil {
			_, err = fmt.Fprintf(b.stdout, "removed %s\n", r)
		}
	}
	return err
}
