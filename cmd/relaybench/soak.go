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

	"cowrelay/bench/plot"
	"cowrelay/bench/soak"
)

// soakCommand is the word for a soak.
const soakCommand = "soak"

const soakHelp = `relaybench soak runs the scenario mix for an hour beside the relay, in a control
group of 512 MB and one core, which takes root. It samples what the relay takes:
memory of the group and the process, the relay's own books, goroutines,
descriptors, disk, log, and the latency of posts by minute.

Usage:
  relaybench soak --relay PATH --out DIR [flags]
  relaybench soak --draw DIR               judge and draw what is there again

At the end it says whether each bar holds: no answer wrong or missing; live
heap, resident memory, counted memory, goroutines, descriptors and the log flat
(a line over the last 75 % rises by at most 5 % an hour, or 8 MiB, 50 things,
1 MiB of log where that is more, less two standard errors); the books (live heap beside
cowrelay_memory_bytes) within 10 % and 16 MiB; the disk at most twice the events
and 256 MiB. Latency has no bar. DIR gets soak.jsonl, NOTES.md and pictures.

  --relay PATH        relay binary
  --relay-args ARGS   further arguments for it, separated by blanks
  --dir DIR           where its data goes (default: the system's temporary
                      folder); should be a disk
  --out DIR           where results go
  --time D            how long (default 1h)
  --every D           time between two samples (default 5s)
  --books-every D     time between two readings of the books, each of which makes
                      the relay collect garbage (default 3m)
  --agents N          agents of the mix (default 100)
  --speed X           how many times as fast as a day it goes (default 20)
  --history N         events that each slot has from the start (default 3000)
  --memory N          memory of the control group (default 512000000)
  --commit ID         what is run, for the record
  --draw DIR          run nothing: judge and draw the record in DIR
  --quiet             no progress on standard error

Exit status: 0 all bars hold, 1 one does not or the run failed, 2 wrong usage.
`

// soakOptions are what the command line says.
type soakOptions struct {
	cfg   soak.Config
	draw  string
	quiet bool
}

func (o *soakOptions) flags() *flag.FlagSet {
	fs := flag.NewFlagSet("relaybench soak", flag.ContinueOnError)
	fs.SetOutput(io.Discard)
	c := &o.cfg
	fs.StringVar(&c.Relay, "relay", "", "")
	fs.Func("relay-args", "", func(s string) error { c.RelayArgs = strings.Fields(s); return nil })
	fs.StringVar(&c.Dir, "dir", c.Dir, "")
	fs.StringVar(&c.Out, "out", "", "")
	fs.DurationVar(&c.Duration, "time", c.Duration, "")
	fs.DurationVar(&c.Every, "every", c.Every, "")
	fs.DurationVar(&c.BooksEvery, "books-every", c.BooksEvery, "")
	fs.IntVar(&c.MixAgents, "agents", c.MixAgents, "")
	fs.Float64Var(&c.MixSpeed, "speed", c.MixSpeed, "")
	fs.IntVar(&c.History, "history", c.History, "")
	fs.Int64Var(&c.EdgeMemory, "memory", c.EdgeMemory, "")
	fs.StringVar(&c.Commit, "commit", "", "")
	fs.StringVar(&o.draw, "draw", "", "")
	fs.BoolVar(&o.quiet, "quiet", false, "")
	return fs
}

func parseSoak(args []string) (*soakOptions, error) {
	o := &soakOptions{cfg: soak.Defaults()}
	fs := o.flags()
	if err := fs.Parse(args); errors.Is(err, flag.ErrHelp) {
		return nil, errHelp
	} else if err != nil {
		return nil, err
	}
	if fs.NArg() > 0 {
		return nil, fmt.Errorf("%q: want flags only", fs.Arg(0))
	}
	if o.draw != "" {
		return o, nil
	}
	o.cfg.Command = commandLine(append([]string{soakCommand}, args...))
	return o, o.cfg.Validate()
}

// soakRelay runs `relaybench soak`.
func soakRelay(ctx context.Context, args []string, stdout io.Writer, stderr *os.File) int {
	o, err := parseSoak(args)
	switch {
	case errors.Is(err, errHelp):
		fmt.Fprint(stdout, soakHelp)
		return exitOK
	case err != nil:
		fmt.Fprintf(stderr, "relaybench soak: wrong usage:\n%v\nrelaybench soak --help explains\n", err)
		return exitUsage
	}
	if err := o.run(ctx, stdout, stderr); err != nil {
		fmt.Fprintln(stderr, "relaybench soak:", err)
		return exitError
	}
	return exitOK
}

func (o *soakOptions) run(ctx context.Context, stdout io.Writer, stderr *os.File) error {
	log.SetOutput(io.Discard) // net/http tells of connections that the relay closed
	var rec *soak.Record
	var v *soak.Verdict
	var err error
	dir := o.draw
	if dir != "" {
		if rec, err = soak.Read(dir); err != nil {
			return err
		}
		v = rec.Judge()
	} else {
		if !o.quiet {
			o.cfg.Progress = newProgress(stderr)
		}
		dir = o.cfg.Out
		if rec, v, err = soak.Run(ctx, o.cfg); rec == nil {
			return err
		}
	}
	if rec.Load != nil {
		fmt.Fprintln(stdout, rec.Load.Line())
	}
	fmt.Fprint(stdout, v)
	if _, drawErr := plot.Soak(dir, rec); drawErr != nil {
		err = errors.Join(err, drawErr)
	}
	if err == nil && !v.OK {
		err = errors.New("not all bars hold")
	}
	return err
}
