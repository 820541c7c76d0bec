package main

import (
	"path/filepath"
	"strings"
	"testing"
)

func TestCLI_CommandsThatPrint(t *testing.T) {
	for _, args := range [][]string{{"help"}, {"--help"}, {"-h"}} {
		out, errs, code := command(t, nil, args...)
		if code != 0 || errs != "" {
			t.Errorf("%v: exit %d, %q", args, code, errs)
		}
		contains(t, out, "Usage:", "serve", "check-config", "version", "COWRELAY_DATA_DIR")
	}
	for _, args := range [][]string{{"version"}, {"--version"}} {
		out, errs, code := command(t, nil, args...)
		if code != 0 || errs != "" || !strings.HasPrefix(out, "cowrelay ") || strings.Count(out, "\n") != 1 {
			t.Errorf("%v: exit %d, %q, %q", args, code, out, errs)
		}
	}
	for _, args := range [][]string{{"serve", "--help"}, {"check-config", "-h"}} {
		out, errs, code := command(t, nil, args...)
		if code != 0 || errs != "" {
			t.Errorf("%v: exit %d, %q", args, code, errs)
		}
		out = strings.Join(strings.Fields(out), " ") // lines are wrapped
		for _, s := range new(config).table() {
			contains(t, out, "--"+s.name+" ", s.help+" ["+s.env()+"]")
		}
	}
}

func TestCLI_AskedWrongly(t *testing.T) {
	for _, c := range []struct {
		args []string
		says []string
	}{
		{nil, []string{"Usage:"}},
		{[]string{"sevre"}, []string{`unknown command "sevre"`, "Did you mean this?", "serve"}},
		{[]string{"serve", "--bnid=:1"}, []string{`"--bnid=:1"; did you mean --bind?`, "serve --help"}},
		{[]string{"version", "now"}, []string{`"now"`, "version --help"}},
		{[]string{"check-config", "--sync"}, []string{"sync"}},
		{[]string{"check-config", "always"}, []string{`unexpected argument "always"`}},
	} {
		out, errs, code := command(t, nil, c.args...)
		if code != 2 || out != "" {
			t.Errorf("%v: exit %d, %q", c.args, code, out)
		}
		contains(t, errs, c.says...)
	}
}

// One run tells everything that is wrong, whether it came by flag or by
// environment, and serve refuses it before it touches anything.
func TestCLI_AllWrongValuesAtOnce(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	for _, name := range []string{"serve", "check-config"} {
		_, errs, code := command(t, []string{"COWRELAY_DRAIN_TIMEOUT=soon", "COWRELAY_LOG_LEVEL=loud"},
			name, "--data-dir="+dir, "--bind=nowhere", "--admin=127.0.0.1:70000", "--sync=often", "--memory-budget=1KiB", "--disk-reserve=-1",
			"--unknown=1", "--max-slots=0", "--page-bytes=12", "--heartbeat=0s", "--log-format=xml", "--access-log=perhaps", "rest")
		if code != 2 {
			t.Errorf("%s: exit %d", name, code)
		}
		contains(t, errs, "COWRELAY_DRAIN_TIMEOUT", `"soon"`, "COWRELAY_LOG_LEVEL", "--bind", `"nowhere"`, "--admin", "--sync", `"often"`,
			"--memory-budget", "--disk-reserve", "unknown", "--max-slots", "--page-bytes", "--heartbeat", "--log-format", "--access-log", `"rest"`)
		if found, _ := filepath.Glob(dir); found != nil {
			t.Errorf("%s made the data folder", name)
		}
	}
	_, errs, code := command(t, nil, "check-config", "--bind=127.0.0.1:1", "--admin=127.0.0.1:1")
	if code != 2 {
		t.Errorf("one address twice: exit %d", code)
	}
	contains(t, errs, "--bind and --admin")
}

