package main

import (
	"context"
	"flag"

	"cowrelay/bench/plot"
	"cowrelay/bench/record"
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

// newSoak is `relaybench soak` with its defaults.
func newSoak() (*soak.Config, *longRun[*soak.Record]) {
	c := new(soak.Config)
	*c = soak.Defaults()
	return c, &longRun[*soak.Record]{
		word: soakCommand, help: soakHelp, cfg: &c.Config, every: &c.Every, out: &c.Out, command: &c.Command,
		ownFlags: func(fs *flag.FlagSet) {
			fs.DurationVar(&c.Duration, "time", c.Duration, "")
			fs.DurationVar(&c.BooksEvery, "books-every", c.BooksEvery, "")
			fs.IntVar(&c.MixAgents, "agents", c.MixAgents, "")
			fs.Float64Var(&c.MixSpeed, "speed", c.MixSpeed, "")
			fs.IntVar(&c.History, "history", c.History, "")
			fs.Int64Var(&c.EdgeMemory, "memory", c.EdgeMemory, "")
		},
		validate: c.Validate,
		load:     func(ctx context.Context) (*soak.Record, *record.Verdict, error) { return soak.Run(ctx, *c) },
		read:     soak.Read,
		plot:     plot.Soak,
	}
}
