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
	relayclient "cowrelay/fasthttp/client"

	"github.com/spf13/cobra"
)

// NewTokenCommand returns the command token with those below it.
func NewTokenCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "token",
		Short: "Make, list and end tokens with fewer rights",
		Long: `token makes, lists and ends tokens of a slot that may only post, or only read.

It needs the owner token. Commands find it in the profile NAME` + ownerSuffix + `, beside the
profile NAME that they are given, where slot new --save put it. Without a profile give
the owner token as any token: --token-file or ` + tokenVariable + `.`,
		GroupID: command.GroupUse,
		Args:    command.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return command.Usage(errors.New("what about tokens?\n\n" + cmd.UsageString()))
		},
	}
	cmd.AddCommand(newTokenNewCommand(), newTokenListCommand(), newTokenRevokeCommand(), newTokenRotateCommand())
	return cmd
}

func newTokenNewCommand() *cobra.Command {
	var want relayclient.TokenRequest
	cmd := slotCommand(&cobra.Command{
		Use:   "new",
		Short: "Make a token that may only post, or only read",
		Long: `new makes a token and prints it with the relay and the slot. The relay shows it this
once.

A token that may only read and lives for an hour at most is a ticket: browsers may
send it in a URL, as ?ticket=. The slot token may make tickets too, so these need no
owner.`,
		Example: `  cowrelay token new --may post --note "for mary"
  cowrelay token new --may read --ttl 30m`,
		Args: command.NoArgs,
	}, func(s *slotSession, _ []string) error {
		if len(want.May) == 0 {
			return command.Usage(errors.New("what may it do? --may post, --may read, or both: --may post,read"))
		}
		for _, right := range want.May {
			if right != relayclient.MayPost && right != relayclient.MayRead {
				return command.Usage(fmt.Errorf("--may: %q: it is post, read, or both with a comma between", right))
			}
		}
		return s.newToken(want)
	})
	cmd.Flags().StringSliceVar(&want.May, "may", nil, "what it may do: post, read, or both with a comma between")
	addTokenFlags(cmd, &want)
	cmd.RegisterFlagCompletionFunc("may", cobra.FixedCompletions([]string{relayclient.MayPost, relayclient.MayRead, relayclient.MayPost + "," + relayclient.MayRead}, cobra.ShellCompDirectiveNoFileComp))
	return cmd
}

func newTokenListCommand() *cobra.Command {
	cmd := slotCommand(&cobra.Command{
		Use:   "list",
		Short: "List the tokens of a slot, without their secrets",
		Long:  "list lists the tokens that were made for the slot. It needs the owner token.",
		Args:  command.NoArgs,
	}, func(s *slotSession, _ []string) error {
		if err := s.asOwner(); err != nil {
			return err
		}
		list, err := s.mailbox.Tokens(s.ctx)
		if err != nil {
			return err
		}
		out := s.cmd.OutOrStdout()
		if s.json {
			if list == nil {
				list = []relayclient.Token{}
			}
			return json.NewEncoder(out).Encode(list)
		}
		tw := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
		fmt.Fprint(tw, "ID\tMAY\tEXPIRES\tNOTE\n")
		for _, t := range list {
			fmt.Fprintf(tw, "%s\t%s\t%s\t%s\n", term.Printable(t.ID), term.Printable(strings.Join(t.May, ",")), expires(t.ExpiresUnix), term.Printable(t.Note))
		}
		return tw.Flush()
	})
	cmd.Flags().Bool("json", false, "print JSON; also without it when the output is no terminal")
	return cmd
}

// expires says for people when a token ends.
func expires(unix *int64) string {
	if unix == nil {
		return "never"
	}
	at := time.Unix(*unix, 0)
	left := time.Until(at)
	if left <= 0 {
		return "expired"
	}
	return at.Format(time.DateTime) + ", in " + human.Age(left)
}

func newTokenRevokeCommand() *cobra.Command {
	cmd := slotCommand(&cobra.Command{
		Use:   "revoke TOKEN_ID...",
		Short: "End tokens of a slot at once",
		Long: `revoke ends tokens by the ids that list shows. They are dead at once, and the streams
that they opened end. It needs the owner token.`,
		Args: func(_ *cobra.Command, ids []string) error {
			if len(ids) == 0 {
				return errors.New("which token? Give its id, as token list shows it")
			}
			return nil
		},
		ValidArgsFunction: cobra.NoFileCompletions,
	}, func(s *slotSession, ids []string) error {
		if err := s.asOwner(); err != nil {
			return err
		}
		for _, id := range ids {
			if err := s.mailbox.RevokeToken(s.ctx, id); err != nil {
				return err
			}
			fmt.Fprintf(s.cmd.ErrOrStderr(), "revoked token %s\n", term.Printable(id))
		}
		return nil
	})
	return cmd
}

func newTokenRotateCommand() *cobra.Command {
	cmd := slotCommand(&cobra.Command{
		Use:   "rotate",
		Short: "Give a slot another slot token",
		Long: `rotate gives the slot another slot token. The one before is dead at once, for
everybody who has it. It needs the owner token, which stays as it is.

If the slot comes from a profile, the command writes the new token into it, and does
not print it.`,
		Args: command.NoArgs,
	}, func(s *slotSession, _ []string) error {
		if err := s.asOwner(); err != nil {
			return err
		}
		token, err := s.mailbox.RotateToken(s.ctx)
		if err != nil {
			return err
		}
		members := [][2]string{{"relay", s.relay}, {"slot_id", s.slot}}
		if p := s.profile; p != nil && p.Token != "" {
			p.Token = token
			if err := p.save(); err != nil {
				return fmt.Errorf("the slot has a new token, and it is not saved: rotate again: %w", err)
			}
			return printMembers(s.cmd, append(members, [2]string{"profile", p.name}))
		}
		return printMembers(s.cmd, append(members, [2]string{"slot_token", token}))
	})
	cmd.Flags().Bool("json", false, "print JSON; also without it when the output is no terminal")
	return cmd
}
