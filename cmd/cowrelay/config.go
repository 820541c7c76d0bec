package main

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// layers reads a configuration: flags over environment over file over
// defaults. It can be read again, since the file may have changed.
type layers struct {
	path   string                      // of the file, "" for none
	flags  map[string]string           // as given
	lookup func(string) (string, bool) // os.LookupEnv
	wrong  []error                     // what can't be read as a flag
}

// bindSettings gives a command the flags of the settings. The layers hold what
// is given once the command runs; args are the whole command line.
func bindSettings(cmd *cobra.Command, args []string) *layers {
	l := &layers{flags: make(map[string]string), lookup: os.LookupEnv}
	fs := cmd.Flags()
	fs.SortFlags = false
	fs.StringVar(&l.path, "config", "", "configuration file in TOML, as default-config prints it [COWRELAY_CONFIG]")
	for _, s := range new(config).table() {
		f := fs.VarPF(&given{l.flags, s}, s.name, "", s.help+" ["+s.env()+"]")
		f.DefValue = s.value
		if s.isSwitch() {
			f.NoOptDefVal = "true"
		}
	}
	// Parsing would stop at the first fault; go on, to name them all.
	cmd.FParseErrWhitelist.UnknownFlags = true
	cmd.Args = func(_ *cobra.Command, rest []string) error {
		l.wrong = unknownFlags(fs, args)
		for _, arg := range rest {
			l.wrong = append(l.wrong, fmt.Errorf("unexpected argument %q", arg))
		}
		return nil
	}
	return l
}

// unknownFlags names what looks like a flag and is none.
func unknownFlags(fs *pflag.FlagSet, args []string) (wrong []error) {
	var names []string
	fs.VisitAll(func(f *pflag.Flag) { names = append(names, f.Name) })
	for i := 0; i < len(args) && args[i] != "--"; i++ {
		long := strings.HasPrefix(args[i], "--")
		name, _, valued := strings.Cut(strings.TrimLeft(args[i], "-"), "=")
		f := fs.Lookup(name)
		switch {
		case long && f != nil:
			if !valued && f.NoOptDefVal == "" {
				i++ // its value may look like a flag
			}
		case long || len(args[i]) > 1 && args[i][0] == '-' && name != "h":
			wrong = append(wrong, fmt.Errorf("unknown flag %q%s", args[i], nearest(name, names, "--")))
		}
	}
	return wrong
}

// given is a flag's value, kept as it was given: what is wrong with it is told
// together with all else that is.
type given struct {
	values map[string]string
	setting
}

func (g *given) String() string     { return g.values[g.name] }
func (g *given) Set(v string) error { g.values[g.name] = v; return nil }
func (g *given) Type() string {
	if g.isSwitch() {
		return "bool"
	}
	return "string"
}

func (s setting) isSwitch() bool { return s.value == "true" || s.value == "false" }

// load reads all layers. Its error, a usageError, lists everything that is
// wrong.
func (l *layers) load() (*config, error) {
	c := new(config)
	c.settings = c.table()
	wrong := slices.Clone(l.wrong)
	path := l.path
	if v, ok := l.lookup("COWRELAY_CONFIG"); ok && path == "" {
		path = v
	}
	file := make(map[string]string)
	if path != "" {
		var faults []error
		file, faults = readConfigFile(path, c.names())
		wrong = append(wrong, faults...)
	}
	for i, s := range c.settings {
		value, origin := s.value, "--"+s.name
		if v, ok := file[s.name]; ok {
			value, origin = v, path+": "+s.name
		}
		if v, ok := l.lookup(s.env()); ok {
			value, origin = v, s.env()
		}
		if v, ok := l.flags[s.name]; ok {
			value, origin = v, "--"+s.name
		}
		if err := s.set(value); err != nil {
			wrong = append(wrong, fmt.Errorf("%s: %q: %w", origin, value, err))
		}
		c.settings[i].value = value
	}
	if len(wrong) == 0 && c.requests > c.budget/2 {
		wrong = append(wrong, fmt.Errorf("--request-budget: it is more than half of --memory-budget, which is %d bytes", c.budget))
	}
	if len(wrong) == 0 && c.bind == c.admin && !strings.HasSuffix(c.bind, ":0") {
		wrong = append(wrong, fmt.Errorf("--bind and --admin: both are %s", c.bind))
	}
	if len(wrong) > 0 {
		return nil, wrongConfiguration(wrong)
	}
	return c, nil
}

func (c *config) names() []string {
	var names []string
	for _, s := range c.settings {
		names = append(names, s.name)
	}
	return names
}

func wrongConfiguration(list []error) error {
	text := "wrong configuration:"
	for _, err := range list {
		text += "\n  " + err.Error()
	}
	return usageError{errors.New(text)}
}
