// Command cowrelay is the mailbox relay: it joins the slots of package cow, the
// store in cow/pebblelog and the routes of package fasthttp. Its other commands
// use a relay, watch one, or read a stopped one's store.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/spf13/cobra"
)

// Exit statuses.
const (
	exitOK     = 0
	exitFailed = 1 // could not run
	exitUsage  = 2 // was asked the wrong way
)

func main() { os.Exit(run(os.Args[1:], os.Stdin, os.Stdout, os.Stderr)) }

// newRoot returns the tree of commands. Help, completion and man pages are
// made from it. args are the command line.
func newRoot(args []string) *cobra.Command {
	root := &cobra.Command{
		Use:   "cowrelay",
		Short: "HTTP mailbox relay for AI agents",
		Long: `cowrelay is an HTTP mailbox relay for AI agents: they allocate slots, post JSON
events to them, pull pages of them, and stream them.

Every flag of serve can be given as an environment variable: --data-dir is
COWRELAY_DATA_DIR. A flag wins over its variable, a variable over the file.`,
		Version:       versionText(),
		SilenceErrors: true,
		SilenceUsage:  true,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return usageError{errors.New("which command?\n\n" + cmd.UsageString())}
		},
	}
	root.SetVersionTemplate(versionLine() + "\n")
	root.SetUsageTemplate(strings.ReplaceAll(root.UsageTemplate(), "FlagUsages ", "FlagUsagesWrapped 100 "))
	root.AddGroup(&cobra.Group{ID: groupUse, Title: "Use a relay:"}, &cobra.Group{ID: groupServe, Title: "Run a relay:"}, &cobra.Group{ID: groupOperate, Title: "Look after a relay:"})
	root.AddCommand(
		newSlotCommand(),
		newPostCommand(),
		newPullCommand(),
		newTailCommand(),
		newServeCommand(args),
		newHealthCommand(),
		newCheckConfigCommand(args),
		newDefaultConfigCommand(),
		newManCommand(),
		newVersionCommand(),
		newAdminCommand(),
		newTopCommand(),
		newVerifyCommand(),
		newExportCommand(),
	)
	return root
}

// The groups of commands in the help.
const (
	groupUse     = "use"
	groupServe   = "serve"
	groupOperate = "operate"
)

// run executes one command and returns the exit status.
func run(args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	root := newRoot(args)
	root.SetArgs(args)
	root.SetIn(stdin)
	out := newOutput(stdout)
	root.SetOut(out)
	root.SetErr(stderr)
	// What fails before a command runs was asked the wrong way.
	running := false
	root.PersistentPreRun = func(*cobra.Command, []string) { running = true }
	cmd, err := root.ExecuteC()
	name := cmd.CommandPath()
	unsaid := out.close()
	if err == nil && unsaid == nil {
		return exitOK
	}
	if unsaid != nil {
		running = true // it was asked the right way
		if !errors.Is(err, unsaid) {
			err = errors.Join(err, unsaid)
		}
	}
	fmt.Fprintf(stderr, "%s: %s\n", name, shown(err.Error()))
	if wrong := new(usageError); !running || errors.As(err, wrong) {
		if cmd != root {
			fmt.Fprintf(stderr, "See: %s --help\n", name)
		}
		return exitUsage
	}
	return exitFailed
}

// usageError is the error of a command that was asked the wrong way.
type usageError struct{ error }

// untilInterrupted returns a context that SIGINT and SIGTERM end, for commands
// other than serve.
func untilInterrupted(cmd *cobra.Command) (context.Context, context.CancelFunc) {
	return signal.NotifyContext(cmd.Context(), syscall.SIGINT, syscall.SIGTERM)
}
