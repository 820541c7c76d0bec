package root

import (
	"fmt"
	"strings"

	"cowrelay/cmd/cowrelay/internal/command"

	"github.com/spf13/cobra"
)

// adaptBuiltIn makes cobra's own commands, help and completion, and has them refuse
// what they don't know as ours do. completion writes to the output that root has now.
func adaptBuiltIn(root *cobra.Command) {
	root.InitDefaultHelpCmd()
	root.InitDefaultCompletionCmd()
	for _, c := range root.Commands() {
		switch c.Name() {
		case "help":
			c.Run, c.RunE = nil, runHelp
		case "completion":
			c.Args, c.RunE = command.NoArgs, func(cmd *cobra.Command, _ []string) error {
				return command.Usage(fmt.Errorf("for which shell?\n\n%s", cmd.UsageString()))
			}
			for _, shell := range c.Commands() {
				shell.Args = command.NoArgs
			}
		}
	}
}

// runHelp prints the help of a command.
func runHelp(cmd *cobra.Command, path []string) error {
	of, rest, err := cmd.Root().Find(path)
	if err != nil {
		return command.Usage(err)
	}
	if len(rest) > 0 && of.HasAvailableSubCommands() {
		return command.Usage(command.NoArgs(of, rest))
	}
	if len(rest) > 0 {
		return command.Usage(fmt.Errorf("there is no command %q: %s has none below it", strings.Join(path, " "), of.CommandPath()))
	}
	of.InitDefaultHelpFlag()
	of.InitDefaultVersionFlag()
	return of.Help()
}
