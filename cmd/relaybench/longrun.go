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
	"time"

	"cowrelay/bench/record"
	"cowrelay/bench/run"
)

// A longRun is a command that runs a load of minutes or hours and records what it sees,
// or judges and draws the record of an earlier one. R is that record.
type longRun[R interface {
	Judge() *record.Verdict
	Summary() string
}] struct {
	word, help   string
	cfg          *run.Config
	every        *time.Duration
	out, command *string
	ownFlags     func(*flag.FlagSet)
	validate     func() error
	load         func(context.Context) (R, *record.Verdict, error)
	read         func(dir string) (R, error)
	plot         func(dir string, r R) ([]string, error)

	// What the command line says.
	draw  string
	quiet bool
}

func (l *longRun[R]) name() string { return "relaybench " + l.word }

func (l *longRun[R]) flags() *flag.FlagSet {
	fs := flag.NewFlagSet(l.name(), flag.ContinueOnError)
	fs.SetOutput(io.Discard)
	c := l.cfg
	fs.StringVar(&c.Relay, "relay", "", "")
	fs.Func("relay-args", "", func(s string) error { c.RelayArgs = strings.Fields(s); return nil })
	fs.StringVar(&c.Dir, "dir", c.Dir, "")
	fs.StringVar(l.out, "out", "", "")
	fs.DurationVar(l.every, "every", *l.every, "")
	fs.StringVar(&c.Commit, "commit", "", "")
	fs.StringVar(&l.draw, "draw", "", "")
	fs.BoolVar(&l.quiet, "quiet", false, "")
	l.ownFlags(fs)
	return fs
}

func (l *longRun[R]) parse(args []string) error {
	fs := l.flags()
	if err := fs.Parse(args); errors.Is(err, flag.ErrHelp) {
		return errHelp
	} else if err != nil {
		return err
	}
	if fs.NArg() > 0 {
		return fmt.Errorf("%q: want flags only", fs.Arg(0))
	}
	if l.draw != "" {
		return nil
	}
	*l.command = commandLine(append([]string{l.word}, args...))
	return l.validate()
}

// main is the whole command. It returns the exit status.
func (l *longRun[R]) main(ctx context.Context, args []string, stdout io.Writer, stderr *os.File) int {
	return carryOut(l.name(), l.parse(args), func() { fmt.Fprint(stdout, l.help) },
		func() error { return l.run(ctx, stdout, stderr) }, stderr)
}

func (l *longRun[R]) run(ctx context.Context, stdout io.Writer, stderr *os.File) error {
	log.SetOutput(io.Discard) // net/http tells of connections that the relay closed
	var rec R
	var v *record.Verdict
	var err error
	dir := l.draw
	if dir != "" {
		if rec, err = l.read(dir); err != nil {
			return err
		}
		v = rec.Judge()
	} else {
		if !l.quiet {
			l.cfg.Progress = newProgress(stderr)
		}
		dir = *l.out
		if rec, v, err = l.load(ctx); v == nil {
			return err
		}
	}
	fmt.Fprint(stdout, rec.Summary(), v)
	if _, drawErr := l.plot(dir, rec); drawErr != nil {
		err = errors.Join(err, drawErr)
	}
	if err == nil && !v.OK {
		err = errors.New("not all bars hold")
	}
	return err
}
