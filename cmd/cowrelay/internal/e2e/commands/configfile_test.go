package commands

import (
	"fmt"
	"regexp"
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
	without, _, _ := relaytest.Command(t, nil, "check-config")
	if origin := regexp.MustCompile(`  # .*`); origin.ReplaceAllString(with, "") != origin.ReplaceAllString(without, "") {
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
		want, from := otherValues[s.Name][0], fmt.Sprintf("%s:%d", path, i+1)
		if i < 2 {
			want, from = otherValues[s.Name][1], []string{s.Env(), "--" + s.Name}[i]
		}
		switch s.Name {
		case "memory-budget":
			want = "67108864B"
		case "request-budget":
			want = "16777216B"
		}
		relaytest.Contains(t, "\n"+out, "\n"+s.Name+"="+want+"  # "+from+"\n")
	}
}

// Values may be written as TOML would have them.
func TestConfig_Types(t *testing.T) {
	out, errs, code := relaytest.Command(t, nil, "check-config", "--config", relaytest.ConfigFile(t, "max-slots = 7\naccess-log = true\ndisk-reserve = 1024 # bytes\nheartbeat = '2s'\ntrusted-proxies = ['127.0.0.1', '::1']\ntrace-sample = 0.25\n"))
	if code != 0 {
		t.Fatalf("exit %d: %s", code, errs)
	}
	relaytest.Contains(t, out, "max-slots=7  # ", "access-log=true  # ", "disk-reserve=1024  # ", "heartbeat=2s  # ", "trusted-proxies=127.0.0.1,::1  # ", "trace-sample=0.25  # ")
	for text, sample := range map[string]string{"1": "1", "0.0000001": "0.0000001", "'0.5'": "0.5"} {
		out, errs, code := relaytest.Command(t, nil, "check-config", "--config", relaytest.ConfigFile(t, "trace-sample = "+text+"\n"))
		if code != 0 {
			t.Errorf("trace-sample = %s: exit %d: %s", text, code, errs)
		}
		relaytest.Contains(t, out, "trace-sample="+sample+"  # ")
	}
	// What is wrong says what is right.
	for text, says := range map[string]string{
		"trace-sample = 1.5": "trace-sample", "trace-sample = true": "it is a part of all, such as 0.01, not true",
		"rate-limits = 'post=x'":  "CLASS=RATE/BURST, requests a second and at once from 0.001/1 to 1000000/1000000, such as post=1000/5000, or as CLASS=0 for none",
		"rate-limits = 'post=10'": "CLASS=RATE/BURST", "rate-limits = 'posts=10/50'": "CLASS=RATE/BURST, such as post=1000/5000, or CLASS=0 for none; the classes are allocate, post,",
	} {
		_, errs, code := relaytest.Command(t, nil, "check-config", "--config", relaytest.ConfigFile(t, text+"\n"))
		if code != 2 {
			t.Errorf("%s: exit %d", text, code)
		}
		relaytest.Contains(t, errs, says)
	}
}

func TestConfig_WrongFileSaysAllAtOnce(t *testing.T) {
	path := relaytest.ConfigFile(t, "max_slots = 1\nheartbeet = '1s'\nzzz = 1\nsync = 'often'\nbind = 3.5\nlog-level = ['debug', 1]\n[admin]\nx = 1\n")
	_, errs, code := relaytest.Command(t, []string{"COWRELAY_DRAIN_DELAY=soon"}, "check-config", "--config", path, "--max-streams=none")
	if code != 2 {
		t.Errorf("exit %d", code)
	}
	relaytest.Contains(t, errs, path+`:1: unknown key "max_slots"; did you mean max-slots?`, path+`:2: unknown key "heartbeet"; did you mean heartbeat?`, path+`:3: unknown key "zzz"`+"\n",
		path+`:4: sync: "often": it is always, interval or off`, path+":5: bind: it is a list of texts in quotes, or one text with commas between, not the number 3.5", path+":6: log-level: it is debug, info, warn or error, in quotes, not a list",
		path+":7: admin: it is a text in quotes, not a table", `COWRELAY_DRAIN_DELAY: "soon": it is a time`, `--max-streams: "none": it is a whole number`)
	// A value of another kind would be taken for what nobody meant. Lines count from where
	// keys stand, whatever is before them.
	path = relaytest.ConfigFile(t, "# sync = 1\ncors-origins = [\n  'https://a.example',\n  1,\n]\ndata-dir = 5\n\naccess-log = 1\nuds = \"\"\"\nbind = 1\n\"\"\"\nheartbeat = 12\nmax-slots = true\nlog-format = 2020-01-01\n")
	_, errs, code = relaytest.Command(t, nil, "check-config", "--config", path)
	if code != 2 {
		t.Errorf("exit %d", code)
	}
	relaytest.Contains(t, errs, path+":2: cors-origins: it is a list of texts in quotes, and one", path+":6: data-dir: it is the name of a folder, in quotes, not the number 5",
		path+":8: access-log: it is true or false, not the number 1", path+`:12: heartbeat: it is a time in quotes, such as "10s", not the number 12`, path+":13: max-slots: it is a whole number, not true", path+":14: log-format: it is text or json, in quotes, not a date")
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
	for _, c := range []struct{ args, says string }{
		{"serve --sync ", "always\ninterval\noff\n:4\n"},
		{"serve --log-level ", "debug\ninfo\nwarn\nerror\n:4\n"},
		{"check-config --log-format ", "text\njson\n:4\n"}, // the shell takes those that fit
		{"serve --max-slots ", ":4\n"},
		{"serve --data-dir ", ":16\n"}, // folders
		{"serve --config ", ":0\n"},    // files
		{"admin log-level w", "warn\n:4\n"},
		{"top --by ", "posts\nbytes\nevents\nstreams\n:4\n"},
		{"token new --may ", "post\nread\npost,read\n:4\n"},
	} {
		out, _, _ := relaytest.Command(t, nil, append([]string{"__completeNoDesc"}, strings.Split(c.args, " ")...)...)
		if out != c.says {
			t.Errorf("%s: %q, want %q", c.args, out, c.says)
		}
	}
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
