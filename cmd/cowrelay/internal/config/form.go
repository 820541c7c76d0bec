package config

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
)

// form is how the value of a setting is written. The configuration file and the
// completion of shells go by it. Whether the value is right is for Set to say.
type form struct {
	file     string   // what it is in the configuration file
	also     string   // which kind of TOML it may be besides a text: number, part, switch, list or ""
	choices  []string // all values, if they are few
	complete func(*cobra.Command, string)
}

var (
	aText   = form{file: "a text in quotes"}
	aTime   = form{file: `a time in quotes, such as "10s"`}
	aSize   = form{file: `a size in quotes, such as "256MiB", or a whole number of bytes`, also: "number"}
	aNumber = form{file: "a whole number", also: "number"}
	aSwitch = form{file: "true or false", also: "switch", choices: []string{"true", "false"}}
	aList   = form{file: "a list of texts in quotes, or one text with commas between", also: "list"}
	aFile   = form{file: "the name of a file, in quotes", complete: func(*cobra.Command, string) {}} // shells offer files by themselves
	aFolder = form{file: "the name of a folder, in quotes", complete: func(cmd *cobra.Command, name string) { cmd.MarkFlagDirname(name) }}
)

// oneOf is the form of a setting with few values.
func oneOf(choices ...string) form {
	last := len(choices) - 1
	return form{file: strings.Join(choices[:last], ", ") + " or " + choices[last] + ", in quotes", choices: choices}
}

// text is a TOML value as a flag would take it.
func (f form) text(v any) (string, error) {
	given := "a table"
	switch v := v.(type) {
	case string:
		return v, nil
	case int64:
		if f.also == "number" || f.also == "part" {
			return fmt.Sprint(v), nil
		}
		given = fmt.Sprintf("the number %d", v)
	case float64:
		if f.also == "part" {
			return strconv.FormatFloat(v, 'f', -1, 64), nil
		}
		given = fmt.Sprintf("the number %v", v)
	case bool:
		if f.also == "switch" {
			return fmt.Sprint(v), nil
		}
		given = fmt.Sprint(v)
	case time.Time:
		given = "a date or a time of day"
	case []any:
		given = "a list"
		if f.also != "list" {
			break
		}
		list := make([]string, len(v))
		for i, item := range v {
			text, ok := item.(string)
			if !ok {
				return "", errors.New("it is a list of texts in quotes, and one of these is none")
			}
			list[i] = text
		}
		return strings.Join(list, ","), nil
	}
	return "", fmt.Errorf("it is %s, not %s", f.file, given)
}

// offer has shells offer the values of a flag, and files only where it names one.
func (f form) offer(cmd *cobra.Command, flag string) {
	switch {
	case f.complete != nil:
		f.complete(cmd, flag)
	case f.choices != nil:
		cmd.RegisterFlagCompletionFunc(flag, cobra.FixedCompletions(slices.Clone(f.choices), cobra.ShellCompDirectiveNoFileComp))
	default:
		cmd.RegisterFlagCompletionFunc(flag, cobra.NoFileCompletions)
	}
}
