// Package root joins the commands into one program. The binary runs it, and the
// man pages and the manual's tests read it.
package root

import (
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"cowrelay/cmd/cowrelay/internal/backup"
	"cowrelay/cmd/cowrelay/internal/command"
	"cowrelay/cmd/cowrelay/internal/config"
	"cowrelay/cmd/cowrelay/internal/doctor"
	"cowrelay/cmd/cowrelay/internal/offline"
	"cowrelay/cmd/cowrelay/internal/operate"
	"cowrelay/cmd/cowrelay/internal/serve"
	"cowrelay/cmd/cowrelay/internal/term"
	"cowrelay/cmd/cowrelay/internal/use"

	"github.com/spf13/cobra"
)

// New returns the tree of commands. Help, completion, man pages and the manual's
// tests are made from it. release is the version, "" for a build that is no release; args
// are the command line, which serve and check-config look at as a whole.
func New(release string, args []string) *cobra.Command {
	root := &cobra.Command{
		Use:   "cowrelay",
		Short: "HTTP mailbox relay for AI agents",
		Long: `cowrelay is an HTTP mailbox relay for AI agents. They allocate slots, post JSON
events to them, pull pages of them, and stream them.

Every flag of serve is an environment variable too: --data-dir is COWRELAY_DATA_DIR.
A flag wins over its variable, a variable over the file.`,
		Version:       versionText(release),
		SilenceErrors: true,
		SilenceUsage:  true,
		Args:          command.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return command.Usage(errors.New("which command?\n\n" + cmd.UsageString()))
		},
	}
	root.SetVersionTemplate(versionLine(release) + "\n")
	root.SetFlagErrorFunc(command.FlagError)
	// Long lines of help are wrapped at 100 columns.
	root.SetUsageTemplate(strings.ReplaceAll(root.UsageTemplate(), "FlagUsages ", "FlagUsagesWrapped 100 "))
	root.AddGroup(&cobra.Group{ID: command.GroupUse, Title: "Use a relay:"}, &cobra.Group{ID: command.GroupServe, Title: "Run a relay:"}, &cobra.Group{ID: command.GroupOperate, Title: "Look after a relay:"})
	root.AddCommand(
		use.NewSlotCommand(),
		use.NewPostCommand(),
		use.NewPullCommand(),
		use.NewTailCommand(),
		use.NewTokenCommand(),
		use.NewPingCommand(),
		serve.NewCommand(args),
		operate.NewHealthCommand(),
		config.NewCheckCommand(args),
		config.NewDefaultCommand(),
		newVersionCommand(release),
		operate.NewAdminCommand(),
		operate.NewTopCommand(),
		operate.NewHandoverCommand(),
		doctor.NewCommand(),
		offline.NewVerifyCommand(),
		offline.NewExportCommand(),
		offline.NewImportCommand(),
		backup.NewCommand(),
		backup.NewRestoreCommand(),
	)
	return root
}

// Run executes one command of the given release and returns the exit status. An
// error is printed once, here, and not by the commands: with the command's name in
// front, and nothing in it that could steer a terminal.
func Run(release string, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	root := New(release, args)
	root.SetArgs(args)
	root.SetIn(stdin)
	out := term.NewOutput(stdout)
	root.SetOut(out)
	root.SetErr(stderr)
	adaptBuiltIn(root)
	// cobra calls PersistentPreRunE when flags and arguments are right. What fails
	// before that was asked the wrong way.
	running := false
	root.PersistentPreRunE = func(cmd *cobra.Command, _ []string) error {
		running = true
		return checkVariables(cmd)
	}
	cmd, err := root.ExecuteC()
	name := cmd.CommandPath()
	unsaid := out.Close() // why some of the output was not written
	if err == nil && unsaid == nil {
		return command.OK
	}
	if unsaid != nil {
		running = true // a full disk is no fault of the command line
		if !errors.Is(err, unsaid) {
			err = errors.Join(err, unsaid)
		}
	}
	fmt.Fprintf(stderr, "%s: %s\n", name, term.Shown(err.Error()))
	if !running || command.IsUsage(err) {
		if cmd != root {
			fmt.Fprintf(stderr, "See: %s --help\n", name)
		}
		return command.Misused
	}
	return command.Failed
}

// checkVariables refuses an environment with a mistyped variable, before a command does
// something else than was meant. Commands that read the configuration list it among their
// other faults, and some read no variables.
func checkVariables(cmd *cobra.Command) error {
	path := strings.Fields(cmd.CommandPath())
	if len(path) < 2 || slices.Contains([]string{"serve", "check-config", "health", "default-config", "version", "help", "completion"}, path[1]) {
		return nil
	}
	if wrong, _ := command.UnknownVariables(os.Environ(), config.Variables()); len(wrong) > 0 {
		return command.Usage(errors.Join(wrong...))
	}
	return nil
}
