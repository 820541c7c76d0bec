package root

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"cowrelay/cmd/cowrelay/internal/command"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// rawErrors are the words of Go's own packages, which nobody should have to know.
var rawErrors = []string{"strconv", "slog:", " time:", "invalid syntax", "invalid duration", "missing unit", " json:", "toml:", "parse error", "net/url", "missing ']'", "protocol scheme", "arg(s)", "pflag"}

// run runs a command to its end, and returns what it says on standard error.
func run(t *testing.T, args ...string) (string, int) {
	t.Helper()
	var out, errs bytes.Buffer
	code := Run("", args, strings.NewReader(""), &out, &errs)
	for _, word := range rawErrors {
		if strings.Contains(errs.String(), word) {
			t.Errorf("%q: people get to read %q: %s", args, word, errs.String())
		}
	}
	return errs.String(), code
}

// eachCommand calls do for all commands but those that cobra makes for itself.
func eachCommand(cmd *cobra.Command, do func(cmd *cobra.Command, path []string)) {
	for _, c := range cmd.Commands() {
		if c.IsAvailableCommand() || c.Name() == "help" {
			do(c, strings.Fields(c.CommandPath())[1:])
			eachCommand(c, do)
		}
	}
}

func testTree(t *testing.T) *cobra.Command {
	t.Setenv("HOME", t.TempDir())
	t.Setenv("XDG_CONFIG_HOME", t.TempDir())
	// Nobody listens there. With a slot at hand, commands come to look at their flags.
	t.Setenv("COWRELAY_RELAY", "http://127.0.0.1:1")
	t.Setenv("COWRELAY_ADMIN_URL", "http://127.0.0.1:1")
	t.Setenv("COWRELAY_SLOT", strings.Repeat("0", 32))
	t.Setenv("COWRELAY_TOKEN", strings.Repeat("1", 64))
	root := New("", nil)
	adaptBuiltIn(root)
	return root
}

// Every flag of every command says for a value that is none of its kind what was given
// and what it is.
func TestWrong_FlagValues(t *testing.T) {
	flags := 0
	eachCommand(testTree(t), func(cmd *cobra.Command, path []string) {
		cmd.InitDefaultHelpFlag()
		cmd.InheritedFlags() // merges them
		cmd.Flags().VisitAll(func(f *pflag.Flag) {
			values := map[string][]string{
				"int": {"x", "", "1.5", "0x", "99999999999999999999"}, "int64": {"x", "", "1.5", "99999999999999999999"},
				"duration": {"x", "", "5", "1 minute", "9999999999h"}, "bool": {"x", "", "perhaps"}, "stringSlice": {`a"b`},
			}[f.Value.Type()]
			switch f.Name {
			case "accept-loss", "join", "join-token-file", "leave-fleet":
				return // of serve alone, which is one that does not end
			}
			if cmd.Name() == "serve" || cmd.Name() == "check-config" {
				path, values = []string{"check-config"}, settingValues(f) // serve is one that does not end
			}
			for _, v := range values {
				flags++
				says, code := run(t, append(append([]string{}, path...), "--"+f.Name+"="+v)...)
				if want := fmt.Sprintf("--%s: %q: %s", f.Name, v, wantedBehind(f.Name)); code != command.Misused || !strings.Contains(says, want) {
					t.Errorf("%v: exit %d, want %q in: %s", path, code, want, says)
				}
			}
			if f.NoOptDefVal == "" {
				says, code := run(t, append(append([]string{}, path...), "--"+f.Name)...)
				if want := "--" + f.Name + ": its value is missing"; code != command.Misused || !strings.Contains(says, want) {
					t.Errorf("%v: exit %d, want %q in: %s", path, code, want, says)
				}
			}
		})
	})
	if flags < 200 {
		t.Errorf("tried %d values only", flags)
	}
}

// wantedBehind is how it goes on behind the value. What a list takes is said by item.
func wantedBehind(flag string) string {
	switch flag {
	case "rate-limits", "trusted-proxies", "client-address-header", "cors-origins", "acme-domain":
		return ""
	}
	return "it is "
}

// settingValues are values that a setting of serve refuses.
func settingValues(f *pflag.Flag) []string {
	switch f.Name {
	case "help":
		return nil
	case "config", "uds", "access-log-file", "data-dir", "admin-token-file", "nats-creds", "nats-ca", "nats-cert", "nats-key",
		"tls-cert", "tls-key", "acme-email", "acme-cache":
		return nil // any text may be the name of a file, or an address
	}
	if f.Name == "client-address-header" {
		return []string{"\x01 no such value"} // -1 is the name of a header
	}
	return []string{"\x01 no such value", "-1"}
}

