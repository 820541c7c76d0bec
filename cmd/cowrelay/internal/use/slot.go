package use

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"text/tabwriter"
	"time"

	"cowrelay/cmd/cowrelay/internal/command"
	"cowrelay/cmd/cowrelay/internal/human"
	"cowrelay/cmd/cowrelay/internal/term"
	"cowrelay/fasthttp/client"

	"github.com/spf13/cobra"
)

// NewSlotCommand returns the command slot with those below it.
func NewSlotCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "slot",
		Short: "Make, look at, share and remove a slot",
		Long: `slot makes, lists, looks at, shares and removes slots of relays.

Commands that use a slot take it from a profile: a file that only you can read.
slot new --save makes one. Without --profile it is the profile "default". Or give
--slot and a token, by --token-file or ` + tokenVariable + `.`,
		GroupID: command.GroupUse,
		Args:    command.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return command.Usage(errors.New("what about the slot?\n\n" + cmd.UsageString()))
		},
	}
	cmd.AddCommand(newSlotNewCommand(), newSlotListCommand(), newSlotStateCommand(), newSlotShareCommand(), newSlotRmCommand())
	return cmd
}

func newSlotNewCommand() *cobra.Command {
	var save string
	var life client.Lifetime
	cmd := &cobra.Command{
		Use:   "new",
		Short: "Make a slot",
		Long: `new makes a slot and prints its id and its two tokens. The relay shows them this
once. The slot token posts and reads. The owner token may also make and end tokens,
and remove the slot.

With --save NAME the command keeps the slot token in the profile NAME, and the owner
token in the profile NAME` + ownerSuffix + `. It prints none of them. Commands that need the
owner find the second by the name of the first.

--ttl has the slot end when nobody has used it for so long, --event-ttl each of its
events so long after it came: within the bounds of the relay's operator, who may keep
less.`,
		Example: "  cowrelay slot new --save default\n  cowrelay slot new --ttl 168h --event-ttl 24h",
		Args:    command.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			for name, d := range map[string]time.Duration{"ttl": life.Slot, "event-ttl": life.Event} {
				if d < 0 || d%time.Second != 0 {
					return command.WrongValue(cmd, name, "a time of whole seconds from 0s up")
				}
			}
			ctx, stop := command.UntilInterrupted(cmd)
			defer stop()
			url, _ := findRelay(cmd.Flags(), nil)
			c, err := newClient(cmd, url)
			if err != nil {
				return err
			}
			defer c.Close()
			var p *profile
			if save != "" {
				if p, err = reserveProfile(cmd.Flags(), save); err != nil {
					return err
				}
			}
			s, err := c.AllocateFor(ctx, life)
			if err == nil && p != nil {
				if err = p.saveSlot(s); err != nil {
					err = errors.Join(err, s.Delete(ctx)) // or it would be one that nobody can open
				}
			}
			if err != nil {
				if p != nil {
					p.removeBoth()
				}
				return command.Interrupted(ctx, err)
			}
			members := [][2]string{{"relay", c.URL()}, {"slot_id", s.ID}}
			if p != nil {
				members = append(members, [2]string{"profile", save})
			} else {
				members = append(members, [2]string{"slot_token", s.Token})
			}
			if p == nil && s.Owner != "" {
				members = append(members, [2]string{"owner_token", s.Owner})
			}
			if err := printMembers(cmd, members); err != nil {
				return err
			}
			if save == "" && term.IsTerminal(cmd.OutOrStdout()) {
				fmt.Fprintln(cmd.ErrOrStderr(), "Keep the tokens: nobody can tell them again. --save NAME keeps them for you.")
			}
			return nil
		},
	}
	addRelayFlags(cmd)
	cmd.Flags().StringVar(&save, "save", "", "name of a new profile for the slot; \""+defaultProfile+"\" is the one that commands use by themselves")
	cmd.Flags().Bool("json", false, "print JSON; also without it when the output is no terminal")
	cmd.Flags().DurationVar(&life.Slot, "ttl", 0, "how long the slot is kept after it was used last, such as 168h; 0s: as long as the relay says")
	cmd.Flags().DurationVar(&life.Event, "event-ttl", 0, "how long each event is kept, such as 24h; 0s: as long as the relay says")
	command.NoFiles(cmd, "save", "ttl", "event-ttl")
	return cmd
}

func newSlotStateCommand() *cobra.Command {
	cmd := slotCommand(&cobra.Command{
		Use:   "state",
		Short: "Show the state of a slot",
		Args:  command.NoArgs,
	}, func(s *slotSession, _ []string) error {
		st, err := s.check()
		if err != nil {
			return err
		}
		out := s.cmd.OutOrStdout()
		if s.json {
			return json.NewEncoder(out).Encode(st)
		}
		pulled := "never"
		if st.LastPullAtUnix != nil {
			at := time.Unix(*st.LastPullAtUnix, 0)
			pulled = at.Format(time.DateTime) + ", " + human.Age(time.Since(at)) + " ago"
		}
		tw := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
		fmt.Fprintf(tw, "relay\t%s\nslot\t%s\nevents\t%s\nlast pull\t%s\n", s.relay, st.SlotID, human.Count(float64(st.EventCount)), pulled)
		for _, l := range []struct {
			name    string
			seconds *int64
		}{{"ends unused after", st.TTLSeconds}, {"events end after", st.EventTTLSeconds}} {
			if l.seconds != nil {
				fmt.Fprintf(tw, "%s\t%s\n", l.name, time.Duration(*l.seconds)*time.Second)
			}
		}
		if h := st.ResponderHealth; h != nil {
			fmt.Fprintf(tw, "health\t%s\n", term.Printable(strings.TrimSpace(h.Status+" since "+h.SetAt+" "+h.Reason)))
		}
		return tw.Flush()
	})
	cmd.Flags().Bool("json", false, "print JSON; also without it when the output is no terminal")
	return cmd
}

func newSlotRmCommand() *cobra.Command {
	var yes bool
	cmd := slotCommand(&cobra.Command{
		Use:   "rm",
		Short: "Remove a slot with all events in it",
		Long: `rm removes a slot with all events in it, and the profiles that it was saved in. It
needs the owner token, and asks before. Where there is nobody to ask, it needs --yes.`,
		Args: command.NoArgs,
	}, func(s *slotSession, _ []string) error {
		if !yes {
			if err := s.confirm(); err != nil {
				return err
			}
		}
		if err := s.asOwner(); err != nil {
			return err
		}
		if err := s.mailbox.Delete(s.ctx); err != nil {
			return err
		}
		if s.profile != nil {
			if err := s.profile.removeBoth(); err != nil {
				return fmt.Errorf("the slot is removed, its profile is not: %w", err)
			}
		}
		fmt.Fprintf(s.cmd.ErrOrStderr(), "removed slot %s\n", s.slot)
		return nil
	})
	cmd.Flags().BoolVar(&yes, "yes", false, "don't ask")
	return cmd
}

// confirm asks a person whether the slot is to be removed.
func (s *slotSession) confirm() error {
	in, stderr := s.cmd.InOrStdin(), s.cmd.ErrOrStderr()
	if !term.IsTerminal(in) || !term.IsTerminal(stderr) {
		return command.Usage(errors.New("nobody is here to ask whether the slot shall be removed: give --yes"))
	}
	st, err := s.check()
	if err != nil {
		return err
	}
	yes, err := term.Yes(s.ctx, in, stderr, fmt.Sprintf("Remove slot %s with %s events?", s.slot, human.Count(float64(st.EventCount))))
	if err == nil && !yes {
		err = errors.New("not removed")
	}
	return err
}
