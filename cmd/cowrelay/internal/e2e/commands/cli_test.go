package commands

import (
	"path/filepath"
	"strings"
	"testing"

	"cowrelay/cmd/cowrelay/internal/command"
	"cowrelay/cmd/cowrelay/internal/config"
	"cowrelay/cmd/cowrelay/internal/relaytest"
)

func TestCLI_CommandsThatPrint(t *testing.T) {
	for _, args := range [][]string{{"help"}, {"--help"}, {"-h"}} {
		out, errs, code := relaytest.Command(t, nil, args...)
		if code != 0 || errs != "" {
			t.Errorf("%v: exit %d, %q", args, code, errs)
		}
		relaytest.Contains(t, out, "Usage:", "serve", "check-config", "version", "COWRELAY_DATA_DIR")
	}
	for _, args := range [][]string{{"version"}, {"--version"}} {
		out, errs, code := relaytest.Command(t, nil, args...)
		if code != 0 || errs != "" || !strings.HasPrefix(out, "cowrelay ") || strings.Count(out, "\n") != 1 {
			t.Errorf("%v: exit %d, %q, %q", args, code, out, errs)
		}
	}
	for _, args := range [][]string{{"serve", "--help"}, {"check-config", "-h"}} {
		out, errs, code := relaytest.Command(t, nil, args...)
		if code != 0 || errs != "" {
			t.Errorf("%v: exit %d, %q", args, code, errs)
		}
		out = strings.Join(strings.Fields(out), " ") // lines are wrapped
		for _, s := range config.Settings() {
			relaytest.Contains(t, out, "--"+s.Name+" ", s.Help+" ["+s.Env()+"]")
		}
	}
}

func TestCLI_AskedWrongly(t *testing.T) {
	for _, c := range []struct {
		args []string
		says []string
	}{
		{nil, []string{"Usage:"}},
		{[]string{"sevre"}, []string{`unknown command "sevre"; did you mean serve?`}},
		{[]string{"slto", "new", "--save", "x"}, []string{`unknown command "slto"; did you mean slot?`}},
		{[]string{"slot", "nwe", "--save", "x"}, []string{`unknown command "nwe"; did you mean new?`, "slot --help"}},
		{[]string{"admin", "zzzz"}, []string{`unknown command "zzzz": it is one of block, drain,`}},
		{[]string{"help", "sevre"}, []string{`unknown command "sevre"; did you mean serve?`}},
		{[]string{"help", "admin", "handels"}, []string{`unknown command "handels"; did you mean handles?`}},
		{[]string{"help", "serve", "now"}, []string{`there is no command "serve now"`}},
		{[]string{"completion"}, []string{"which shell?"}},
		{[]string{"completion", "bsh"}, []string{`unknown command "bsh"; did you mean bash?`}},
		{[]string{"pull", "--lsat", "3"}, []string{`unknown flag "--lsat"; did you mean --last?`, "pull --help"}},
		{[]string{"pull", "--retry=3s"}, []string{`unknown flag "--retry"; did you mean --retry-for?`}},
		{[]string{"admin", "slots", "--jsno"}, []string{`unknown flag "--jsno"; did you mean --json?`}},
		{[]string{"post", "-x"}, []string{`unknown flag "-x"`}},
		{[]string{"post", "--=x"}, []string{`"--=x" is no flag`}},
		{[]string{"tail", "-n"}, []string{"--lines: its value is missing: it is a whole number"}},
		{[]string{"pull", "--from=99999999999999999999"}, []string{`--from: "99999999999999999999": it is a whole number of at most 18 digits`}},
		{[]string{"token", "revoke"}, []string{"which token?"}},
		{[]string{"token", "new", "--may", `a"`}, []string{`--may: "a\"": it is a list`}},
		{[]string{"serve", "--bnid=:1"}, []string{`"--bnid=:1"; did you mean --bind?`, "serve --help"}},
		{[]string{"version", "now"}, []string{`"now"`, "version --help"}},
		{[]string{"check-config", "--sync"}, []string{"sync"}},
		{[]string{"check-config", "always"}, []string{`unexpected argument "always"`}},
	} {
		out, errs, code := relaytest.Command(t, nil, c.args...)
		if code != 2 || out != "" {
			t.Errorf("%v: exit %d, %q", c.args, code, out)
		}
		relaytest.Contains(t, errs, c.says...)
	}
}

