package use

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
	"syscall"

	"cowrelay/cmd/cowrelay/internal/command"
	"cowrelay/cmd/cowrelay/internal/wholefile"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// loadProfile reads the profile that was asked for, or else the default one. It is
// nil if nobody asked and there is no default. A file that others can read, or may
// have put there, is refused.
func loadProfile(f *pflag.FlagSet) (*profile, error) {
	name, _ := command.FlagOr(f, "profile", profileVariable, "")
	asked := name != ""
	if !asked {
		name = defaultProfile
	}
	p, err := newProfile(f, name)
	if err != nil {
		if !asked {
			return nil, nil // no home, no default
		}
		return nil, err
	}
	// Opened so, a FIFO does not block; trust refuses it.
	file, err := os.OpenFile(p.path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if errors.Is(err, fs.ErrNotExist) {
		if !asked {
			return nil, nil
		}
		return nil, fmt.Errorf("there is no profile %q: cowrelay slot new --save %s makes one (%w)", name, name, err)
	}
	if err != nil {
		return nil, fmt.Errorf("cannot read profile %q: %w", name, err)
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return nil, err
	}
	if err := p.trust(info); err != nil {
		return nil, err
	}
	if err := json.NewDecoder(io.LimitReader(file, wholefile.TokenBytes)).Decode(p); err != nil {
		return nil, fmt.Errorf("profile %q is broken: %s: %w", name, p.path, err)
	}
	if p.Relay == "" || p.Slot == "" || p.Token == "" {
		return nil, fmt.Errorf("profile %q is broken: %s lacks relay, slot_id or slot_token", name, p.path)
	}
	return p, nil
}

// completeProfile offers the names of profiles to the shell.
func completeProfile(cmd *cobra.Command, _ []string, begun string) ([]string, cobra.ShellCompDirective) {
	dir, err := profileFolder(cmd.Flags())
	if err != nil {
		return nil, cobra.ShellCompDirectiveError
	}
	entries, _ := os.ReadDir(dir) // a folder that is not there has none
	var names []string
	for _, e := range entries {
		if name, ok := strings.CutSuffix(e.Name(), ".json"); ok && profileName.MatchString(name) && strings.HasPrefix(name, begun) {
			names = append(names, name)
		}
	}
	return names, cobra.ShellCompDirectiveNoFileComp
}
