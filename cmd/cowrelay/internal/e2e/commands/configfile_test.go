package commands

import (
	"strings"
	"testing"

	"cowrelay/cmd/cowrelay/internal/config"
	"cowrelay/cmd/cowrelay/internal/relaytest"
)

// What default-config prints is a configuration: the default one, of all keys.
func TestConfig_DefaultIsWhatRunsWithout(t *testing.T) {
	text, errs, code := relaytest.Command(t, nil, "default-config")
	if code != 0 || errs != "" {
		t.Fatalf("exit %d: %s", code, errs)
	}
	flat := strings.ReplaceAll(text, "\n# ", " ")
	for _, s := range config.Settings() {
		relaytest.Contains(t, text, "\n"+s.Name+" = ")
		relaytest.Contains(t, flat, s.Help)
	}
	for _, line := range strings.Split(text, "\n") {
		if len(line) > 80 && strings.HasPrefix(line, "#") { // a value stays on one line
			t.Errorf("a long line: %s", line)
		}
	}
	with, errs, code := relaytest.Command(t, nil, "check-config", "--config", relaytest.ConfigFile(t, text))
	if code != 0 {
		t.Fatalf("exit %d: %s", code, errs)
	}
	if without, _, _ := relaytest.Command(t, nil, "check-config"); with != without {
		t.Errorf("with the file:\n%s\nwithout:\n%s", with, without)
	}
}

// The file stands over the defaults, under the environment and the flags, for
// every key; COWRELAY_CONFIG names it as --config does.
func TestConfig_FileUnderEnvironmentUnderFlags(t *testing.T) {
	var text, env, flags string
	for _, s := range config.Settings() {
		v := otherValues[s.Name]
		text += s.Name + " = \"" + v[0] + "\"\n"
		if env == "" {
			env = s.Env() + "=" + v[1]
		} else if flags == "" {
			flags = "--" + s.Name + "=" + v[1]
		}
	}
	path := relaytest.ConfigFile(t, text)
	out, errs, code := relaytest.Command(t, []string{env, "COWRELAY_CONFIG=" + path}, "check-config", flags)
	if code != 0 {
		t.Fatalf("exit %d: %s", code, errs)
	}
	for i, s := range config.Settings() {
		want := otherValues[s.Name][0]
		if i < 2 {
			want = otherValues[s.Name][1]
		}
		switch s.Name {
		case "memory-budget":
			want = "67108864B"
		case "request-budget":
			want = "16777216B"
		}
		relaytest.Contains(t, "\n"+out, "\n"+s.Name+"="+want+"\n")
	}
}

// Values may be written as TOML would have them.
func TestConfig_Types(t *testing.T) {
	out, errs, code := relaytest.Command(t, nil, "check-config", "--config", relaytest.ConfigFile(t, "max-slots = 7\naccess-log = true\ndisk-reserve = 1024 # bytes\nheartbeat = '2s'\n"))
	if code != 0 {
		t.Fatalf("exit %d: %s", code, errs)
	}
	relaytest.Contains(t, out, "max-slots=7\n", "access-log=true\n", "disk-reserve=1024\n", "heartbeat=2s\n")
}

func TestConfig_WrongFileSaysAllAtOnce(t *testing.T) {
	path := relaytest.ConfigFile(t, "max_slots = 1\nheartbeet = '1s'\nzzz = 1\nsync = 'often'\nbind = 3.5\nlog-level = ['debug', 1]\n[admin]\nx = 1\n")
	_, errs, code := relaytest.Command(t, []string{"COWRELAY_DRAIN_DELAY=soon"}, "check-config", "--config", path, "--max-streams=none")
	if code != 2 {
		t.Errorf("exit %d", code)
	}
	relaytest.Contains(t, errs, path, `unknown key "max_slots"; did you mean max-slots?`, `unknown key "heartbeet"; did you mean heartbeat?`, `unknown key "zzz"`+"\n",
		`sync: "often"`, "bind: it is", "log-level: it is a list of texts", "admin: it is", "COWRELAY_DRAIN_DELAY", "--max-streams")
	for _, c := range []struct{ text, says string }{
		{"bind = \n", ":1:"},
		{"bind = 'a'\nbind = 'b'\n", ":2:"},
		{"\xff = 1\n", "UTF-8"},
	} {
		_, errs, code := relaytest.Command(t, nil, "serve", "--config", relaytest.ConfigFile(t, c.text))
		if code != 2 {
			t.Errorf("%q: exit %d", c.text, code)
		}
		relaytest.Contains(t, errs, c.says)
	}
	_, errs, code = relaytest.Command(t, nil, "check-config", "--config", path+".missing")
	if code != 2 {
		t.Errorf("exit %d", code)
	}
	relaytest.Contains(t, errs, "cannot read the configuration file", "no such file")
}

// A shell asks the binary itself what can be completed.
func TestCompletion(t *testing.T) {
	for _, shell := range []string{"bash", "zsh", "fish", "powershell"} {
		out, errs, code := relaytest.Command(t, nil, "completion", shell)
		if code != 0 || errs != "" || !strings.Contains(out, "cowrelay") {
			t.Errorf("%s: exit %d, %q", shell, code, errs)
		}
	}
	out, _, _ := relaytest.Command(t, nil, "__complete", "serve", "--max-s")
	relaytest.Contains(t, out, "--max-slots\t", "--max-streams\t")
	out, _, _ = relaytest.Command(t, nil, "__complete", "def")
	relaytest.Contains(t, out, "default-config\t")
}

// A file that never ends, or is none of ours, is not read whole.
func TestConfigFile_TooLarge(t *testing.T) {
	long := relaytest.WriteTemp(t, "# "+strings.Repeat("x", config.FileBytes))
	for _, c := range []struct{ args, says string }{
		{"--config=" + long, "has more than 1048576 bytes"},
		{"--admin-token-file=" + long, "has more than 65536 bytes"},
	} {
		_, errs, code := relaytest.Command(t, nil, "check-config", c.args)
		if code != 2 {
			t.Errorf("%s: exit %d", c.args, code)
		}
		relaytest.Contains(t, errs, c.says)
	}
}
