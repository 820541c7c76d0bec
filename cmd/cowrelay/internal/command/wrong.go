package command

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/agext/levenshtein"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// NoArgs refuses arguments. For a command that has others below it, such an argument
// is the name of one that is not there.
func NoArgs(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	if !cmd.HasAvailableSubCommands() {
		return fmt.Errorf("unexpected argument %q: %s takes none", args[0], cmd.CommandPath())
	}
	var names []string
	for _, c := range cmd.Commands() {
		if c.IsAvailableCommand() {
			names = append(names, c.Name())
		}
	}
	if near := Nearest(args[0], names); near != "" {
		return fmt.Errorf("unknown command %q; did you mean %s?", args[0], near)
	}
	return fmt.Errorf("unknown command %q: it is one of %s", args[0], strings.Join(names, ", "))
}

// FlagError puts into words what is wrong with a flag: what was given, and what is
// wanted. It takes the errors of pflag.
func FlagError(cmd *cobra.Command, err error) error {
	var unknown *pflag.NotExistError
	var missing *pflag.ValueRequiredError
	var invalid *pflag.InvalidValueError
	var syntax *pflag.InvalidSyntaxError
	switch {
	case errors.As(err, &unknown):
		// A command that is not there does not know its flags.
		if before := cmd.Flags().Args(); cmd.HasAvailableSubCommands() && len(before) > 0 {
			return NoArgs(cmd, before)
		}
		if unknown.GetSpecifiedShortnames() != "" {
			return fmt.Errorf("unknown flag %q", "-"+unknown.GetSpecifiedName())
		}
		var names []string
		cmd.Flags().VisitAll(func(f *pflag.Flag) {
			if !f.Hidden {
				names = append(names, f.Name)
			}
		})
		return fmt.Errorf("unknown flag %q%s", "--"+unknown.GetSpecifiedName(), DidYouMean(unknown.GetSpecifiedName(), names, "--"))
	case errors.As(err, &missing):
		if what := wanted(missing.GetFlag()); what != "" {
			return fmt.Errorf("--%s: its value is missing: it is %s", missing.GetFlag().Name, what)
		}
		return fmt.Errorf("--%s: its value is missing", missing.GetFlag().Name)
	case errors.As(err, &invalid):
		what := wanted(invalid.GetFlag())
		switch {
		case errors.Is(err, strconv.ErrRange):
			what += " of at most 18 digits"
		case what == "":
			what = strings.TrimPrefix(invalid.Unwrap().Error(), "it is ")
		}
		return fmt.Errorf("--%s: %q: it is %s", invalid.GetFlag().Name, invalid.GetValue(), what)
	case errors.As(err, &syntax):
		return fmt.Errorf("%q is no flag", syntax.GetSpecifiedFlag())
	}
	return err
}

// WrongValue is the error of a flag whose value is one of its kind, but not one that the
// command takes. what says which it takes.
func WrongValue(cmd *cobra.Command, flag, what string) error {
	return Usage(fmt.Errorf("--%s: %s: it is %s", flag, cmd.Flags().Lookup(flag).Value, what))
}

// wanted says what the value of a flag is, or "" if it may be any text.
func wanted(f *pflag.Flag) string {
	switch f.Value.Type() {
	case "int", "int64", "uint", "uint64":
		return "a whole number"
	case "duration":
		return "a time such as 10s or 500ms"
	case "bool":
		return "true or false"
	case "stringSlice":
		return "a list with commas between"
	}
	return ""
}

// DidYouMean ends an error about an unknown name: with the known one that is near, if
// there is one. prefix stands before names where people write them.
func DidYouMean(name string, names []string, prefix string) string {
	if near := Nearest(name, names); near != "" {
		return fmt.Sprintf("; did you mean %s%s?", prefix, near)
	}
	return ""
}

// Nearest returns the name that may have been meant, or "": the one that begins so, or
// else one with a letter or two that differ.
func Nearest(name string, names []string) string {
	plain := func(s string) string { return strings.ReplaceAll(strings.ToLower(s), "_", "-") }
	name = plain(name)
	var begin []string
	best, least := "", min(3, len(name)) // all letters wrong is not near
	for _, n := range names {
		known := plain(n)
		if len(name) >= 3 && strings.HasPrefix(known, name) {
			begin = append(begin, n)
		}
		d := levenshtein.Distance(name, known, nil)
		if d < least && (d < 2 || name[0] == known[0]) {
			best, least = n, d
		}
	}
	if len(begin) == 1 {
		return begin[0]
	}
	return best
}
