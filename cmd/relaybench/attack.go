package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log"
	"os"
	"strings"

	"cowrelay/bench/attack"
	"cowrelay/bench/attack/drill"
)

// attackCommand is the word for attacks.
const attackCommand = "attack"

const attackHelp = `relaybench attack starts the relay and attacks it, one drill after the other,
while honest clients load it at a fixed, modest rate.

Usage:
  relaybench attack [DRILL...] --relay PATH [flags]     all drills without names

Drills:
%s
Each starts the relay in a control group of 512 MB and one core where this
machine lets us make one (as root), else with GOMEMLIMIT. It prints what honest
clients met before, during and after the attack, the peaks of memory, what came
back, the books (live heap beside cowrelay_memory_bytes), and whether each bar
holds: no exit, no error for honest clients, p99 at most three times the quiet
one, all that the attack took given back, the books within 10 %% and 16 MiB, all
that was acknowledged there, an orderly end.

  --relay PATH        relay binary
  --dir DIR           where its data goes (default: the system's temporary
                      folder); should be a disk
  --short             smaller and shorter, and no bar for p99: for machines that
                      do other work meanwhile
  --kills N           in the place of the measured phases: N rounds of SIGKILL at
                      a random moment of each attack; then the store must be
                      sound and hold all that was acknowledged
  --before D, --during D, --after D
                      how long each phase is measured (default 15s, 30s, 10s;
                      short 2s, 4s, 1s)
  --at-once N         so many drills side by side (default 1); with --short only
  --no-group          no control group
  --json              JSON lines instead of text
  --out FILE          append JSON lines to FILE too
  --commit ID         what is attacked, for the record
  --quiet             no progress on standard error

Exit status: 0 all bars hold, 1 one does not or a drill could not be run, 2
wrong usage.
`

// attackOptions are what the command line says.
type attackOptions struct {
	cfg         attack.Config
	drills      []string
	json, quiet bool
	out         string
}

func attackUsage() string {
	var b strings.Builder
	for _, n := range drill.Names() {
		fmt.Fprintf(&b, "  %-12s %s\n", n, drill.What(n))
	}
	return fmt.Sprintf(attackHelp, b.String())
}

func (o *attackOptions) flags() *flag.FlagSet {
	fs := flag.NewFlagSet("relaybench attack", flag.ContinueOnError)
	fs.SetOutput(io.Discard)
	c := &o.cfg
	fs.StringVar(&c.Relay, "relay", "", "")
	fs.StringVar(&c.Dir, "dir", "", "")
	fs.BoolVar(&c.Short, "short", false, "")
	fs.IntVar(&c.Kills, "kills", 0, "")
	fs.DurationVar(&c.Before, "before", 0, "")
	fs.DurationVar(&c.During, "during", 0, "")
	fs.DurationVar(&c.After, "after", 0, "")
	fs.IntVar(&c.AtOnce, "at-once", 1, "")
	fs.BoolVar(&c.NoGroup, "no-group", false, "")
	fs.StringVar(&c.Commit, "commit", "", "")
	fs.StringVar(&o.out, "out", "", "")
	fs.BoolVar(&o.json, "json", false, "")
	fs.BoolVar(&o.quiet, "quiet", false, "")
	return fs
}

func parseAttack(args []string) (*attackOptions, error) {
	o := &attackOptions{}
	fs := o.flags()
	for len(args) > 0 {
		if err := fs.Parse(args); errors.Is(err, flag.ErrHelp) {
			return nil, errHelp
		} else if err != nil {
			return nil, err
		}
		if args = fs.Args(); len(args) > 0 {
			o.drills, args = append(o.drills, args[0]), args[1:]
		}
	}
	return o, errors.Join(drill.CheckNames(o.drills), o.cfg.Validate())
}

// attackRelay runs `relaybench attack`.
func attackRelay(ctx context.Context, args []string, stdout io.Writer, stderr *os.File) int {
	o, err := parseAttack(args)
	return carryOut("relaybench attack", err, func() { fmt.Fprint(stdout, attackUsage()) }, func() error { return o.run(ctx, stdout, stderr) }, stderr)
}

func (o *attackOptions) run(ctx context.Context, stdout io.Writer, stderr *os.File) (err error) {
	// net/http logs answers that come over idle connections. A relay under attack may
	// send some before it closes them.
	log.SetOutput(io.Discard)
	if !o.quiet {
		o.cfg.Progress = newProgress(stderr)
	}
	var out *os.File
	if o.out != "" {
		if out, err = os.OpenFile(o.out, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o644); err != nil {
			return err
		}
		defer func() { err = errors.Join(err, out.Close()) }()
	}
	var failed []string
	var writeErr error
	err = attack.Run(ctx, o.cfg, o.drills, func(r attack.Result) {
		if !r.Passed() {
			failed = append(failed, fmt.Sprintf("%s (%s)", r.Drill, r.Variant))
		}
		if o.json {
			writeErr = errors.Join(writeErr, r.WriteJSON(stdout))
		} else {
			_, e := fmt.Fprintln(stdout, r.Text())
			writeErr = errors.Join(writeErr, e)
		}
		if out != nil {
			writeErr = errors.Join(writeErr, r.WriteJSON(out))
		}
	})
	if err = errors.Join(err, writeErr); err == nil && len(failed) > 0 {
		err = fmt.Errorf("bars that do not hold:\n%s", strings.Join(failed, "\n"))
	}
	return err
}
