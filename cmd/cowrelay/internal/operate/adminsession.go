package operate

import (
	"encoding/json"
	"errors"
	"fmt"

	"cowrelay/cmd/cowrelay/internal/adminclient"
	"cowrelay/cmd/cowrelay/internal/command"
	"cowrelay/cmd/cowrelay/internal/term"

	"github.com/spf13/cobra"
)

// adminSession is one run of an admin command, with the relay at hand.
type adminSession struct {
	*adminclient.Client
	cmd  *cobra.Command
	json bool // print JSON lines, not text for people
}

// adminCommand returns a command that runs f, until a signal ends it.
func adminCommand(use, short string, args cobra.PositionalArgs, f func(*adminSession, []string) error) *cobra.Command {
	return &cobra.Command{
		Use: use, Short: short, Args: args, ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(cmd *cobra.Command, args []string) error {
			client, err := adminclient.New(cmd.Flags())
			if err != nil {
				return err
			}
			asked, err := cmd.Flags().GetBool("json")
			if err != nil {
				return err
			}
			ctx, stop := command.UntilInterrupted(cmd)
			defer stop()
			cmd.SetContext(ctx)
			return f(&adminSession{client, cmd, asked || !term.IsTerminal(cmd.OutOrStdout())}, args)
		},
	}
}

// offering has shells complete the arguments of a command with names that the relay knows.
func offering(o offered, cmd *cobra.Command) *cobra.Command {
	cmd.ValidArgsFunction = o.complete
	return cmd
}

// slotIDs accepts one slot id or more.
func slotIDs(cmd *cobra.Command, args []string) error {
	if err := cobra.MinimumNArgs(1)(cmd, args); err != nil {
		return errors.New("which slot? Give its id")
	}
	for _, id := range args {
		if err := isSlotID(id); err != nil {
			return err
		}
	}
	return nil
}

// each runs f for each name. It goes on after one that failed, unless the relay
// does not answer at all.
func each(f func(*adminSession, string) error) func(*adminSession, []string) error {
	return func(s *adminSession, ids []string) error {
		var errs []error
		for _, id := range ids {
			if err := f(s, id); err != nil {
				errs = append(errs, err)
			}
			if errors.Is(errors.Join(errs...), adminclient.ErrUnreachable) || s.cmd.Context().Err() != nil {
				break
			}
		}
		return errors.Join(errs...)
	}
}

// show asks for one object and prints it: as it came, or for people by print.
func (s *adminSession) show(method, path string, body any, print func(*adminSession, json.RawMessage) error) error {
	var v json.RawMessage
	if err := s.Call(s.cmd.Context(), method, path, body, &v); err != nil {
		return err
	}
	if s.json {
		_, err := fmt.Fprintf(s.cmd.OutOrStdout(), "%s\n", v)
		return err
	}
	return print(s, v)
}

// act asks for something to be done, and prints the reply, or for people that it is
// done.
func (s *adminSession) act(method, path string, body any, done string) error {
	return s.show(method, path, body, func(s *adminSession, _ json.RawMessage) error {
		_, err := fmt.Fprintln(s.cmd.OutOrStdout(), done)
		return err
	})
}

// print prints v as JSON, or a line for people.
func (s *adminSession) print(v any, line string) error {
	if s.json {
		data, err := json.Marshal(v)
		if err != nil {
			return err
		}
		line = string(data)
	}
	_, err := fmt.Fprintln(s.cmd.OutOrStdout(), line)
	return err
}

// confirm asks a person whether to do what can't be taken back. If there is nobody
// to ask, it wants --yes.
func confirm(cmd *cobra.Command, yes bool, question string) error {
	if yes {
		return nil
	}
	if !term.IsTerminal(cmd.InOrStdin()) {
		return command.Usage(errors.New("nobody can be asked here: give --yes"))
	}
	ok, err := term.Yes(cmd.Context(), cmd.InOrStdin(), cmd.ErrOrStderr(), question)
	if err != nil {
		fmt.Fprintln(cmd.ErrOrStderr())
	}
	if err != nil || !ok {
		return errors.New("nothing done")
	}
	return nil
}
