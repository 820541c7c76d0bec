package config

import (
	"fmt"
	"io"
	"strconv"
	"strings"

	"cowrelay/cmd/cowrelay/internal/command"
	"cowrelay/cmd/cowrelay/internal/plan"

	"github.com/spf13/cobra"
)

func NewCheckCommand(args []string) *cobra.Command {
	var l *Layers
	cmd := &cobra.Command{
		Use:   "check-config",
		Short: "Check file, environment and flags, print what would run",
		Long: `check-config reads the configuration as serve would, and prints what would run.
It lists everything that is wrong at once, and what others on the machine can
reach and need not.`,
		Example: "  cowrelay check-config --config cowrelay.toml",
		GroupID: command.GroupServe,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := l.Load()
			if err != nil {
				return err
			}
			files, err := plan.Files(c.MaxConns)
			if err != nil {
				return err
			}
			c.print(cmd.OutOrStdout(), files)
			for _, e := range c.Exposed() {
				fmt.Fprintf(cmd.ErrOrStderr(), "warning: %s\n", e)
			}
			return nil
		},
	}
	l = Bind(cmd, args)
	return cmd
}

// print shows what would run.
func (c *Config) print(w io.Writer, files plan.OpenFiles) {
	for _, s := range c.settings {
		v := s.Value
		switch s.Name {
		case "memory-budget":
			v = strconv.FormatInt(c.MemoryBudget, 10) + "B"
		case "request-budget":
			v = strconv.FormatInt(plan.SplitBudget(c.MemoryBudget, c.RequestBudget).Requests, 10) + "B"
		}
		fmt.Fprintf(w, "%s=%s\n", s.Name, v)
	}
	files.Print(w)
	fmt.Fprintln(w, "configuration ok")
}

func NewDefaultCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "default-config",
		Short: "Print a configuration file of all keys with their defaults",
		Long: `default-config prints a configuration file in TOML: every key with what it is
for and its default. Change what you need and give it to serve --config.`,
		Example: "  cowrelay default-config >cowrelay.toml",
		GroupID: command.GroupServe,
		Args:    cobra.NoArgs,
		Run: func(cmd *cobra.Command, _ []string) {
			w := cmd.OutOrStdout()
			fmt.Fprint(w, "# Configuration of cowrelay serve. A variable of the environment wins over what\n# stands here, a flag over both.\n")
			for _, s := range Settings() {
				fmt.Fprintf(w, "\n%s%s = %s\n", comment(s.Help), s.Name, tomlText(s))
			}
		},
	}
}

// comment breaks a text into lines of at most 80 bytes.
func comment(text string) string {
	var b strings.Builder
	line := "#"
	for _, word := range strings.Fields(text) {
		if len(line)+1+len(word) > 80 {
			b.WriteString(line + "\n")
			line = "#"
		}
		line += " " + word
	}
	return b.String() + line + "\n"
}

// tomlText writes a setting's default: numbers and switches as such, all else
// in quotes.
func tomlText(s Setting) string {
	if _, err := strconv.ParseInt(s.Value, 10, 64); err == nil || s.isSwitch() {
		return s.Value
	}
	return strconv.Quote(s.Value)
}
