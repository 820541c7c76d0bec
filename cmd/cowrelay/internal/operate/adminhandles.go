package operate

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"cowrelay/cmd/cowrelay/internal/command"
	"cowrelay/cmd/cowrelay/internal/human"
	"cowrelay/cmd/cowrelay/internal/term"

	"github.com/spf13/cobra"
)

func newAdminHandles() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "handles",
		Short: "List, inspect and unclaim handles",
		Args:  command.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return command.Usage(errors.New("which command?\n\n" + cmd.UsageString()))
		},
	}
	cmd.AddCommand(
		newAdminHandlesList(),
		offering(offerNicks, adminCommand("show NICK...", "Show all about handles, with their cards", nicks, each(func(s *adminSession, nick string) error {
			return s.show(http.MethodGet, "/admin/v1/handles/"+url.PathEscape(nick), nil, printHandle)
		}))),
		offering(offerNicks, newAdminUnclaim()),
	)
	return cmd
}

// handleRow is one handle as the admin API describes it.
type handleRow struct {
	Nick      string          `json:"nick"`
	DID       string          `json:"did"`
	Slot      string          `json:"slot_id"`
	SlotGone  bool            `json:"slot_gone"`
	RelayURL  *string         `json:"relay_url"`
	Listed    bool            `json:"listed"`
	ClaimedAt int64           `json:"claimed_at_unix"`
	Address   *string         `json:"address"`
	Card      json.RawMessage `json:"card"`
}

func newAdminHandlesList() *cobra.Command {
	var after, address string
	var limit int
	cmd := adminCommand("list", "List handles by nick", command.NoArgs, func(s *adminSession, _ []string) error {
		q, err := listQuery(s, limit, address)
		if err != nil {
			return err
		}
		q.Set("after", after)
		var list struct {
			Matching int               `json:"matching"`
			Handles  []json.RawMessage `json:"handles"`
		}
		if err := s.Call(s.cmd.Context(), http.MethodGet, "/admin/v1/handles?"+q.Encode(), nil, &list); err != nil {
			return err
		}
		return printList(s, list.Handles, list.Matching, "NICK\tSLOT\tCLAIMED\tFROM\tSTATE", func(r *handleRow) string {
			return fmt.Sprintf("%s\t%s\t%s\t%s\t%s", term.Printable(r.Nick), r.Slot[:min(len(r.Slot), 8)]+"…", ago(r.ClaimedAt), from(r.Address), r.state())
		})
	})
	cmd.Long = `list shows handles, also those that the directory leaves out. --address keeps
those that were claimed from one address. show and --json have all of a handle.`
	f := cmd.Flags()
	f.StringVar(&after, "after", "", "begin behind this nick")
	addListFlags(cmd, &limit, &address)
	command.NoFiles(cmd, "after")
	return cmd
}

func newAdminUnclaim() *cobra.Command {
	var yes bool
	cmd := adminCommand("unclaim NICK...", "Take handles from those that claimed them", nicks, func(s *adminSession, list []string) error {
		what := "handle " + term.Printable(list[0])
		if len(list) > 1 {
			what = strconv.Itoa(len(list)) + " handles"
		}
		if err := confirm(s.cmd, yes, "Unclaim "+what+"? Whoever comes first may claim it then."); err != nil {
			return err
		}
		return each(func(s *adminSession, nick string) error {
			if err := s.Call(s.cmd.Context(), http.MethodDelete, "/admin/v1/handles/"+url.PathEscape(nick), nil, nil); err != nil {
				return err
			}
			return s.print(map[string]string{"unclaimed": nick}, "unclaimed "+term.Printable(nick))
		})(s, list)
	})
	cmd.Flags().BoolVar(&yes, "yes", false, "don't ask")
	return cmd
}

// nicks accepts one nick or more.
func nicks(cmd *cobra.Command, args []string) error {
	if err := cobra.MinimumNArgs(1)(cmd, args); err != nil {
		return errors.New("which handle? Give its nick")
	}
	for _, nick := range args {
		if nick == "" || nick == "." || nick == ".." { // a path would lose it
			return fmt.Errorf("%q is no nick", nick)
		}
	}
	return nil
}

func (r *handleRow) state() string {
	switch {
	case r.SlotGone:
		return "slot gone"
	case r.Listed:
		return "listed"
	}
	return "unlisted"
}

// printHandle prints all about one handle, for people.
func printHandle(s *adminSession, v json.RawMessage) error {
	var r handleRow
	if err := json.Unmarshal(v, &r); err != nil {
		return err
	}
	relay := "this one"
	if r.RelayURL != nil {
		relay = *r.RelayURL
	}
	t := newTable(s.cmd.OutOrStdout())
	fmt.Fprintf(t, "nick\t%s\ndid\t%s\nslot\t%s\nrelay\t%s\nstate\t%s\nclaimed\t%s\nfrom\t%s\ncard\t%s, %s\n",
		term.Printable(r.Nick), term.Printable(r.DID), r.Slot, term.Printable(relay), r.state(), ago(r.ClaimedAt), from(r.Address),
		human.Bytes(float64(len(r.Card))), term.Printable(string(r.Card)))
	return t.Flush()
}

// listQuery is what lists of handles and invites are asked for.
func listQuery(s *adminSession, limit int, address string) (url.Values, error) {
	if limit < 1 || limit > 1000 {
		return nil, command.WrongValue(s.cmd, "limit", "a whole number from 1 to 1000")
	}
	return url.Values{"limit": {strconv.Itoa(limit)}, "address": {address}}, nil
}

func addListFlags(cmd *cobra.Command, limit *int, address *string) {
	cmd.Flags().IntVar(limit, "limit", 100, "how many to list, at most 1000")
	cmd.Flags().StringVar(address, "address", "", "only what came from this address (IPv6: from its /64)")
	command.NoFiles(cmd, "limit", "address")
}

// printList prints objects: a table for people, or one object a line.
func printList[R any](s *adminSession, list []json.RawMessage, matching int, head string, line func(*R) string) error {
	out := s.cmd.OutOrStdout()
	if s.json {
		for _, v := range list {
			if _, err := fmt.Fprintf(out, "%s\n", v); err != nil {
				return err
			}
		}
		return nil
	}
	t := newTable(out)
	fmt.Fprintln(t, head)
	for _, v := range list {
		r := new(R)
		if err := json.Unmarshal(v, r); err != nil {
			return err
		}
		fmt.Fprintln(t, line(r))
	}
	if err := t.Flush(); err != nil {
		return err
	}
	if more := matching - len(list); more > 0 {
		fmt.Fprintf(out, "and %s more\n", human.Count(float64(more)))
	}
	return nil
}

// ago says how long ago a time in Unix seconds was.
func ago(unix int64) string { return human.Age(time.Since(time.Unix(unix, 0))) + " ago" }

// from says which address something came from.
func from(address *string) string {
	if address == nil {
		return "this machine"
	}
	return *address
}
