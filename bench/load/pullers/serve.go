package pullers

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"runtime"
	"syscall"
)

// Run pulls as its standard input says, until that ends or the process is
// signalled. It takes no arguments.
func Run(args []string) error {
	fs := flag.NewFlagSet(Command, flag.ContinueOnError)
	fs.SetOutput(io.Discard)
	if err := fs.Parse(args); err != nil {
		return err
	}
	return serve(context.Background(), os.Stdin, os.Stdout)
}

// serve reads a task and orders from in and writes reports to out.
func serve(ctx context.Context, in io.Reader, out io.Writer) error {
	orders, reports := json.NewDecoder(in), json.NewEncoder(out)
	var t Task
	if err := orders.Decode(&t); err != nil {
		return fmt.Errorf("cannot read the task: %w", err)
	}
	if t.Procs > 0 {
		runtime.GOMAXPROCS(t.Procs)
	}
	if t.Nice > 0 {
		// PRIO_PROCESS would set it for one thread. The process group is this process
		// alone.
		if err := syscall.Setpriority(syscall.PRIO_PGRP, 0, t.Nice); err != nil {
			return fmt.Errorf("cannot set the priority: %w", err)
		}
	}
	l, err := t.prepare(ctx)
	if err != nil {
		return err
	}
	if err := reports.Encode(l.report()); err != nil {
		return err
	}
	defer l.stop()
	for {
		var o Order
		if err := orders.Decode(&o); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return fmt.Errorf("cannot read an order: %w", err)
		}
		switch o.Do {
		case "start":
			l.stop()
			l.start(ctx, o.Rate)
		case "stop":
			l.stop()
		case "report":
		default:
			return fmt.Errorf("unknown order %q", o.Do)
		}
		if err := reports.Encode(l.report()); err != nil {
			return err
		}
	}
}
