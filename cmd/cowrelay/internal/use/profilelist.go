package use

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"text/tabwriter"

	"cowrelay/cmd/cowrelay/internal/command"
	"cowrelay/cmd/cowrelay/internal/term"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// listedProfile is a profile as slot list prints it: without its tokens.
type listedProfile struct {
	Profile string `json:"profile"`
	Relay   string `json:"relay,omitempty"`
	Slot    string `json:"slot_id,omitempty"`
	Holds   string `json:"holds,omitempty"` // slot_token or owner_token
	Fault   string `json:"fault,omitempty"` // why commands refuse it
}

func newSlotListCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List the saved slots: the profiles",
		Long: `list prints the profiles in the folder of profiles: their names, relays and slots, and
which token each holds, but no tokens. It asks no relay. A profile that commands would
refuse is listed with the reason.`,
		Args: command.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			list, err := listProfiles(cmd.Flags())
			if err != nil {
				return err
			}
			out := cmd.OutOrStdout()
			if asked, _ := cmd.Flags().GetBool("json"); asked || !cmd.Flags().Changed("json") && !term.IsTerminal(out) {
				enc := json.NewEncoder(out)
				for _, p := range list {
					if err := enc.Encode(p); err != nil {
						return err
					}
				}
				return nil
			}
			tw := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
			fmt.Fprint(tw, "PROFILE\tSLOT\tRELAY\tTOKEN\n")
			for _, p := range list {
				if p.Fault != "" {
					fmt.Fprintf(tw, "%s\t%s\n", p.Profile, term.Printable(p.Fault))
					continue
				}
				fmt.Fprintf(tw, "%s\t%s\t%s\t%s\n", p.Profile, term.Printable(p.Slot), term.Printable(p.Relay), strings.TrimSuffix(p.Holds, "_token"))
			}
			return tw.Flush()
		},
	}
	addProfileDirFlag(cmd)
	cmd.Flags().Bool("json", false, "print JSON lines; also without it when the output is no terminal")
	return cmd
}

// listProfiles reads all profiles of the folder, by name. A folder that is not there has
// none.
func listProfiles(f *pflag.FlagSet) ([]listedProfile, error) {
	names, err := profileNames(f)
	if err != nil {
		return nil, err
	}
	var list []listedProfile
	for _, name := range names {
		p, err := newProfile(f, name)
		if err != nil {
			return nil, err
		}
		l := listedProfile{Profile: name}
		if err := p.load(); err != nil {
			l.Fault = err.Error()
		} else {
			l.Relay, l.Slot, l.Holds = p.Relay, p.Slot, "slot_token"
			if p.Token == "" {
				l.Holds = "owner_token"
			}
		}
		list = append(list, l)
	}
	return list, nil
}

// profileNames returns the names of all profiles of the folder, in order.
func profileNames(f *pflag.FlagSet) ([]string, error) {
	dir, err := profileFolder(f)
	if err != nil {
		return nil, err
	}
	entries, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("cannot list the profiles: %w", err)
	}
	var names []string
	for _, e := range entries {
		if name, ok := strings.CutSuffix(e.Name(), ".json"); ok && profileName.MatchString(name) {
			names = append(names, name)
		}
	}
	return names, nil
}

// completeProfile offers the names of profiles to the shell.
func completeProfile(cmd *cobra.Command, _ []string, begun string) ([]string, cobra.ShellCompDirective) {
	names, err := profileNames(cmd.Flags())
	if err != nil {
		return nil, cobra.ShellCompDirectiveError
	}
	var fit []string
	for _, name := range names {
		if strings.HasPrefix(name, begun) {
			fit = append(fit, name)
		}
	}
	return fit, cobra.ShellCompDirectiveNoFileComp
}

// completeSlot offers the slots of profiles to the shell, with the profiles' names.
func completeSlot(cmd *cobra.Command, _ []string, begun string) ([]string, cobra.ShellCompDirective) {
	list, err := listProfiles(cmd.Flags())
	if err != nil {
		return nil, cobra.ShellCompDirectiveError
	}
	var fit []string
	for _, p := range list {
		if p.Fault == "" && p.Holds == "slot_token" && strings.HasPrefix(p.Slot, begun) {
			fit = append(fit, cobra.CompletionWithDesc(p.Slot, p.Profile))
		}
	}
	return fit, cobra.ShellCompDirectiveNoFileComp
}