// Numbers that a flag's kind has and the command does not take are refused too, and
// before anything is asked of a relay.
func TestWrong_FlagsOutOfRange(t *testing.T) {
	anyNumber := map[string]bool{"tail --lines": true}
	eachCommand(testTree(t), func(cmd *cobra.Command, path []string) {
		cmd.Flags().VisitAll(func(f *pflag.Flag) {
			value := map[string]string{"int": "-1", "int64": "-1", "duration": "-1s"}[f.Value.Type()]
			if value == "" || f.Hidden || anyNumber[strings.Join(path, " ")+" --"+f.Name] {
				return
			}
			args := append(append([]string{}, path...), "--"+f.Name+"="+value)
			// What these want beside.
			args = append(args, map[string][]string{"post": {"{}"}, "token new": {"--may=post"}, "token revoke": {"x"}, "backup": {"x"}}[strings.Join(path, " ")]...)
			says, code := run(t, args...)
			if want := fmt.Sprintf("--%s: %s: it is ", f.Name, value); code != command.Misused || !strings.Contains(says, want) {
				t.Errorf("%v: exit %d, want %q in: %s", path, code, want, says)
			}
		})
	})
}

// A URL that is none is refused before anything is asked.
func TestWrong_URLs(t *testing.T) {
	urls := 0
	eachCommand(testTree(t), func(cmd *cobra.Command, path []string) {
		if cmd.Name() == "serve" || cmd.Name() == "check-config" || cmd.RunE == nil || cmd.HasAvailableSubCommands() && cmd.Name() != "slots" {
			return // there --admin is an address
		}
		cmd.InheritedFlags() // merges them
		for _, flag := range []string{"relay", "admin", "url"} {
			if cmd.Flags().Lookup(flag) == nil {
				continue
			}
			for _, v := range []string{"http://[::1", "ftp://a.example", "http://a:b:c"} {
				urls++
				args := append(append([]string{}, path...), "--"+flag+"="+v)
				args = append(args, map[string][]string{
					"post": {"{}"}, "token new": {"--may=post"}, "token revoke": {"x"}, "slot rm": {"--yes"}, "export": {"--all"},
					"admin slot": {strings.Repeat("0", 32)}, "admin block": {strings.Repeat("0", 32)}, "admin unblock": {strings.Repeat("0", 32)}, "admin rm": {strings.Repeat("0", 32), "--yes"},
					"admin slots owner": {strings.Repeat("0", 32)}, "admin slots tokens": {strings.Repeat("0", 32)}, "admin slots revoke": {strings.Repeat("0", 32), strings.Repeat("0", 16)},
					"admin handles show": {"x"}, "admin handles unclaim": {"x", "--yes"}, "admin invites revoke": {strings.Repeat("0", 32)}, "admin purge": {"192.0.2.1"}, "admin drain": {"--yes"}, "admin fleet forget": {"x"},
				}[strings.Join(path, " ")]...)
				if says, code := run(t, args...); code != command.Misused || !strings.Contains(says, fmt.Sprintf("%q", v)) {
					t.Errorf("%v: exit %d: %s", args, code, says)
				}
			}
		}
	})
	if urls < 60 {
		t.Errorf("tried %d only", urls)
	}
}

// An argument that a command does not take is called that, and the name of a command
// that is not there is called that.
func TestWrong_Arguments(t *testing.T) {
	eachCommand(testTree(t), func(cmd *cobra.Command, path []string) {
		if cmd.Name() == "serve" {
			return // the same as check-config, and one that does not end
		}
		says, code := run(t, append(append([]string{}, path...), "zzzzzz")...)
		switch {
		case cmd.HasAvailableSubCommands() && cmd.Use == cmd.Name() || cmd.Name() == "help":
			if code != command.Misused || !strings.Contains(says, `unknown command "zzzzzz"`) {
				t.Errorf("%v: exit %d: %s", path, code, says)
			}
		case strings.Contains(says, "unknown command"):
			t.Errorf("%v: an argument is called a command: %s", path, says)
		case !strings.ContainsAny(cmd.Use, "[{.") && !strings.Contains(cmd.Use, " ") && (code != command.Misused || !strings.Contains(says, `unexpected argument "zzzzzz"`)):
			t.Errorf("%v: exit %d: %s", path, code, says)
		}
		if code == command.OK {
			t.Errorf("%v: exit 0", path)
		}
	})
}
