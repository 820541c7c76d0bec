package docs_test

import (
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"cowrelay/cmd/cowrelay/internal/relaytest"
	relayhttp "cowrelay/fasthttp"
)

// command is a command as its help describes it.
type command struct {
	help  string
	flags map[string]bool
	below map[string]*command
}

var (
	helpCommands = regexp.MustCompile(`(?m)^  ([a-z-]+) +[A-Z]`)
	helpFlags    = regexp.MustCompile(`--([a-z][a-z-]+)`)
	variable     = regexp.MustCompile(`\bCOWRELAY_[A-Z_]+\b`)
)

// describe asks a command for its help, and those below it.
func describe(t *testing.T, args ...string) *command {
	t.Helper()
	out, errs, code := relaytest.Command(t, nil, append(slices.Clone(args), "--help")...)
	if code != 0 {
		t.Fatalf("cowrelay %v --help: exit %d\n%s", args, code, errs)
	}
	c := &command{help: out, flags: map[string]bool{}, below: map[string]*command{}}
	for _, m := range helpFlags.FindAllStringSubmatch(c.help, -1) {
		c.flags[m[1]] = true
	}
	if head, _, ok := strings.Cut(c.help, "\nFlags:"); ok {
		_, usage, _ := strings.Cut(head, "\nUsage:")
		if strings.Contains(usage, "[command]") {
			for _, m := range helpCommands.FindAllStringSubmatch(usage, -1) {
				if m[1] != "cowrelay" {
					c.below[m[1]] = describe(t, append(slices.Clone(args), m[1])...)
				}
			}
		}
	}
	return c
}

// walk calls f for the command and all below it.
func (c *command) walk(f func(*command)) {
	f(c)
	for _, b := range c.below {
		b.walk(f)
	}
}

// Every command that a page names exists and has the flags that stand behind
// it; every flag and variable that a page names is one of some command.
func TestDocs_CommandsAndFlagsExist(t *testing.T) {
	top := describe(t)
	if len(top.below) < 12 || len(top.below["admin"].below) < 8 {
		t.Fatalf("found %d commands, %d of admin", len(top.below), len(top.below["admin"].below))
	}
	flags, variables := map[string]bool{}, map[string]bool{}
	top.walk(func(c *command) {
		for name := range c.flags {
			flags[name] = true
		}
		for _, name := range variable.FindAllString(c.help, -1) {
			variables[name] = true
		}
	})
	relaybench := filepath.Join(t.TempDir(), "relaybench")
	if out, err := exec.Command("go", "build", "-o", relaybench, "cowrelay/cmd/relaybench").CombinedOutput(); err != nil {
		t.Fatalf("cannot build relaybench: %v\n%s", err, out)
	}
	for _, args := range [][]string{{"--help"}, {"attack", "--help"}, {"model", "--help"}} {
		out, err := exec.Command(relaybench, args...).CombinedOutput()
		if err != nil {
			t.Fatalf("relaybench %v: %v\n%s", args, err, out)
		}
		for _, m := range helpFlags.FindAllStringSubmatch(string(out), -1) {
			flags[m[1]] = true
		}
	}
	flags["max-time"] = true // curl's
	ours := regexp.MustCompile(`(?:^|[|&;(]\s*|\s)(?:\./)?(?:[a-z]+/)?cowrelay ([a-z][^|&;>)]*)`)
	alone := regexp.MustCompile(`^--([a-z][a-z-]+)`)
	calls := 0
	for _, p := range pages(t) {
		for _, span := range p.code() {
			if m := alone.FindStringSubmatch(span); m != nil && !flags[m[1]] {
				t.Errorf("%s: no command has --%s", p.path, m[1])
			}
			for _, m := range ours.FindAllStringSubmatch(span, -1) {
				if strings.HasPrefix(span, "docker") || strings.HasPrefix(span, "systemctl") {
					continue // the name of an image or a unit
				}
				calls++
				c, rest := top, strings.Fields(m[1])
				for len(rest) > 0 && c.below[rest[0]] != nil {
					c, rest = c.below[rest[0]], rest[1:]
				}
				if c == top && rest[0] != "help" {
					t.Errorf("%s: there is no command in %q", p.path, span)
					continue
				}
				for _, word := range rest {
					if f := alone.FindStringSubmatch(word); f != nil && !c.flags[f[1]] {
						t.Errorf("%s: %q: it has no flag --%s", p.path, span, f[1])
					}
				}
			}
		}
		for _, name := range variable.FindAllString(p.text, -1) {
			if !variables[name] {
				t.Errorf("%s: no command reads %s", p.path, name)
			}
		}
	}
	if calls < 40 {
		t.Errorf("found %d calls of commands only", calls)
	}
}

// Every metric that a page names is one that the relay prints.
func TestDocs_MetricsExist(t *testing.T) {
	known := map[string]bool{}
	for _, m := range relayhttp.MetricTable() {
		known[m.Name] = true
	}
	for _, p := range pages(t) {
		for _, span := range p.code() {
			for _, name := range regexp.MustCompile(`\bcowrelay_[a-z_]+`).FindAllString(span, -1) {
				if !known[name] {
					t.Errorf("%s: there is no metric %s", p.path, name)
				}
			}
		}
	}
}
