package config

import (
	"errors"
	"fmt"
	"slices"

	"cowrelay/cmd/cowrelay/internal/command"
	"cowrelay/cmd/cowrelay/internal/wholefile"

	"github.com/BurntSushi/toml"
)

// FileBytes is the most bytes of a configuration file.
const FileBytes = 1 << 20

// fileValue is one value of the configuration file.
type fileValue struct {
	text  string // as the flag would take it
	place string // the file and the line
}

// readConfigFile reads a TOML file of one value a setting. A value may be
// written as TOML would have it (a number, a switch, a list of strings) or as
// the text that the flag takes.
func readConfigFile(path string, settings []Setting) (values map[string]fileValue, wrong []error) {
	values = make(map[string]fileValue)
	data, err := wholefile.Read(path, FileBytes)
	if err != nil {
		return values, []error{fmt.Errorf("cannot read the configuration file: %w", err)}
	}
	var raw map[string]toml.Primitive
	meta, err := toml.Decode(string(data), &raw)
	if fault := new(toml.ParseError); errors.As(err, fault) {
		return values, []error{fmt.Errorf("%s:%d:%d: %s", path, fault.Position.Line, fault.Position.Col, fault.Message)}
	} else if err != nil {
		return values, []error{fmt.Errorf("%s: %w", path, err)}
	}
	names := make([]string, len(settings))
	for i, s := range settings {
		names[i] = s.Name
	}
	for _, key := range meta.Keys() {
		if len(key) > 1 {
			continue // its table is named already
		}
		name := key[0]
		place := path + line(&meta, raw[name])
		i := slices.Index(names, name)
		if i < 0 {
			wrong = append(wrong, fmt.Errorf("%s: unknown key %q%s", place, name, command.DidYouMean(name, names, "")))
			continue
		}
		var v any
		err := meta.PrimitiveDecode(raw[name], &v)
		var text string
		if err == nil {
			text, err = settings[i].Form.text(v)
		}
		if err != nil {
			wrong = append(wrong, fmt.Errorf("%s: %s: %w", place, name, err))
			continue
		}
		values[name] = fileValue{text, place}
	}
	return values, wrong
}

// refuser is a value that nothing can be decoded into.
type refuser struct{}

var errRefused = errors.New("refused")

// UnmarshalTOML fails always.
func (*refuser) UnmarshalTOML(any) error { return errRefused }

// line is ":" and the line on which a key stands, or "". The library tells it in errors
// alone, so it gets a value that refuses what it is given.
func line(meta *toml.MetaData, key toml.Primitive) string {
	fault := new(toml.ParseError)
	if err := meta.PrimitiveDecode(key, new(refuser)); !errors.As(err, fault) || fault.Position.Line == 0 {
		return ""
	}
	return fmt.Sprintf(":%d", fault.Position.Line)
}
