package use

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync/atomic"
	"time"

	"cowrelay/cmd/cowrelay/internal/command"
	"cowrelay/cmd/cowrelay/internal/term"
	"cowrelay/cmd/cowrelay/internal/wholefile"
	relayclient "cowrelay/fasthttp/client"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

const (
	defaultRelay  = "http://127.0.0.1:8770"
	relayVariable = "COWRELAY_RELAY"
	slotVariable  = "COWRELAY_SLOT"
	tokenVariable = "COWRELAY_TOKEN"
	tokenFileVar  = "COWRELAY_TOKEN_FILE"
)

// addRelayFlags adds the flags of every command that asks a relay.
func addRelayFlags(cmd *cobra.Command) {
	f := cmd.Flags()
	f.String("relay", "", "URL of the relay; else "+relayVariable+", else the profile's, else "+defaultRelay)
	f.String("profile-dir", "", "folder of profiles; else "+profileDirVar+", else cowrelay in your configuration folder")
	f.Duration("retry-for", time.Minute, "how long to try again while the relay does not answer; 0: not at all")
	cmd.RegisterFlagCompletionFunc("relay", cobra.NoFileCompletions)
	cmd.RegisterFlagCompletionFunc("retry-for", cobra.NoFileCompletions)
	cmd.MarkFlagDirname("profile-dir")
}

// addSlotFlags adds those of commands that use a slot.
func addSlotFlags(cmd *cobra.Command) {
	addRelayFlags(cmd)
	f := cmd.Flags()
	f.String("profile", "", "name of a saved slot; else "+profileVariable+", else \""+defaultProfile+"\" if it is there")
	f.String("slot", "", "id of the slot; else "+slotVariable+", else the profile's")
	f.String("token-file", "", "file with the slot's token; else the profile's, else "+tokenFileVar+", else the token in "+tokenVariable)
	f.String("token", "", "")
	f.MarkHidden("token")
	cmd.RegisterFlagCompletionFunc("profile", completeProfile)
	cmd.RegisterFlagCompletionFunc("slot", cobra.NoFileCompletions)
}

// target is the slot that a command is about.
type target struct {
	relay, slot, token string
	tokenFrom          string   // where the token comes from
	profile            *profile // if the slot is its
}

// findRelay returns the URL of the relay. The profile may be nil.
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

// findTarget puts flags, environment and profile together. A profile's token
// goes to its own relay and slot only.
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
		t.slot, t.token, t.tokenFrom, t.profile = p.Slot, p.Token, p.path, p
	}
	return t, t.readToken(f)
}

// readToken takes the token from where it was given, if it is not the profile's.
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

// slotSession is a run of a command that uses a slot.
type slotSession struct {
	*target
	cmd     *cobra.Command
	ctx     context.Context
	client  *relayclient.Client
	mailbox *relayclient.Slot
	json    bool // print JSON
}

// slotCommand completes a command that runs f with the slot at hand. It
// asks for the slot's state first: a wrong token or a relay that is not there is
// told at once, and what fails later is waited for.
func slotCommand(cmd *cobra.Command, f func(*slotSession, []string) error) *cobra.Command {
	addSlotFlags(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		t, err := findTarget(cmd.Flags())
		if err != nil {
			return err
		}
		ctx, stop := command.UntilInterrupted(cmd)
		defer stop()
		defer context.AfterFunc(ctx, stop)() // a second signal ends the process
		s := &slotSession{target: t, cmd: cmd, ctx: ctx, json: !term.IsTerminal(cmd.OutOrStdout())}
		if asked := cmd.Flags().Lookup("json"); asked != nil && asked.Changed {
			s.json = asked.Value.String() == "true"
		}
		if s.client, err = newClient(cmd, t.relay); err != nil {
			return err
		}
		defer s.client.Close()
		s.mailbox = s.client.Slot(t.slot, t.token)
		if err = s.explain(f(s, args)); errors.Is(err, context.Canceled) {
			return command.Interrupted(ctx, err)
		}
		return err
	}
	return cmd
}

// newClient returns a client that tells on stderr when it has to wait.
func newClient(cmd *cobra.Command, relay string) (*relayclient.Client, error) {
	patience, err := cmd.Flags().GetDuration("retry-for")
	if err != nil {
		return nil, err
	}
	if patience <= 0 {
		patience = -1
	}
	var away atomic.Bool
	begin := cmd.CommandPath() + ": "
	if term.IsTerminal(cmd.ErrOrStderr()) {
		begin = "\r\x1b[K" + begin // a bar may be there
	}
	note := func(format string, args ...any) {
		fmt.Fprint(cmd.ErrOrStderr(), begin+term.Shown(fmt.Sprintf(format, args...))+"\n")
	}
	c, err := relayclient.New(relay, relayclient.Options{
		RetryFor: patience, UserAgent: "cowrelay/" + cmd.Root().Version,
		OnRetry: func(err error, wait time.Duration) {
			if !away.Swap(true) {
				note("%v; trying again", err)
			}
		},
		OnBack: func() {
			if away.Swap(false) {
				note("the relay answers again")
			}
		},
	})
	if err != nil {
		return nil, command.Usage(err)
	}
	return c, nil
}

// check asks for the slot's state once.
func (s *slotSession) check() (*relayclient.State, error) {
	c, err := relayclient.New(s.relay, relayclient.Options{RetryFor: -1, Timeout: 30 * time.Second})
	if err != nil {
		return nil, command.Usage(err)
	}
	defer c.Close()
	return c.Slot(s.slot, s.token).State(s.ctx)
}

// explain says what an error means for who gave relay, slot and token.
func (s *slotSession) explain(err error) error {
	switch {
	case errors.Is(err, relayclient.ErrForbidden):
		return fmt.Errorf("the token in %s is not that of slot %s: %w", s.tokenFrom, s.slot, err)
	case errors.Is(err, relayclient.ErrGone):
		return fmt.Errorf("the relay at %s has no slot %s: %w", s.relay, s.slot, err)
	case errors.Is(err, relayclient.ErrReply):
		return fmt.Errorf("is there a relay at %s? %w", s.relay, err)
	}
	return err
}