// otherValues holds two values beside the default for each flag.
var otherValues = map[string][2]string{
	"bind":                        {"127.0.0.1:1001", "127.0.0.1:1002"},
	"admin":                       {"127.0.0.1:1003", ""},
	"admin-token-file":            {"testdata/admin-token", ""},
	"data-dir":                    {"/nowhere/a", "/nowhere/b"},
	"sync":                        {"interval", "off"},
	"memory-budget":               {"64MiB", "1GiB"},
	"request-budget":              {"16MiB", "128MiB"},
	"disk-reserve":                {"1GiB", "0"},
	"max-slots":                   {"10", "20"},
	"max-connections":             {"10", "20"},
	"max-connections-per-address": {"5", "6"},
	"max-streams":                 {"10", "20"},
	"max-long-polls":              {"10", "20"},
	"rate-limits":                 {"read=0", "allocate=1/1,total=5/5"},
	"trusted-proxies":             {"127.0.0.1", "10.0.0.0/8,::1"},
	"cors-origins":                {"*", "https://a.example"},
	"page-bytes":                  {"1MiB", "2MiB"},
	"heartbeat":                   {"1s", "2s"},
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

	"client-address-header":  {"Fly-Client-IP", "X-Real-IP,X-Forwarded-For"},
	"mutex-profile-fraction": {"1", "5"},
	"block-profile-rate":     {"1", "10000"},
}

// Environment wins over defaults, flags win over environment, for every flag.
func TestCLI_FlagOverEnvironmentOverDefault(t *testing.T) {
	var env, flags []string
	for _, s := range new(config).table() {
		v, ok := otherValues[s.name]
		if !ok {
			t.Fatalf("otherValues lacks --%s", s.name)
		}
		env = append(env, s.env()+"="+v[0])
		flags = append(flags, "--"+s.name+"="+v[1])
	}
	for _, c := range []struct {
		what  string
		env   []string
		flags []string
		value func(setting) string
	}{
		{"default", nil, nil, func(s setting) string { return s.value }},
		{"environment", env, nil, func(s setting) string { return otherValues[s.name][0] }},
		{"flag", env, flags, func(s setting) string { return otherValues[s.name][1] }},
	} {
		out, errs, code := command(t, c.env, append([]string{"check-config"}, c.flags...)...)
		// A checked-out file can be read by others.
		if told := strings.Count(errs, "\n"); code != 0 || told > 1 || told == 1 && !strings.HasPrefix(errs, "warning: testdata/admin-token: ") {
			t.Fatalf("%s: exit %d\n%s", c.what, code, errs)
		}
		contains(t, out, "configuration ok\n")
		for _, s := range new(config).table() {
			want := c.value(s)
			switch {
			case s.name != "memory-budget" && s.name != "request-budget":
			case c.what == "default":
				continue // it is the machine's
			default:
				want = map[string]string{"16MiB": "16777216B", "64MiB": "67108864B", "128MiB": "134217728B", "1GiB": "1073741824B"}[want]
			}
			contains(t, "\n"+out, "\n"+s.name+"="+want+"\n")
		}
	}
}

// A switch needs no value.
func TestCLI_SwitchWithoutValue(t *testing.T) {
	out, errs, code := command(t, nil, "check-config", "--access-log", "--sync", "off")
	if code != 0 {
		t.Fatalf("exit %d: %s", code, errs)
	}
	contains(t, out, "access-log=true\n", "sync=off\n")
}

// The budget follows the limit that the Go runtime is given.
func TestCLI_MemoryBudgetFromLimit(t *testing.T) {
	for limit, want := range map[string]string{"1000MiB": "629145600B", "400MiB": "251658240B", "10MiB": "33554432B"} {
		out, errs, code := command(t, []string{"GOMEMLIMIT=" + limit}, "check-config")
		if code != 0 {
			t.Fatalf("exit %d: %s", code, errs)
		}
		contains(t, out, "memory-budget="+want+"\n")
	}
}

// Requests that are arriving have a part of the budget, and all parts together
// are the budget.
func TestCLI_RequestBudget(t *testing.T) {
	for budget, want := range map[string]string{"32MiB": "8388608B", "64MiB": "16777216B", "128MiB": "16777216B", "800MiB": "104857600B"} {
		out, errs, code := command(t, nil, "check-config", "--memory-budget="+budget)
		if code != 0 {
			t.Fatalf("exit %d: %s", code, errs)
		}
		contains(t, out, "request-budget="+want+"\n")
	}
	for _, requests := range []int64{0, 10 << 20} {
		for budget := int64(minBudget); budget < 1<<40; budget *= 3 {
			s := splitBudget(budget, requests)
			if s.slots+s.cache+3*s.memTable+s.requests != budget || s.slots < budget/8 || s.requests < minRequests {
				t.Errorf("%d: %+v", budget, s)
			}
		}
	}
	_, errs, code := command(t, nil, "check-config", "--memory-budget=32MiB", "--request-budget=17MiB")
	if code != exitUsage {
		t.Errorf("exit %d", code)
	}
	contains(t, errs, "--request-budget", "half")
}
