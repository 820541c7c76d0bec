package config

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"cowrelay/cmd/cowrelay/internal/command"
	"cowrelay/cmd/cowrelay/internal/wholefile"

	"github.com/BurntSushi/toml"
)

// readConfigFile reads a TOML file of one value a setting. A value may be
// written as TOML would have it (a number, a switch, a list of strings) or as
// the text that the flag takes.
func readConfigFile(path string, names []string) (values map[string]string, wrong []error) {
	values = make(map[string]string)
	data, err := wholefile.Read(path, FileBytes)
	if err != nil {
		return values, []error{fmt.Errorf("cannot read the configuration file: %w", err)}
	}
	var raw map[string]any
	meta, err := toml.Decode(string(data), &raw)
	if fault := new(toml.ParseError); errors.As(err, fault) {
		return values, []error{fmt.Errorf("%s:%d:%d: %s", path, fault.Position.Line, fault.Position.Col, fault.Message)}
	} else if err != nil {
		return values, []error{fmt.Errorf("%s: %w", path, err)}
	}
	for _, key := range meta.Keys() {
		name := key.String()
		if len(key) > 1 {
			continue // its table is named already
		}
		if !slices.Contains(names, name) {
			wrong = append(wrong, fmt.Errorf("%s: unknown key %q%s", path, name, command.DidYouMean(name, names, "")))
			continue
		}
		text, err := settingText(raw[name])
		if err != nil {
			wrong = append(wrong, fmt.Errorf("%s: %s: %w", path, name, err))
			continue
		}
		values[name] = text
	}
	return values, wrong
}

// FileBytes is the most bytes of a configuration file.
const FileBytes = 1 << 20

// settingText is a TOML value as a flag would take it.
func settingText(v any) (string, error) {
	switch v := v.(type) {
	case string:
		return v, nil
	case bool, int64:
		return fmt.Sprint(v), nil
	case []any:
		list := make([]string, len(v))
		for i, item := range v {
			text, ok := item.(string)
			if !ok {
				return "", errors.New("it is a list of texts in quotes")
			}
			list[i] = text
		}
		return strings.Join(list, ","), nil
	}
	return "", errors.New("it is a text in quotes, a whole number, true, false, or a list of texts")
}
