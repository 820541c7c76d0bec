package operate

import (
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"strings"

	"cowrelay/cmd/cowrelay/internal/term"

	"github.com/spf13/cobra"
)

// purged is what a purge dropped, or would drop.
type purged struct {
	Address string   `json:"address"`
	Handles []string `json:"handles"`
	Invites int      `json:"invites"`
	More    bool     `json:"more"` // there is more to drop
}

func newAdminPurge() *cobra.Command {
	var yes bool
	cmd := adminCommand("purge ADDRESS", "Drop the handles and invites that came from one address", oneAddress, func(s *adminSession, args []string) error {
		ask := func(dry bool) (*purged, error) {
			p := new(purged)
			return p, s.Call(s.cmd.Context(), http.MethodPost, "/admin/v1/purge", map[string]any{"address": args[0], "dry_run": dry}, p)
		}
		plan, err := ask(true)
		if err != nil {
			return err
		}
		if len(plan.Handles)+plan.Invites == 0 {
			return s.print(plan, "nothing came from "+plan.Address)
		}
		if !yes {
			printPurged(s, plan)
		}
		if err := confirm(s.cmd, yes, "Drop them all?"); err != nil {
			return err
		}
		for {
			done, err := ask(false)
			if err != nil {
				return err
			}
			if s.json {
				err = s.print(done, "")
			} else {
				err = printPurged(s, done)
			}
			if err != nil || !done.More || len(done.Handles)+done.Invites == 0 {
				return err
			}
		}
	})
	cmd.Long = `purge unclaims all handles that were first claimed from an address, and revokes
the invites that were registered from there. Of IPv6 it takes the whole /64. First it
shows what it would drop, and asks. What came from this machine, and what was
imported, has no address.`
	cmd.Example = `  cowrelay admin purge 203.0.113.7
  cowrelay admin purge 2001:db8:1:2::/64 --yes`
	cmd.Flags().BoolVar(&yes, "yes", false, "don't ask")
	return cmd
}

// oneAddress accepts an address, or the prefix that stands for a client of IPv6.
func oneAddress(cmd *cobra.Command, args []string) error {
	if len(args) != 1 {
		return errors.New("which address? Give one")
	}
	if _, err := netip.ParseAddr(strings.TrimSuffix(args[0], "/64")); err != nil {
		return fmt.Errorf("%q is neither an address nor a /64 of IPv6", args[0])
	}
	return nil
}

// printPurged prints handles and the number of invites: for people, also where the
// output is JSON, on standard error.
func printPurged(s *adminSession, p *purged) error {
	out := s.cmd.OutOrStdout()
	if s.json {
		out = s.cmd.ErrOrStderr()
	}
	more := ""
	if p.More {
		more = ", and there is more"
	}
	for _, nick := range p.Handles {
		if _, err := fmt.Fprintln(out, "handle", term.Printable(nick)); err != nil {
			return err
		}
	}
	_, err := fmt.Fprintf(out, "%d handles and %d invites from %s%s\n", len(p.Handles), p.Invites, p.Address, more)
	return err
}
