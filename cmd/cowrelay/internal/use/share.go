package use

import (
	"fmt"
	"strconv"
	"time"

	"cowrelay/cmd/cowrelay/internal/command"
	"cowrelay/cmd/cowrelay/internal/term"
	relayclient "cowrelay/fasthttp/client"

	"github.com/spf13/cobra"
)

func newSlotShareCommand() *cobra.Command {
	want := relayclient.TokenRequest{May: []string{relayclient.MayPost}}
	cmd := slotCommand(&cobra.Command{
		Use:   "share",
		Short: "Print a token for somebody who may post to a slot",
		Long: `share makes a token that may post to the slot and do nothing else, and prints it
with the relay and the slot. It needs the owner token.

The JSON that it prints is a profile. Whoever gets it saves it as a file of mode 0600
in the folder of profiles, or sets COWRELAY_RELAY, COWRELAY_SLOT and COWRELAY_TOKEN.
cowrelay token list shows the token under its id, and cowrelay token revoke ends it.`,
		Example: `  cowrelay slot share --note "for mary" > mary.json
  cowrelay slot share --ttl 720h`,
		Args: command.NoArgs,
	}, func(s *slotSession, _ []string) error { return s.newToken(want) })
	addTokenFlags(cmd, &want)
	return cmd
}

// addTokenFlags adds the flags of commands that make a token.
func addTokenFlags(cmd *cobra.Command, want *relayclient.TokenRequest) {
	f := cmd.Flags()
	f.DurationVar(&want.TTL, "ttl", 0, "how long it lives; 0: until it is revoked")
	f.StringVar(&want.Note, "note", "", "a note for the list of tokens")
	f.Bool("json", false, "print JSON; also without it when the output is no terminal")
	command.NoFiles(cmd, "ttl", "note")
}

// newToken makes a token and prints what its holder needs.
func (s *slotSession) newToken(want relayclient.TokenRequest) error {
	if want.TTL < 0 {
		return command.WrongValue(s.cmd, "ttl", "a time from 0s up")
	}
	if err := s.asOwner(); err != nil {
		return err
	}
	t, err := s.mailbox.NewToken(s.ctx, want)
	if err != nil {
		return err
	}
	members := [][2]string{{"relay", s.relay}, {"slot_id", s.slot}, {"slot_token", t.Secret}, {"token_id", t.ID}}
	if t.ExpiresUnix != nil {
		members = append(members, [2]string{"expires", time.Unix(*t.ExpiresUnix, 0).UTC().Format(time.RFC3339)})
	}
	if err := printMembers(s.cmd, members); err != nil {
		return fmt.Errorf("the token is made, and was not shown (cowrelay token revoke %s ends it): %w", strconv.Quote(t.ID), err)
	}
	if !s.json && term.IsTerminal(s.cmd.OutOrStdout()) {
		fmt.Fprintln(s.cmd.ErrOrStderr(), "Nobody can tell the token again. cowrelay token revoke "+term.Printable(t.ID)+" ends it.")
	}
	return nil
}
