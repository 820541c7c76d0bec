package operate

import (
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"cowrelay/cmd/cowrelay/internal/command"

	"github.com/spf13/cobra"
)

var slotOrders = []string{"bytes", "events", "posts", "streams", "pulled"}

func newAdminSlots() *cobra.Command {
	var by string
	var limit int
	var blocked bool
	cmd := adminCommand("slots", "List slots, the largest first", command.NoArgs, func(s *adminSession, _ []string) error {
		if !slices.Contains(slotOrders, by) {
			return command.Usage(fmt.Errorf("--by: %q: it is one of %s", by, strings.Join(slotOrders, ", ")))
		}
		if limit < 1 || limit > 1000 {
			return command.WrongValue(s.cmd, "limit", "a whole number from 1 to 1000")
		}
		list, err := listSlots(s.cmd.Context(), s.Client, by, limit, blocked, false)
		if err != nil {
			return err
		}
		return printSlots(s, list)
	})
	cmd.Long = `slots lists slots, the largest first: by bytes or events held, streams open (long
polls included), posts a second, or the time of the last pull. Posts a second
are measured over a second when nobody asked just before.`
	f := cmd.Flags()
	f.StringVar(&by, "by", "bytes", "order: "+strings.Join(slotOrders, ", "))
	f.IntVar(&limit, "limit", 20, "how many to list, at most 1000")
	command.NoFiles(cmd, "limit")
	f.BoolVar(&blocked, "blocked", false, "list blocked slots only")
	cmd.AddCommand(offering(offerSlot, newAdminOwner()), offering(offerSlot, newAdminTokens()), offering(offerSlot, newAdminRevokeToken()))
	cmd.RegisterFlagCompletionFunc("by", cobra.FixedCompletions(slotOrders, cobra.ShellCompDirectiveNoFileComp))
	return cmd
}

func newAdminBlock() *cobra.Command {
	var reason string
	cmd := adminCommand("block ID...", "Have slots refuse posts, pulls and streams", slotIDs, each(func(s *adminSession, id string) error {
		return s.act(http.MethodPost, "/admin/v1/slots/"+id+"/block", map[string]string{"reason": reason}, "blocked "+id)
	}))
	cmd.Long = `block has slots answer 403 to posts, pulls and streams, over restarts too, until
unblock. Their open streams end, their events stay. Their owners can still read
their state and delete them.`
	cmd.Flags().StringVar(&reason, "reason", "", "why; admin slot tells it, clients don't hear it")
	command.NoFiles(cmd, "reason")
	return cmd
}

func newAdminRemove() *cobra.Command {
	var yes bool
	cmd := adminCommand("rm ID...", "Delete slots with their events", slotIDs, func(s *adminSession, ids []string) error {
		what := "slot " + ids[0]
		if len(ids) > 1 {
			what = strconv.Itoa(len(ids)) + " slots"
		}
		if err := confirm(s.cmd, yes, "Delete "+what+" with all events, for ever?"); err != nil {
			return err
		}
		return each(func(s *adminSession, id string) error {
			if err := s.Call(s.cmd.Context(), http.MethodDelete, "/admin/v1/slots/"+id, nil, nil); err != nil {
				return err
			}
			return s.print(map[string]string{"deleted": id}, "deleted "+id)
		})(s, ids)
	})
	cmd.Flags().BoolVar(&yes, "yes", false, "don't ask")
	return cmd
}
