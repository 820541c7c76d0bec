package backup

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"cowrelay/cmd/cowrelay/internal/human"

	"github.com/spf13/cobra"
)

// newListCommand returns the command backup list.
func newListCommand() *cobra.Command {
	asJSON := false
	cmd := &cobra.Command{
		Use:               "list DIR",
		ValidArgsFunction: folders,
		Short:             "List the backups in a folder, the newest first",
		Long: `list shows the backups in DIR, the newest first. It reads their manifests alone:
cowrelay restore --verify-only looks at all files of one. The exit status is 1 if one
is damaged.`,
		Example: "  cowrelay backup list /var/backups/cowrelay",
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 1 {
				return errors.New("of which folder? Give one: cowrelay backup list DIR")
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error { return show(cmd, args[0], asJSON) },
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "write JSON lines")
	return cmd
}

func show(cmd *cobra.Command, dir string, asJSON bool) error {
	all, err := list(dir)
	if err != nil {
		return err
	}
	out, damaged := cmd.OutOrStdout(), 0
	for _, b := range all {
		m, why := b.manifest, ""
		if b.err != nil {
			why = b.err.Error()
			damaged++
		}
		switch {
		case asJSON:
			line := struct {
				Backup  string     `json:"backup"`
				Created *time.Time `json:"created,omitempty"`
				Slots   uint64     `json:"slots"`
				Bytes   int64      `json:"bytes"`
				Log     string     `json:"log,omitempty"`
				Error   string     `json:"error,omitempty"`
			}{Backup: b.path, Error: why}
			if b.err == nil {
				line.Created, line.Slots, line.Bytes, line.Log = &m.Created, m.Slots, m.Bytes(), m.Log
			}
			err = json.NewEncoder(out).Encode(line)
		case b.err != nil:
			_, err = fmt.Fprintf(out, "%s  damaged: %s\n", b.name, why)
		default:
			_, err = fmt.Fprintf(out, "%s  %10s  %s slots\n", b.name, human.Bytes(float64(m.Bytes())), human.Count(float64(m.Slots)))
		}
		if err != nil {
			return err
		}
	}
	if len(all) == 0 {
		return fmt.Errorf("there is no backup in %q", dir)
	}
	if damaged > 0 {
		return fmt.Errorf("%d of %d backups are damaged: remove them when you know why", damaged, len(all))
	}
	return nil
}
