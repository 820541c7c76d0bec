package main

import (
	"context"
	"fmt"
	"io"
	"strings"

	"cowrelay/bench/report"
)

// writeProfile completes the folder of a profiled run, and says what to do
// next.
func (o *options) writeProfile(ctx context.Context, rs []report.Result, stderr io.Writer) error {
	dir := o.cfg.Profile
	fresh, err := report.WriteNotes(ctx, dir, o.command(), rs)
	if err != nil {
		return err
	}
	if fresh {
		fmt.Fprintf(stderr, "relaybench: profiles are in %s; write what you see into its NOTES.md\n", dir)
	} else {
		fmt.Fprintf(stderr, "relaybench: profiles are in %s; its NOTES.md was there and stays, with the heads of an earlier run\n", dir)
	}
	return nil
}

func (o *options) command() string { return commandLine(o.args) }

// commandLine is a command line as a shell would take it.
func commandLine(args []string) string {
	words := []string{"relaybench"}
	for _, a := range args {
		if a == "" || strings.ContainsAny(a, " \t'\"$`\\*?&|;<>(){}[]#~!") {
			a = "'" + strings.ReplaceAll(a, "'", `'\''`) + "'"
		}
		words = append(words, a)
	}
	return strings.Join(words, " ")
}
