package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"cowrelay/bench/fleet/measure"
	"cowrelay/bench/proc"
	"cowrelay/bench/report"
)

// files is how many open files a measurement may need: connections of clients.
const files = 4096

func runMeasure(ctx context.Context, args []string, stdout io.Writer, stderr *os.File) (err error) {
	cfg := measure.Defaults()
	dir, out := ".", ""
	fs := flag.NewFlagSet("relaybench fleet", flag.ContinueOnError)
	fs.SetOutput(stderr)
	fs.StringVar(&cfg.Relay, "relay", "", "the relay's binary")
	fs.StringVar(&dir, "dir", dir, "where folders are made; on a disk")
	fs.StringVar(&out, "out", "", "append JSON lines to this file")
	fs.StringVar(&cfg.Commit, "commit", "", "what is measured, for the record")
	fs.IntVar(&cfg.Rounds, "rounds", cfg.Rounds, "rounds of each part")
	fs.DurationVar(&cfg.Warmup, "warmup", cfg.Warmup, "of each round")
	fs.DurationVar(&cfg.Duration, "duration", cfg.Duration, "measured time of each round")
	fs.IntVar(&cfg.EventBytes, "event-bytes", cfg.EventBytes, "size of an event")
	fs.IntVar(&cfg.Batch, "batch-events", cfg.Batch, "events of a batch")
	fs.IntVar(&cfg.BatchPosters, "batch-posters", cfg.BatchPosters, "connections that post batches")
	fs.IntVar(&cfg.Replay, "replay-events", cfg.Replay, "events that come while a relay is down")
	fs.IntVar(&cfg.Cold, "cold-slots", cfg.Cold, "slots that are pulled when they are cold")
	fs.IntVar(&cfg.Visible, "visible-events", cfg.Visible, "events whose way to another relay is timed")
	fs.Func("conns", "posters of posts, such as 255,63 (the default)", func(s string) error {
		cfg.Posters = nil
		for f := range strings.SplitSeq(s, ",") {
			n, err := strconv.Atoi(f)
			if err != nil || n < 3 {
				return fmt.Errorf("%q: want numbers of at least 3", f)
			}
			cfg.Posters = append(cfg.Posters, n)
		}
		return nil
	})
	fs.Func("parts", "such as post,replay; default: "+strings.Join(measure.Names, ","), func(s string) error {
		cfg.Parts = strings.Split(s, ",")
		return nil
	})
	if err := fs.Parse(args); errors.Is(err, flag.ErrHelp) {
		return nil
	} else if err != nil {
		return err
	}
	if cfg.Relay == "" || fs.NArg() > 0 || cfg.Rounds < 1 || cfg.BatchPosters < 1 || cfg.Batch < 1 || cfg.Cold < 1 || cfg.Visible < 1 {
		return errors.New("want --relay, no further words, and at least one of all that is counted")
	}
	if cfg.Relay, err = filepath.Abs(cfg.Relay); err != nil {
		return err
	}
	if err := proc.RaiseFiles(files); err != nil {
		return err
	}
	if cfg.Dir, err = os.MkdirTemp(dir, "fleet-"); err != nil {
		return err
	}
	if cfg.Dir, err = filepath.Abs(cfg.Dir); err != nil {
		return err
	}
	var file *os.File
	if out != "" {
		if file, err = os.OpenFile(out, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o644); err != nil {
			return err
		}
		defer func() { err = errors.Join(err, file.Close()) }()
	}
	show := newProgress(stderr, 0, 1, time.Now())
	show.head = "fleet"
	cfg.Step = show.step
	var wrong int64
	var writeErr error
	err = measure.Run(ctx, cfg, func(r report.Result) {
		show.clear()
		wrong += r.Errors()
		_, e := fmt.Fprintln(stdout, r.Line())
		if file != nil {
			e = errors.Join(e, r.WriteJSON(file))
		}
		writeErr = errors.Join(writeErr, e)
	})
	show.clear()
	if err = errors.Join(err, writeErr); err == nil && wrong > 0 {
		err = fmt.Errorf("%d answers were wrong or missing", wrong)
	}
	if err != nil {
		return fmt.Errorf("%w\nfolders and logs are in %s", err, cfg.Dir)
	}
	return os.RemoveAll(cfg.Dir)
}
