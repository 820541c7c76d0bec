package main

import (
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
)

func newCheckConfigCommand(args []string) *cobra.Command {
	var l *layers
	cmd := &cobra.Command{
		Use:   "check-config",
		Short: "Check file, environment and flags, print what would run",
		Long: `check-config reads the configuration as serve would, and prints what would run.
It lists everything that is wrong at once, and what others on the machine can
reach and need not.`,
		Example: "  cowrelay check-config --config cowrelay.toml",
		GroupID: groupServe,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := l.load()
			if err != nil {
				return err
			}
			files, err := planFiles(c.maxConns)
			if err != nil {
				return err
			}
			c.print(cmd.OutOrStdout(), files)
			for _, e := range c.exposed() {
				fmt.Fprintf(cmd.ErrOrStderr(), "warning: %s\n", e)
			}
			return nil
		},
	}
	l = bindSettings(cmd, args)
	return cmd
}

// print shows what would run.
func (c *config) print(w io.Writer, files openFiles) {
	for _, s := range c.settings {
		v := s.value
		switch s.name {
		case "memory-budget":
			v = strconv.FormatInt(c.budget, 10) + "B"
		case "request-budget":
			v = strconv.FormatInt(splitBudget(c.budget, c.requests).requests, 10) + "B"
		}
		fmt.Fprintf(w, "%s=%s\n", s.name, v)
	}
	files.print(w)
	fmt.Fprintln(w, "configuration ok")
}

func newDefaultConfigCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "default-config",
		Short: "Print a configuration file of all keys with their defaults",
		Long: `default-config prints a configuration file in TOML: every key with what it is
for and its default. Change what you need and give it to serve --config.`,
		Example: "  cowrelay default-config >cowrelay.toml",
		GroupID: groupServe,
		Args:    cobra.NoArgs,
		Run: func(cmd *cobra.Command, _ []string) {
			w := cmd.OutOrStdout()
			fmt.Fprint(w, "# Configuration of cowrelay serve. A variable of the environment wins over what\n# stands here, a flag over both.\n")
			for _, s := range new(config).table() {
				fmt.Fprintf(w, "\n%s%s = %s\n", comment(s.help), s.name, tomlText(s))
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
func tomlText(s setting) string {
	if _, err := strconv.ParseInt(s.value, 10, 64); err == nil || s.isSwitch() {
		return s.value
	}
	return strconv.Quote(s.value)
}
