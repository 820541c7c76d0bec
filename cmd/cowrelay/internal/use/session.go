package use

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"cowrelay/cmd/cowrelay/internal/command"
	"cowrelay/cmd/cowrelay/internal/term"
	relayclient "cowrelay/fasthttp/client"

	"github.com/spf13/cobra"
)

// slotSession is one run of a command that uses a slot.
type slotSession struct {
	*target
	cmd     *cobra.Command
	ctx     context.Context
	client  *relayclient.Client
	mailbox *relayclient.Slot
	json    bool // print JSON, not text for people

	ownerFrom string // the file that the mailbox's Owner comes from, if it has one
}

// slotCommand completes a command: it gets the flags of a slot, and runs f with the
// slot at hand. f calls check before it reads an input: a wrong token, or a relay that is
// not there, is an error at once.
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

// asOwner has the session use the owner's token for what only the owner may do, if the
// slot's profile has one and no other token was asked for.
func (s *slotSession) asOwner() error {
	if s.profile == nil || s.tokenFrom != s.profile.path {
		return nil
	}
	owner, from, err := s.profile.loadOwner()
	if err == nil && owner != "" {
		s.mailbox.Owner, s.ownerFrom = owner, from
	}
	return err
}

// check asks for the slot's state.
func (s *slotSession) check() (*relayclient.State, error) {
	return s.client.Slot(s.slot, s.token).State(s.ctx)
}

// explain says what an error means for the person who gave relay, slot and token.
func (s *slotSession) explain(err error) error {
	switch {
	case errors.Is(err, relayclient.ErrForbidden):
		return fmt.Errorf("the token in %s is not that of slot %s: %w", s.tokenFrom, s.slot, err)
	case errors.Is(err, relayclient.ErrMissingRight):
		from := s.tokenFrom
		if s.ownerFrom != "" {
			from = s.ownerFrom
		}
		return fmt.Errorf("the token in %s has not the right that this needs: %w", from, err)
	case errors.Is(err, relayclient.ErrGone):
		return fmt.Errorf("the relay at %s has no slot %s: %w", s.relay, s.slot, err)
	case errors.Is(err, relayclient.ErrReply):
		return fmt.Errorf("is there a relay at %s? %w", s.relay, err)
	}
	return err
}

// newClient returns a client of a relay. One rule holds for all commands: while the relay
// has not answered at all, a try that fails is an error at once, unless somebody asked
// for patience. After that the client waits. It says so on stderr, once until the relay
// answers again.
func newClient(cmd *cobra.Command, relay string) (*relayclient.Client, error) {
	patience, err := cmd.Flags().GetDuration("retry-for")
	if err != nil {
		return nil, err
	}
	if patience < 0 {
		return nil, command.WrongValue(cmd, "retry-for", "a time from 0s up")
	}
	if patience == 0 {
		patience = -1
	}
	var away atomic.Bool // the client calls back from several goroutines
	begin := cmd.CommandPath() + ": "
	if term.IsTerminal(cmd.ErrOrStderr()) {
		begin = "\r\x1b[K" + begin // a bar may be there
	}
	note := func(format string, args ...any) {
		fmt.Fprint(cmd.ErrOrStderr(), begin+term.Shown(fmt.Sprintf(format, args...))+"\n")
	}
	c, err := relayclient.New(relay, relayclient.Options{
		RetryFor: patience, FailFast: !cmd.Flags().Changed("retry-for"), UserAgent: "cowrelay/" + cmd.Root().Version,
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
