// Package command is what the commands of the program have in common: the exit
// statuses, the error of a command that was asked the wrong way, the groups of the
// help, and how flags and signals are read.
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

// Exit statuses of the program. Scripts rely on the difference: what ended with
// Failed may work later, what ended with Misused never will.
const (
	OK      = 0
	Failed  = 1 // the command could not do what it was asked for
	Misused = 2 // it was asked the wrong way: flags, arguments, configuration
)

// The groups of commands in the help.
const (
	GroupUse     = "use"
	GroupServe   = "serve"
	GroupOperate = "operate"
)

// usageError is the error of a command that was asked the wrong way. The program
// then ends with Misused, and names the help.
type usageError struct{ error }

// Unwrap returns the error that says what is wrong.
func (e usageError) Unwrap() error { return e.error }

// Usage makes err the error of a command that was asked the wrong way.
func Usage(err error) error { return usageError{err} }

// IsUsage says whether err is one of a command that was asked the wrong way.
func IsUsage(err error) bool { return errors.As(err, new(usageError)) }

// UntilInterrupted returns a context that SIGINT and SIGTERM end. It is for all
// commands but serve, which hears signals itself.
func UntilInterrupted(cmd *cobra.Command) (context.Context, context.CancelFunc) {
	return signal.NotifyContext(cmd.Context(), syscall.SIGINT, syscall.SIGTERM)
}

// Interrupted returns err, or a plain "interrupted" if a signal has ended ctx: what
// failed then failed because of it.
func Interrupted(ctx context.Context, err error) error {
	if err != nil && ctx.Err() != nil {
		return errors.New("interrupted")
	}
	return err
}

// FlagOr returns a flag's value, else the variable's, else the default. origin is
// the name of the flag or of the variable that gave it.
func FlagOr(f *pflag.FlagSet, flag, variable, def string) (value, origin string) {
	if v := f.Lookup(flag).Value.String(); v != "" {
		return v, "--" + flag
	}
	if v := os.Getenv(variable); v != "" {
		return v, variable
	}
	return def, "--" + flag
}

// NoFiles keeps the shell from offering files as values of flags.
func NoFiles(cmd *cobra.Command, flags ...string) {
	for _, name := range flags {
		cmd.RegisterFlagCompletionFunc(name, cobra.NoFileCompletions)
	}
}