// One run names everything that is wrong, whether it came by flag or by
// environment, and serve refuses it before it touches anything.
func TestCLI_AllWrongValuesAtOnce(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	for _, name := range []string{"serve", "check-config"} {
		_, errs, code := relaytest.Command(t, []string{"COWRELAY_DRAIN_TIMEOUT=soon", "COWRELAY_LOG_LEVEL=loud"},
			name, "--data-dir="+dir, "--bind=nowhere", "--admin=127.0.0.1:70000", "--sync=often", "--memory-budget=1KiB", "--disk-reserve=-1",
			"--unknown=1", "--max-slots=0", "--page-bytes=12", "--heartbeat=0s", "--log-format=xml", "--access-log=perhaps", "rest")
		if code != 2 {
			t.Errorf("%s: exit %d", name, code)
		}
		relaytest.Contains(t, errs, "COWRELAY_DRAIN_TIMEOUT", `"soon"`, "COWRELAY_LOG_LEVEL", "--bind", `"nowhere"`, "--admin", "--sync", `"often"`,
			"--memory-budget", "--disk-reserve", "unknown", "--max-slots", "--page-bytes", "--heartbeat", "--log-format", "--access-log", `"rest"`)
		if found, _ := filepath.Glob(dir); found != nil {
			t.Errorf("%s made the data folder", name)
		}
	}
	_, errs, code := relaytest.Command(t, nil, "check-config", "--bind=127.0.0.1:1", "--admin=127.0.0.1:1")
	if code != 2 {
		t.Errorf("one address twice: exit %d", code)
	}
	relaytest.Contains(t, errs, "--bind and --admin: both are 127.0.0.1:1 (--bind, --admin)")
	_, errs, code = relaytest.Command(t, []string{"COWRELAY_ADMIN_TOKEN=short"}, "check-config")
	if code != 2 || strings.Contains(errs, `"short"`) {
		t.Errorf("a short token: exit %d: %s", code, errs)
	}
	relaytest.Contains(t, errs, "COWRELAY_ADMIN_TOKEN: the admin token is shorter than 16 characters")
}

