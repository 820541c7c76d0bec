// Package command is what the commands of the program have in common: exit
// statuses, the error of a command that was asked the wrong way, the groups of
// the help, and how flags and signals are read.
//
// It knows none of the commands.
package command

import (
	"context"
	"errors"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// Exit statuses.
const (
	OK      = 0
	Failed  = 1 // could not run
	Misused = 2 // was asked the wrong way
)

// The groups of commands in the help.
const (
	GroupUse     = "use"
	GroupServe   = "serve"
	GroupOperate = "operate"
)

// usageError is the error of a command that was asked the wrong way. The program
// then ends with exitUsage.
type usageError struct{ error }

func (e usageError) Unwrap() error { return e.error }

// usage makes err the error of a command that was asked the wrong way.
func Usage(err error) error { return usageError{err} }

// isUsage says whether err is one of a command that was asked the wrong way.
func IsUsage(err error) bool { return errors.As(err, new(usageError)) }

// untilInterrupted returns a context that SIGINT and SIGTERM end, for commands
// other than serve.
func UntilInterrupted(cmd *cobra.Command) (context.Context, context.CancelFunc) {
	return signal.NotifyContext(cmd.Context(), syscall.SIGINT, syscall.SIGTERM)
}

// interrupted names the reason where a signal was it.
func Interrupted(ctx context.Context, err error) error {
	if err != nil && ctx.Err() != nil {
		return errors.New("interrupted")
	}
	return err
}

// flagOr returns a flag's value, else the variable's, else the default, and
// the name of where it comes from.
func FlagOr(f *pflag.FlagSet, flag, variable, def string) (value, origin string) {
	if v := f.Lookup(flag).Value.String(); v != "" {
		return v, "--" + flag
	}
	if v := os.Getenv(variable); v != "" {
		return v, variable
	}
	return def, "--" + flag
}

// noFiles keeps the shell from offering files as values of flags.
func NoFiles(cmd *cobra.Command, flags ...string) {
	for _, name := range flags {
		cmd.RegisterFlagCompletionFunc(name, cobra.NoFileCompletions)
	}
}
