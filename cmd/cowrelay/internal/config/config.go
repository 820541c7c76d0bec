package config

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"cowrelay/cmd/cowrelay/internal/command"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// layers reads a configuration: flags over environment over file over
// defaults. It can be read again, since the file may have changed.
type Layers struct {
	path   string                      // of the file, "" for none
	flags  map[string]string           // as given
	lookup func(string) (string, bool) // os.LookupEnv
	wrong  []error                     // what can't be read as a flag
}

// newLayers returns the layers of a program that was given no flag.
func NewLayers() *Layers { return &Layers{flags: make(map[string]string), lookup: os.LookupEnv} }

// bindFile gives a command the flag that names the configuration file.
func (l *Layers) BindFile(fs *pflag.FlagSet, help string) {
	fs.StringVar(&l.path, "config", "", help+" [COWRELAY_CONFIG]")
}

// bindSettings gives a command the flags of the settings. The layers hold what
// is given once the command runs; args are the whole command line.
func Bind(cmd *cobra.Command, args []string) *Layers {
	l := NewLayers()
	fs := cmd.Flags()
	fs.SortFlags = false
	l.BindFile(fs, "configuration file in TOML, as default-config prints it")
	for _, s := range Settings() {
		f := fs.VarPF(&given{l.flags, s}, s.Name, "", s.Help+" ["+s.Env()+"]")
		f.DefValue = s.Value
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
	Setting
}

func (g *given) String() string     { return g.values[g.Name] }
func (g *given) Set(v string) error { g.values[g.Name] = v; return nil }
func (g *given) Type() string {
	if g.isSwitch() {
		return "bool"
	}
	return "string"
}

func (s Setting) isSwitch() bool { return s.Value == "true" || s.Value == "false" }

// load reads all layers. Its error, a usageError, lists everything that is
// wrong.
func (l *Layers) Load() (*Config, error) {
	c := new(Config)
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
		value, origin := s.Value, "--"+s.Name
		if v, ok := file[s.Name]; ok {
			value, origin = v, path+": "+s.Name
		}
		if v, ok := l.lookup(s.Env()); ok {
			value, origin = v, s.Env()
		}
		if v, ok := l.flags[s.Name]; ok {
			value, origin = v, "--"+s.Name
		}
		if err := s.Set(value); err != nil {
			wrong = append(wrong, fmt.Errorf("%s: %q: %w", origin, value, err))
		}
		c.settings[i].Value = value
	}
	if len(wrong) == 0 && c.RequestBudget > c.MemoryBudget/2 {
		wrong = append(wrong, fmt.Errorf("--request-budget: it is more than half of --memory-budget, which is %d bytes", c.MemoryBudget))
	}
	if len(wrong) == 0 && c.Bind == c.Admin && !strings.HasSuffix(c.Bind, ":0") {
		wrong = append(wrong, fmt.Errorf("--bind and --admin: both are %s", c.Bind))
	}
	if len(wrong) > 0 {
		return nil, wrongConfiguration(wrong)
	}
	return c, nil
}

// defaults returns the configuration that nothing was given to.
func Defaults() (*Config, error) {
	return (&Layers{lookup: func(string) (string, bool) { return "", false }}).Load()
}

// settingChange is a setting that differs between two configurations.
type settingChange struct {
	Setting
	Old string
}

// keepFixed makes the settings of c that need a restart what they are in old, the
// configuration that runs, and returns what differs between the two as they were
// read.
func (c *Config) KeepFixed(old *Config) (changes []settingChange, err error) {
	for i, s := range c.settings {
		was := old.settings[i].Value
		if s.Value == was {
			continue
		}
		changes = append(changes, settingChange{s, was})
		if !s.Live {
			c.settings[i].Value = was
			if e := s.Set(was); e != nil { // it was right once
				err = errors.Join(err, fmt.Errorf("%s: %w", s.Name, e))
			}
		}
	}
	return changes, err
}

func (c *Config) names() []string {
	var names []string
	for _, s := range c.settings {
		names = append(names, s.Name)
	}
	return names
}

func wrongConfiguration(list []error) error {
	text := "wrong configuration:"
	for _, err := range list {
		text += "\n  " + err.Error()
	}
	return command.Usage(errors.New(text))
}