// otherValues holds two values beside the default for each flag.
var otherValues = map[string][2]string{
	"bind":                        {"127.0.0.1:1001", "127.0.0.1:1002"},
	"admin":                       {"127.0.0.1:1003", ""},
	"tls-cert":                    {"", ""}, // beside acme-domain
	"tls-key":                     {"", ""},
	"acme-domain":                 {"a.example", "b.example,c.example"},
	"acme-email":                  {"a@a.example", "b@b.example"},
	"acme-directory":              {"https://a.example/dir", "https://b.example/dir"},
	"acme-cache":                  {"/nowhere/a", "/nowhere/b"},
	"proxy-protocol":              {"true", "false"},
	"admin-token-file":            {"testdata/admin-token", ""},
	"data-dir":                    {"/nowhere/a", "/nowhere/b"},
	"sync":                        {"interval", "off"},
	"journal":                     {"jetstream", "jetstream"},
	"nats-url":                    {"nats://10.0.0.1:4222", "tls://a.example,tls://b.example"},
	"nats-creds":                  {"/nowhere/a.creds", "/nowhere/b.creds"},
	"nats-ca":                     {"/nowhere/a.pem", "/nowhere/b.pem"},
	"nats-cert":                   {"/nowhere/a.pem", "/nowhere/b.pem"},
	"nats-key":                    {"/nowhere/a.key", "/nowhere/b.key"},
	"nats-stream":                 {"A", "B-2"},
	"nats-replicas":               {"1", "5"},
	"nats-monitor":                {"http://10.0.0.1:8222", "http://a:8222,http://b:8222,http://c:8222,http://d:8222,https://e.example"},
	"trust-nats-sync":             {"false", "false"},
	"nats-keep":                   {"1h", "24h"},
	"relay-name":                  {"a", "b.example"},
	"memory-budget":               {"64MiB", "1GiB"},
	"request-budget":              {"16MiB", "128MiB"},
	"disk-reserve":                {"1GiB", "0"},
	"max-slots":                   {"10", "20"},
	"uds":                         {"/nowhere/a.sock", "/nowhere/b.sock"},
	"local-only":                  {"true", "false"},
	"max-invites":                 {"10", "20"},
	"max-pairs":                   {"10", "20"},
	"invite-installer-url":        {"https://a.example/install.sh", "https://b.example/install.sh"},
	"max-handles":                 {"10", "20"},
	"unused-slot-ttl":             {"1h", "0s"},
	"slot-idle-ttl":               {"1h", "2h"},
	"event-ttl":                   {"1h", "2h"},
	"ephemeral-ttl":               {"1m", "2m"},
	"event-keep":                  {"1000", "16MiB"},
	"handle-move-after":           {"1h", "0s"},
	"max-connections":             {"10", "20"},
	"max-connections-per-address": {"5", "6"},
	"max-streams":                 {"10", "20"},
	"max-long-polls":              {"10", "20"},
	"rate-limits":                 {"read=0", "allocate=1/1,total=5/5"},
	"trusted-proxies":             {"127.0.0.1", "10.0.0.0/8,::1"},
	"compression":                 {"off", "zstd"},
	"cors-origins":                {"*", "https://a.example"},
	"page-bytes":                  {"1MiB", "2MiB"},
	"heartbeat":                   {"1s", "2s"},
	"commit-wait":                 {"1ms", "2ms"},
	"header-timeout":              {"1s", "2s"},
	"body-timeout":                {"1s", "2s"},
	"write-timeout":               {"1s", "2s"},
	"idle-timeout":                {"1s", "2s"},
	"stream-write-timeout":        {"1s", "2s"},
	"drain-timeout":               {"1s", "2s"},
	"drain-delay":                 {"1s", "0s"},
	"log-level":                   {"debug", "error"},
	"log-format":                  {"json", "text"},
	"access-log":                  {"true", "false"},
	"access-log-file":             {"requests.log", "other.log"},
	"access-log-sample":           {"10", "100"},
	"otlp-endpoint":               {"http://127.0.0.1:4318", "https://a.example/otlp"},
	"trace-sample":                {"0.5", "1"},

	"client-address-header":  {"Fly-Client-IP", "X-Real-IP,X-Forwarded-For"},
	"mutex-profile-fraction": {"1", "5"},
	"block-profile-rate":     {"1", "10000"},
}

// Environment wins over defaults, flags win over environment, for every flag.
func TestCLI_FlagOverEnvironmentOverDefault(t *testing.T) {
	var env, flags []string
	for _, s := range config.Settings() {
		v, ok := otherValues[s.Name]
		if !ok {
			t.Fatalf("otherValues lacks --%s", s.Name)
		}
		env = append(env, s.Env()+"="+v[0])
		flags = append(flags, "--"+s.Name+"="+v[1])
	}
	for _, c := range []struct {
		what  string
		env   []string
		flags []string
		value func(config.Setting) string
		from  func(config.Setting) string
	}{
		{"default", nil, nil, func(s config.Setting) string { return s.Value }, func(config.Setting) string { return "default" }},
		{"environment", env, nil, func(s config.Setting) string { return otherValues[s.Name][0] }, config.Setting.Env},
		{"flag", env, flags, func(s config.Setting) string { return otherValues[s.Name][1] }, func(s config.Setting) string { return "--" + s.Name }},
	} {
		out, errs, code := relaytest.Command(t, c.env, append([]string{"check-config"}, c.flags...)...)
		for line := range strings.Lines(errs) {
			// A checked-out file can be read by others. A shared log does not ask how this
			// relay syncs. And a log of requests that is off needs no file.
			if !strings.HasPrefix(line, "warning: testdata/admin-token: ") && !strings.HasPrefix(line, "warning: --sync ") && !strings.HasPrefix(line, "warning: --access-log-file ") {
				t.Errorf("%s: %s", c.what, line)
			}
		}
		if code != 0 {
			t.Fatalf("%s: exit %d\n%s", c.what, code, errs)
		}
		relaytest.Contains(t, out, "configuration ok\n")
		for _, s := range config.Settings() {
			want := c.value(s)
			switch {
			case s.Name == "commit-wait" && c.what == "default":
				continue // it is the machine's
			case s.Name != "memory-budget" && s.Name != "request-budget":
			case c.what == "default":
				continue // it is the machine's
			default:
				want = map[string]string{"16MiB": "16777216B", "64MiB": "67108864B", "128MiB": "134217728B", "1GiB": "1073741824B"}[want]
			}
			relaytest.Contains(t, "\n"+out, "\n"+s.Name+"="+want+"  # "+c.from(s)+"\n")
		}
	}
}

