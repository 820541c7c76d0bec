package config

import "strings"

// Setting is one flag, with its environment variable and its key of the
// configuration file. In the table its value is the default; Config keeps a copy
// with the value that was read.
type Setting struct {
	Name, Value, Help string
	Form              form
	Set               func(string) error // fills the field of the Config that the table was made for
	Live              bool               // SIGHUP may change it
}

const live, fixed = true, false

// Env is the name of the setting's environment variable.
func (s Setting) Env() string {
	return "COWRELAY_" + strings.ToUpper(strings.ReplaceAll(s.Name, "-", "_"))
}

// isSwitch says whether the setting is true or false: such a flag needs no value.
func (s Setting) isSwitch() bool { return s.Form.also == aSwitch.also }

// Shown is the value as people may see it: without a password that is a part of it.
func (s Setting) Shown() string { return s.shown(s.Value) }

func (s Setting) shown(value string) string {
	if s.Name == "nats-url" || s.Name == "nats-monitor" {
		return hidden(value)
	}
	return value
}
