package main

import (
	"flag"
	"os"
	"strings"
	"testing"
)

// wantError checks that a command line is refused with an error that has a text.
func wantError(t *testing.T, parse func([]string) error, want string, args ...string) {
	t.Helper()
	if err := parse(args); err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("%q: error %v, want %q", args, err, want)
	}
}

// wantExplained checks that a help explains each flag.
func wantExplained(t *testing.T, fs *flag.FlagSet, help string) {
	t.Helper()
	fs.VisitAll(func(f *flag.Flag) {
		if !strings.Contains(help, " --"+f.Name+" ") {
			t.Errorf("%s: help does not explain --%s", fs.Name(), f.Name)
		}
	})
}

func TestLongRunHelp(t *testing.T) {
	_, s := newSoak()
	wantExplained(t, s.flags(), s.help)
	_, r := newRetention()
	wantExplained(t, r.flags(), r.help)
}

func TestLongRun_exit(t *testing.T) {
	null, err := os.OpenFile(os.DevNull, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer null.Close()
	for _, word := range []string{soakCommand, retentionCommand} {
		for _, c := range []struct {
			want int
			args []string
		}{{exitOK, []string{word, "--help"}}, {exitUsage, []string{word, "--nonsense"}}, {exitError, []string{word, "--draw", t.TempDir()}}} {
			if got := command(t.Context(), c.args, null, null); got != c.want {
				t.Errorf("exit status of %q is %d, want %d", c.args, got, c.want)
			}
		}
	}
}