// A switch needs no value.
func TestCLI_SwitchWithoutValue(t *testing.T) {
	out, errs, code := relaytest.Command(t, nil, "check-config", "--access-log", "--sync", "off")
	if code != 0 {
		t.Fatalf("exit %d: %s", code, errs)
	}
	relaytest.Contains(t, out, "access-log=true  # --access-log\n", "sync=off  # --sync\n")
}

// The budget follows the limit that the Go runtime is given.
func TestCLI_MemoryBudgetFromLimit(t *testing.T) {
	for limit, want := range map[string]string{"1000MiB": "629145600B", "400MiB": "251658240B", "10MiB": "33554432B"} {
		out, errs, code := relaytest.Command(t, []string{"GOMEMLIMIT=" + limit}, "check-config")
		if code != 0 {
			t.Fatalf("exit %d: %s", code, errs)
		}
		relaytest.Contains(t, out, "memory-budget="+want+"  # default\n")
	}
}

// Requests that are arriving have a part of the budget.
func TestCLI_RequestBudget(t *testing.T) {
	for budget, want := range map[string]string{"32MiB": "8388608B", "64MiB": "16777216B", "128MiB": "16777216B", "800MiB": "104857600B"} {
		out, errs, code := relaytest.Command(t, nil, "check-config", "--memory-budget="+budget)
		if code != 0 {
			t.Fatalf("exit %d: %s", code, errs)
		}
		relaytest.Contains(t, out, "request-budget="+want+"  # default\n")
	}
	_, errs, code := relaytest.Command(t, nil, "check-config", "--memory-budget=32MiB", "--request-budget=17MiB")
	if code != command.Misused {
		t.Errorf("exit %d", code)
	}
	relaytest.Contains(t, errs, "--request-budget", "half")
}

// A mistyped variable is a fault, for serve and for those that ask a relay. Somebody else's
// is none.
func TestCLI_UnknownVariables(t *testing.T) {
	wrong := []string{"COWRELAY_BND=1", "COWRELAY_TOKENS=1", "COWRELAY_DATA=/x"}
	for _, args := range [][]string{{"check-config"}, {"serve"}, {"pull"}, {"slot", "new"}, {"admin", "status"}, {"verify"}} {
		_, errs, code := relaytest.Command(t, wrong, args...)
		if code != command.Misused {
			t.Errorf("%v: exit %d", args, code)
		}
		relaytest.Contains(t, errs, "unknown variable COWRELAY_BND; did you mean COWRELAY_BIND?", "COWRELAY_TOKENS; did you mean COWRELAY_TOKEN?", "COWRELAY_DATA; did you mean COWRELAY_DATA_DIR?")
	}
	for _, args := range [][]string{{"version"}, {"help"}, {"default-config"}} {
		if _, errs, code := relaytest.Command(t, wrong, args...); code != 0 || errs != "" {
			t.Errorf("%v: exit %d: %s", args, code, errs)
		}
	}
	// Kubernetes sets the first four for a service of this name.
	out, errs, code := relaytest.Command(t, []string{"COWRELAY_SERVICE_HOST=10.0.0.1", "COWRELAY_SERVICE_PORT=8770", "COWRELAY_PORT=tcp://10.0.0.1:8770",
		"COWRELAY_PORT_8770_TCP_ADDR=10.0.0.1", "COWRELAY_IMAGE_VERSION=7", "COWRELAY_SLOT=x", "COWRELAY_PROFILE=x"}, "check-config")
	if code != 0 || errs != "warning: COWRELAY_IMAGE_VERSION: nothing reads this variable\n" {
		t.Errorf("exit %d: %s", code, errs)
	}
	relaytest.Contains(t, out, "configuration ok\n")
}
