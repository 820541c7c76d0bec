package operate

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"cowrelay/cmd/cowrelay/internal/adminclient"
	"cowrelay/cmd/cowrelay/internal/command"

	"github.com/spf13/cobra"
)

// NewAdminCommand returns the command admin with those below it.
func NewAdminCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "admin",
		Short: "Look at a running relay, block slots, take handles away, and more",
		Long: `admin speaks to the admin listener of a running relay. On a terminal it prints
tables. In a pipe, or with --json, it prints one JSON object a line.`,
		Example: `  cowrelay admin slots --by posts
  cowrelay admin block 3d6f0a8c2b1e4f5a9c7d8e0f1a2b3c4d --reason "posts without end"
  cowrelay admin log-level debug`,
		GroupID: command.GroupOperate,
		Args:    command.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return command.Usage(errors.New("which command?\n\n" + cmd.UsageString()))
		},
	}
	f := cmd.PersistentFlags()
	adminclient.AddFlags(f)
	f.Bool("json", false, "print JSON lines also on a terminal")
	command.NoFiles(cmd, "admin")
	cmd.AddCommand(
		adminCommand("status", "Show how the relay is", command.NoArgs, adminStatus),
		newAdminSlots(),
		offering(offerSlots, adminCommand("slot ID...", "Show everything about slots", slotIDs, each(func(s *adminSession, id string) error {
			return s.show(http.MethodGet, "/admin/v1/slots/"+id, nil, printSlot)
		}))),
		offering(offerSlots, newAdminBlock()),
		offering(offerBlocked, adminCommand("unblock ID...", "Let blocked slots be used again", slotIDs, each(func(s *adminSession, id string) error {
			return s.act(http.MethodPost, "/admin/v1/slots/"+id+"/unblock", map[string]string{}, "unblocked "+id)
		}))),
		offering(offerSlots, newAdminRemove()),
		newAdminHandles(),
		newAdminInvites(),
		newAdminPurge(),
		newAdminFleet(),
		newAdminLogLevel(),
		newAdminDrain(),
	)
	return cmd
}

func adminStatus(s *adminSession, _ []string) error {
	return s.show(http.MethodGet, "/admin/v1/status", nil, printStatus)
}

func newAdminLogLevel() *cobra.Command {
	levels := []string{"debug", "info", "warn", "error"}
	cmd := adminCommand("log-level [LEVEL]", "Show or set the relay's log level", cobra.MaximumNArgs(1), func(s *adminSession, args []string) error {
		print := func(s *adminSession, v json.RawMessage) error {
			var l struct{ Level string }
			if err := json.Unmarshal(v, &l); err != nil {
				return err
			}
			return s.print(nil, l.Level)
		}
		if len(args) == 0 {
			return s.show(http.MethodGet, "/admin/v1/log-level", nil, print)
		}
		if !slices.Contains(levels, args[0]) {
			return command.Usage(fmt.Errorf("%q is no level: it is one of %s", args[0], strings.Join(levels, ", ")))
		}
		return s.show(http.MethodPut, "/admin/v1/log-level", map[string]string{"level": args[0]}, print)
	})
	cmd.Long = `log-level sets the level until the relay ends or reads its configuration again.`
	cmd.ValidArgs, cmd.ValidArgsFunction = levels, nil
	return cmd
}

func newAdminDrain() *cobra.Command {
	var yes bool
	cmd := adminCommand("drain", "End the relay as SIGTERM does", command.NoArgs, func(s *adminSession, _ []string) error {
		if err := confirm(s.cmd, yes, "Drain and end the relay at "+s.URL+"?"); err != nil {
			return err
		}
		return s.act(http.MethodPost, "/admin/v1/drain", map[string]string{}, "the relay drains and ends; starting it again is its supervisor's work")
	})
	cmd.Flags().BoolVar(&yes, "yes", false, "don't ask")
	return cmd
}
