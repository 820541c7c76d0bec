package main

import (
	"context"
	"flag"
	"fmt"

	"cowrelay/bench/plot"
	"cowrelay/bench/record"
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

// newRetention is `relaybench retention` with its defaults.
func newRetention() (*retention.Config, *longRun[*retention.Record]) {
	c := new(retention.Config)
	*c = retention.Defaults()
	return c, &longRun[*retention.Record]{
		word: retentionCommand, help: retentionHelp, cfg: &c.Config, every: &c.Every, out: &c.Out, command: &c.Command,
		ownFlags: func(fs *flag.FlagSet) {
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
			fs.DurationVar(&c.Wait, "wait", c.Wait, "")
			fs.Int64Var(&c.Spare, "spare", c.Spare, "")
		},
		validate: c.Validate,
		load:     func(ctx context.Context) (*retention.Record, *record.Verdict, error) { return retention.Run(ctx, *c) },
		read:     retention.Read,
		plot:     plot.Retention,
	}
}
