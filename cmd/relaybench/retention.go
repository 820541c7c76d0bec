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
	"cowrelay/bench/retention"
)

// retentionCommand is the word for a run of events that expire.
const retentionCommand = "retention"

const retentionHelp = `relaybench retention posts many small events, most of them to slots with a short
lifetime of events, and follows the disk until it has given their space back.
Beside it single posts go on at a fixed rate. Their latency is told by phase:
quiet, fill, stored (nothing leaves yet), expiry, space (all has left that
should).

Usage:
  relaybench retention --relay PATH --out DIR [flags]
  relaybench retention --draw DIR          judge and draw what is there again

At the end it says whether each bar holds: no answer wrong or missing, and what
stays is there byte for byte; all left that should; the relay's count of what is
left agrees with what was posted; the data folder, store and log together, takes
at most 1.5 times the bytes of the events that are left. Latency has no bar. DIR
gets retention.jsonl and pictures.

  --relay PATH        relay binary
  --relay-args ARGS   further arguments for it, separated by blanks
  --dir DIR           where its data goes (default: the system's temporary
                      folder); should be a disk
  --out DIR           where results go
  --events N          events to post in batches (default 10000000)
  --event-bytes N     size of each (default 200)
  --slot-events N     how many of them a slot gets (default 2000)
  --expire X          part of the slots whose events expire (default 0.9)
  --ttl D             how long events stay in these (default 3m, at least 1m)
  --batch N           events of a request (default 100)
  --conns N           connections that post batches (default 16)
  --rate N            single posts of 512 B a second beside (default 200)
  --quiet-time D      how long these go on alone before (default 30s)
  --every D           time between two samples (default 5s)
  --wait D            how long the space may take to come back (default 10m)
  --spare N           bytes that the disk may take besides, for small runs
                      (default 0)
  --commit ID         what is run, for the record
  --draw DIR          run nothing: judge and draw the record in DIR
  --quiet             no progress on standard error

Exit status: 0 all bars hold, 1 one does not or the run failed, 2 wrong usage.
`

// retentionOptions are what the command line says.
type retentionOptions struct {
	cfg   retention.Config
	draw  string
	quiet bool
}

func (o *retentionOptions) flags() *flag.FlagSet {
	fs := flag.NewFlagSet("relaybench retention", flag.ContinueOnError)
	fs.SetOutput(io.Discard)
	c := &o.cfg
	fs.StringVar(&c.Relay, "relay", "", "")
	fs.Func("relay-args", "", func(s string) error { c.RelayArgs = strings.Fields(s); return nil })
	fs.StringVar(&c.Dir, "dir", c.Dir, "")
	fs.StringVar(&c.Out, "out", "", "")
	fs.IntVar(&c.Events, "events", c.Events, "")
	fs.IntVar(&c.EventBytes, "event-bytes", c.EventBytes, "")
	fs.IntVar(&c.SlotEvents, "slot-events", c.SlotEvents, "")
	fs.Float64Var(&c.Expire, "expire", c.Expire, "")
	fs.DurationVar(&c.TTL, "ttl", c.TTL, "")
	fs.IntVar(&c.BatchEvents, "batch", c.BatchEvents, "")
	fs.Func("conns", "", func(s string) error {
		var n int
		if _, err := fmt.Sscanf(s, "%d", &n); err != nil {
			return err
		}
		c.Conns = []int{n}
		return nil
	})
	fs.Float64Var(&c.Rate, "rate", c.Rate, "")
	fs.DurationVar(&c.Quiet, "quiet-time", c.Quiet, "")
	fs.DurationVar(&c.Every, "every", c.Every, "")
	fs.DurationVar(&c.Wait, "wait", c.Wait, "")
	fs.Int64Var(&c.Spare, "spare", c.Spare, "")
	fs.StringVar(&c.Commit, "commit", "", "")
	fs.StringVar(&o.draw, "draw", "", "")
	fs.BoolVar(&o.quiet, "quiet", false, "")
	return fs
}

func parseRetention(args []string) (*retentionOptions, error) {
	o := &retentionOptions{cfg: retention.Defaults()}
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
	o.cfg.Command = commandLine(append([]string{retentionCommand}, args...))
	return o, o.cfg.Validate()
}

// watchRetention runs `relaybench retention`.
func watchRetention(ctx context.Context, args []string, stdout io.Writer, stderr *os.File) int {
	o, err := parseRetention(args)
	switch {
	case errors.Is(err, errHelp):
		fmt.Fprint(stdout, retentionHelp)
		return exitOK
	case err != nil:
		fmt.Fprintf(stderr, "relaybench retention: wrong usage:\n%v\nrelaybench retention --help explains\n", err)
		return exitUsage
	}
	if err := o.run(ctx, stdout, stderr); err != nil {
		fmt.Fprintln(stderr, "relaybench retention:", err)
		return exitError
	}
	return exitOK
}

func (o *retentionOptions) run(ctx context.Context, stdout io.Writer, stderr *os.File) error {
	log.SetOutput(io.Discard) // net/http tells of connections that the relay closed
	var rec *retention.Record
	var v *retention.Verdict
	var err error
	dir := o.draw
	if dir != "" {
		if rec, err = retention.Read(dir); err != nil {
			return err
		}
		v = rec.Judge()
	} else {
		if !o.quiet {
			o.cfg.Progress = newProgress(stderr)
		}
		dir = o.cfg.Out
		if rec, v, err = retention.Run(ctx, o.cfg); rec == nil {
			return err
		}
	}
	fmt.Fprintf(stdout, "%s\n%s%s", rec.Setup.Variant, rec.Table(), v)
	if _, drawErr := plot.Retention(dir, rec); drawErr != nil {
		err = errors.Join(err, drawErr)
	}
	if err == nil && !v.OK {
		err = errors.New("not all bars hold")
	}
	return err
}
