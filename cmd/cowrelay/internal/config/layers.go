package config

import (
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
	"strings"

	"cowrelay/cmd/cowrelay/internal/command"
)

// Layers is where a configuration comes from. Each layer wins over those below it:
//
//	flags         read once, when the command starts
//	environment
//	file          read at each Load: it may have changed
//	defaults
//
// NewLayers or Bind makes it. Load may be called again, from any goroutine, but
// not from two at once.
type Layers struct {
	path   string                      // of the file, "" for none
	flags  map[string]string           // as given
	lookup func(string) (string, bool) // os.LookupEnv
	all    func() []string             // os.Environ
	wrong  []error                     // arguments that are not flags of the command
}

// NewLayers returns the layers of a program that was given no flag.
func NewLayers() *Layers {
	return &Layers{flags: make(map[string]string), lookup: os.LookupEnv, all: os.Environ}
}

// Load reads all layers. Its error, one of usage, lists everything that is wrong.
func (l *Layers) Load() (*Config, error) {
	c := new(Config)
	c.settings = c.table()
	wrong := slices.Clone(l.wrong)
	path := l.path
	if v, ok := l.lookup(command.ConfigVariable); ok && path == "" {
		path = v
	}
	var unknown []error
	unknown, c.unread = command.UnknownVariables(l.all(), c.variables())
	wrong = append(wrong, unknown...)
	file := make(map[string]fileValue)
	if path != "" {
		var faults []error
		file, faults = readConfigFile(path, c.settings)
		wrong = append(wrong, faults...)
	}
	for i, s := range c.settings {
		value, origin, fault := s.Value, "default", "--"+s.Name // fault: where it is wrong
		if v, ok := file[s.Name]; ok {
			value, origin, fault = v.text, v.place, v.place+": "+s.Name
		}
		if v, ok := l.lookup(s.Env()); ok {
			value, origin, fault = v, s.Env(), s.Env()
		}
		if v, ok := l.flags[s.Name]; ok {
			value, origin, fault = v, "--"+s.Name, "--"+s.Name
		}
		if err := s.Set(value); err != nil && s.Name == "admin-token-file" && value == "" {
			wrong = append(wrong, fmt.Errorf("%s: %w", AdminTokenVariable, err))
		} else if err != nil {
			wrong = append(wrong, fmt.Errorf("%s: %q: %w", fault, s.shown(value), err))
		}
		c.settings[i].Value = value
		c.origins = append(c.origins, origin)
	}
	if len(wrong) == 0 {
		if err := c.shareMemory(); err != nil {
			wrong = append(wrong, err)
		}
	}
	if len(wrong) == 0 && c.RequestBudget > c.MemoryBudget/2 {
		wrong = append(wrong, fmt.Errorf("--request-budget (%s): it is more than half of --memory-budget, which is %d bytes", c.origin("request-budget"), c.MemoryBudget))
	}
	if c.EphemeralTTL > 0 && c.EventTTL > 0 && c.EphemeralTTL >= c.EventTTL {
		wrong = append(wrong, fmt.Errorf("--ephemeral-ttl (%s): it is not less than --event-ttl (%s), so it would change nothing", c.origin("ephemeral-ttl"), c.origin("event-ttl")))
	}
	if len(wrong) == 0 {
		wrong = append(c.wrongListeners(), c.wrongJournal()...)
	}
	if len(wrong) > 0 {
		return nil, wrongConfiguration(wrong)
	}
	return c, nil
}

// wrongListeners is what is wrong with the listeners as a whole.
func (c *Config) wrongListeners() (wrong []error) {
	if len(c.Binds) == 0 && c.UDS == "" {
		wrong = append(wrong, errors.New("--bind and --uds: both are empty, so no client could connect"))
	}
	for _, l := range c.Binds {
		if l.Address == c.Admin && !strings.HasSuffix(l.Address, ":0") {
			wrong = append(wrong, fmt.Errorf("--bind and --admin: both are %s (%s, %s)", l.Address, c.origin("bind"), c.origin("admin")))
		}
		host, _, _ := net.SplitHostPort(l.Address)
		// What a name stands for is looked at when the relay listens on it.
		if ip := net.ParseIP(host); c.LocalOnly && (host == "" || ip != nil && !ip.IsLoopback()) {
			wrong = append(wrong, fmt.Errorf("%w (%s)", PublicBind(l.Address), c.origin("bind")))
		}
	}
	return append(wrong, c.settleTLS()...)
}

// PublicBind is the fault of an address that others can reach, in local-only mode.
func PublicBind(address string) error {
	return fmt.Errorf("--bind: others can reach %s, and --local-only serves this machine alone: choose 127.0.0.1 or [::1]", address)
}

// Defaults returns the configuration of a relay that was given nothing.
func Defaults() (*Config, error) {
	return (&Layers{lookup: func(string) (string, bool) { return "", false }, all: func() []string { return nil }}).Load()
}

// settingChange is a setting that differs between two configurations. Its value is
// the new one.
type settingChange struct {
	Setting
	Old string
}

// OldShown is the old value as people may see it.
func (c settingChange) OldShown() string { return c.shown(c.Old) }

// KeepFixed compares c with old, the configuration that runs, and returns what
// differs. Settings that need a restart become in c what they are in old, so that
// c says what will run.
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

// origin is where the value of a setting is from.
func (c *Config) origin(name string) string {
	return c.origins[slices.IndexFunc(c.settings, func(s Setting) bool { return s.Name == name })]
}

// variables returns the names of the settings' variables.
func (c *Config) variables() []string {
	var names []string
	for _, s := range c.settings {
		names = append(names, s.Env())
	}
	return names
}

// Variables returns the names of the settings' variables.
func Variables() []string { return (&Config{settings: Settings()}).variables() }

// Unread returns the variables of the environment that look like ours, and that nothing
// reads.
func (c *Config) Unread() []string { return c.unread }

func wrongConfiguration(list []error) error {
	text := "wrong configuration:"
	for _, err := range list {
		text += "\n  " + err.Error()
	}
	return command.Usage(errors.New(text))
}
