package use

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"cowrelay/cmd/cowrelay/internal/command"
	"cowrelay/cmd/cowrelay/internal/wholefile"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

const (
	defaultRelay  = "http://127.0.0.1:8770"
	relayVariable = command.RelayVariable
	slotVariable  = command.SlotVariable
	tokenVariable = command.TokenVariable
	tokenFileVar  = command.TokenFileVariable
)

// addRelayFlags adds the flags of every command that asks a relay.
func addRelayFlags(cmd *cobra.Command) {
	f := cmd.Flags()
	f.String("relay", "", "URL of the relay; else "+relayVariable+", else the profile's, else "+defaultRelay)
	f.Duration("retry-for", time.Minute, "how long to try again while the relay does not answer, once it has; if you give it, from the beginning; 0: not at all")
	cmd.RegisterFlagCompletionFunc("relay", cobra.NoFileCompletions)
	cmd.RegisterFlagCompletionFunc("retry-for", cobra.NoFileCompletions)
	addProfileDirFlag(cmd)
}

func addProfileDirFlag(cmd *cobra.Command) {
	cmd.Flags().String("profile-dir", "", "folder of profiles; else "+profileDirVar+", else cowrelay in your configuration folder")
	cmd.MarkFlagDirname("profile-dir")
}

// addSlotFlags adds the flags of every command that uses a slot.
func addSlotFlags(cmd *cobra.Command) {
	addRelayFlags(cmd)
	f := cmd.Flags()
	f.String("profile", "", "name of a saved slot; else "+profileVariable+", else \""+defaultProfile+"\" if it is there")
	f.String("slot", "", "id of the slot; else "+slotVariable+", else the profile's")
	f.String("token-file", "", "file with the slot's token; else the profile's, else "+tokenFileVar+", else the token in "+tokenVariable)
	f.String("token", "", "")
	f.MarkHidden("token")
	cmd.RegisterFlagCompletionFunc("profile", completeProfile)
	cmd.RegisterFlagCompletionFunc("slot", completeSlot)
}

// target is the slot that a command uses, and what opens it.
type target struct {
	relay, slot, token string
	tokenFrom          string   // the file or variable that the token comes from
	profile            *profile // if the slot is its
}

// findRelay returns the URL of the relay, and the flag or variable that gave it. The
// profile may be nil.
func findRelay(f *pflag.FlagSet, p *profile) (url, origin string) {
	def := defaultRelay
	if p != nil {
		def = p.Relay
	}
	url, origin = command.FlagOr(f, "relay", relayVariable, def)
	if !strings.Contains(url, "://") {
		url = "http://" + url
	}
	return strings.TrimRight(url, "/"), origin
}

// findTarget puts flags, environment and profile together. A profile's token is for
// its own relay and slot only: any other combination is refused.
func findTarget(f *pflag.FlagSet) (*target, error) {
	if f.Changed("token") {
		return nil, command.Usage(errors.New("a token in the command line can be seen by others: put it into a file (--token-file), into " + tokenVariable + ", or save the slot (cowrelay slot new --save NAME)"))
	}
	slot, slotFrom := command.FlagOr(f, "slot", slotVariable, "")
	var p *profile
	// With a slot given otherwise, only a profile that was asked for counts.
	name, _ := command.FlagOr(f, "profile", profileVariable, "")
	if slot == "" || name != "" {
		var err error
		if p, err = loadProfile(f); err != nil {
			return nil, err
		}
	}
	t := &target{slot: slot}
	var relayFrom string
	t.relay, relayFrom = findRelay(f, p)
	switch {
	case p == nil && slot == "":
		return nil, command.Usage(errors.New("which slot? --profile NAME, or --slot ID and its token; cowrelay slot new --save NAME makes one"))
	case p != nil && slot != "" && slot != p.Slot:
		return nil, command.Usage(fmt.Errorf("%s is not the slot of profile %q: give one of the two", slotFrom, p.name))
	case p != nil && t.relay != strings.TrimRight(p.Relay, "/"):
		return nil, command.Usage(fmt.Errorf("%s is %s, but the slot of profile %q lies at %s: its token is not sent elsewhere", relayFrom, t.relay, p.name, p.Relay))
	case p != nil:
		t.slot, t.token, t.tokenFrom, t.profile = p.Slot, p.token(), p.path, p
	}
	return t, t.readToken(f)
}

// readToken reads the token, unless the profile has given it: --token-file wins over
// the profile, a variable does not.
func (t *target) readToken(f *pflag.FlagSet) error {
	if t.token == "" || f.Changed("token-file") {
		t.token, t.tokenFrom = os.Getenv(tokenVariable), tokenVariable
		if path, origin := command.FlagOr(f, "token-file", tokenFileVar, ""); path != "" {
			text, err := wholefile.Read(path, wholefile.TokenBytes)
			if err != nil {
				return fmt.Errorf("%s: %w", origin, err)
			}
			t.token, t.tokenFrom = strings.TrimSpace(string(text)), path
		}
	}
	if t.token == "" {
		return command.Usage(fmt.Errorf("no token for slot %s: give --token-file or %s", t.slot, tokenVariable))
	}
	if strings.ContainsFunc(t.token, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return fmt.Errorf("%s holds no token: there are blanks or odd characters in it", t.tokenFrom)
	}
	return nil
}
