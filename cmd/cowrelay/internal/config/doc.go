// Package config is what serve runs with: the settings, and where they come from.
//
// Each setting is one line in settings.go, which the flags, the environment
// variables, the configuration file, the help, the manual and the commands
// check-config and default-config are all made from. To add one is to add that
// line, and a field of Config that it fills.
//
//	settings.go    the table
//	setting.go     what a line of it is
//	form.go        how a value is written in the file, and completed by a shell
//	values.go      how texts are read: addresses, sizes, times
//	memory.go      the two settings of memory, which look at the machine
//	admintoken.go  the file or variable of the admin token
//	file.go        the configuration file, in TOML
//	flags.go       the flags of a command
//	layers.go      flags over environment over file over defaults
//	exposed.go     what others on the machine can reach and need not
//	check.go, default.go  the commands check-config and default-config
//
// Nothing here stops at the first fault: an operator sees all of them at once.
package config
