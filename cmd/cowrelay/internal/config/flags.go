package config

import (
	"fmt"
	"strings"

	"cowrelay/cmd/cowrelay/internal/command"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// BindFile gives a command the flag that names the configuration file.
func (l *Layers) BindFile(fs *pflag.FlagSet, help string) {
	fs.StringVar(&l.path, "config", "", help+" [COWRELAY_CONFIG]")
}

// Bind gives a command the flags of the settings. Once the command runs, the layers
// hold what was given. args are the whole command line.
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
		s.Form.offer(cmd, s.Name)
	}
	// Parsing would stop at the first flag that is unknown. It goes on, and
	// unknownFlags then names them all.
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

// unknownFlags returns an error for each argument that looks like a flag and is
// not one of the command.
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
			wrong = append(wrong, fmt.Errorf("unknown flag %q%s", args[i], command.DidYouMean(name, names, "--")))
		}
	}
	return wrong
}

// given is the value of a flag, as pflag sets it. It only keeps the text: Load
// reads it, and names what is wrong with it together with all other faults.
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
