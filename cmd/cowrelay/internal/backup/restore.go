package backup

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"cowrelay/cmd/cowrelay/internal/command"
	"cowrelay/cmd/cowrelay/internal/human"
	"cowrelay/cmd/cowrelay/internal/term"
	"cowrelay/cow/engine"

	"github.com/spf13/cobra"
)

// NewRestoreCommand returns the command restore.
func NewRestoreCommand() *cobra.Command {
	var verifyOnly, asJSON bool
	cmd := &cobra.Command{
		Use:               "restore BACKUP DATADIR",
		ValidArgsFunction: folders,
		Short:             "Make a data folder of a backup",
		Long: `restore makes the data folder DATADIR of BACKUP, the folder of one backup. DATADIR
must be empty or missing.

Each file is held against its checksum, and every event is looked at. Until that is
done DATADIR stays empty: a restore that was cut off can be begun again. BACKUP is
only read.

The relay that starts there has all that the backup has. What came later is gone.
Keep the broken folder until you know that the backup is good.

--verify-only looks at a backup in the same way and writes nothing.`,
		Example: `  cowrelay restore /var/backups/cowrelay/2026-11-29T22-00-00Z /var/lib/cowrelay
  cowrelay restore --verify-only /var/backups/cowrelay/2026-11-29T22-00-00Z`,
		GroupID: command.GroupOperate,
		Args: func(_ *cobra.Command, args []string) error {
			switch {
			case verifyOnly && len(args) != 1:
				return errors.New("which backup? Give one: cowrelay restore --verify-only BACKUP")
			case !verifyOnly && len(args) != 2:
				return errors.New("from where to where? Give both: cowrelay restore BACKUP DATADIR")
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			return restore(cmd, args, asJSON)
		},
	}
	f := cmd.Flags()
	f.BoolVar(&verifyOnly, "verify-only", false, "look at all of the backup, and write nothing")
	f.BoolVar(&asJSON, "json", false, "write a JSON line")
	return cmd
}

// restore restores args[0] to args[1], or verifies it if there is no second one.
func restore(cmd *cobra.Command, args []string, asJSON bool) error {
	ctx, cancel := command.UntilInterrupted(cmd)
	defer cancel()
	began, from := time.Now(), args[0]
	m, err := engine.ReadBackup(from)
	if err != nil {
		if all, no := list(from); no == nil && len(all) > 0 {
			err = fmt.Errorf("%q holds several backups: name one, such as %s", from, all[0].path)
		}
		return err
	}
	m, err = restoring(ctx, cmd, m, args)
	if err != nil {
		return command.Interrupted(ctx, err)
	}
	took := time.Since(began)
	if asJSON {
		return json.NewEncoder(cmd.OutOrStdout()).Encode(struct {
			Backup  string    `json:"backup"`
			Created time.Time `json:"created"`
			Applied uint64    `json:"applied"`
			Slots   uint64    `json:"slots"`
			Bytes   int64     `json:"bytes"`
			Log     string    `json:"log,omitempty"`
			Seconds float64   `json:"seconds"`
		}{from, m.Created, m.Applied, m.Slots, m.Bytes(), m.Log, took.Seconds()})
	}
	done, next := "is sound", ""
	if len(args) == 2 {
		done, next = "was restored to "+args[1], "\n"+whatNext(m)
	}
	_, err = fmt.Fprintf(cmd.OutOrStdout(), "%s of %s %s: %s slots, %s, in %.1f s%s\n", from, m.Created.Format(time.RFC3339), done, human.Count(float64(m.Slots)), human.Bytes(float64(m.Bytes())), took.Seconds(), next)
	return err
}

// whatNext says how the relay is started.
func whatNext(m engine.Manifest) string {
	if m.Log == "" {
		return "Start the relay with this --data-dir."
	}
	return "It is the store of a relay of a fleet. Start it with --journal jetstream to join that fleet again, or once with --leave-fleet to go on alone."
}

func restoring(ctx context.Context, cmd *cobra.Command, m engine.Manifest, args []string) (engine.Manifest, error) {
	doing := "verifying"
	if len(args) == 2 {
		doing = "restoring"
	}
	bar := term.NewBar(cmd.ErrOrStderr(), m.Bytes(), doing, "bytes")
	defer func() { term.EndBar(bar) }()
	second := false
	o := engine.RestoreOptions{
		Journal:  readerOptions(),
		Received: func(n int64) { bar.Set64(n) },
		Verified: func(n int64) {
			if !second {
				second = true
				term.EndBar(bar)
				bar = term.NewBar(cmd.ErrOrStderr(), -1, "looking at events", "bytes")
			}
			bar.Set64(n)
		},
	}
	if len(args) == 1 {
		return engine.VerifyBackup(ctx, args[0], o)
	}
	return engine.RestoreBackup(ctx, args[1], args[0], o)
}
