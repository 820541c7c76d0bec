package config

import (
	"fmt"
	"strconv"
	"strings"

	"cowrelay/cmd/cowrelay/internal/command"

	"github.com/spf13/cobra"
)

// NewDefaultCommand returns the command default-config.
func NewDefaultCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "default-config",
		Short: "Print a configuration file of all keys with their defaults",
		Long: `default-config prints a configuration file in TOML: every key with its default and
what it is for. Change what you need and give it to serve --config.`,
		Example: "  cowrelay default-config >cowrelay.toml",
		GroupID: command.GroupServe,
		Args:    command.NoArgs,
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
