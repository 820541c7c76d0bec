// Command relaybench loads a relay and holds it against its bound. The work is
// done by the packages of folder bench; this command binds flags to them.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime"
	"syscall"

	"cowrelay/bench/bound"
	"cowrelay/bench/load/pullers"
	"cowrelay/bench/report"
	"cowrelay/bench/run"
	"cowrelay/bench/scenario"
)

func main() {
	// The bound comes before the signals are caught: it ends at a signal like any
	// other program.
	if len(os.Args) > 1 && os.Args[1] == bound.Command {
		if err := bound.Run(os.Args[2:]); err != nil {
			fmt.Fprintln(os.Stderr, "relaybench: bound server:", err)
			os.Exit(exitError)
		}
		return
	}
	if len(os.Args) > 1 && os.Args[1] == pullers.Command {
		if err := pullers.Run(os.Args[2:]); err != nil {
			fmt.Fprintln(os.Stderr, "relaybench: pullers:", err)
			os.Exit(exitError)
		}
		return
	}
	// At both signals the servers that this command started are stopped in order.
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := command(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

// command runs what the command line says, and returns the exit status.
func command(ctx context.Context, args []string, stdout io.Writer, stderr *os.File) int {
	if len(args) > 0 && args[0] == plotCommand {
		return drawResults(args[1:], stdout, stderr)
	}
	if len(args) > 0 && args[0] == attackCommand {
		return attackRelay(ctx, args[1:], stdout, stderr)
	}
	if len(args) > 0 && args[0] == soakCommand {
		_, l := newSoak()
		return l.main(ctx, args[1:], stdout, stderr)
	}
	if len(args) > 0 && args[0] == retentionCommand {
		_, l := newRetention()
		return l.main(ctx, args[1:], stdout, stderr)
	}
	if len(args) > 0 && args[0] == modelCommand {
		return workOut(args[1:], stdout, stderr)
	}
	if len(args) > 0 && args[0] == fleetCommand {
		return measureFleet(ctx, args[1:], stdout, stderr)
	}
	o, err := parse(args)
	return carryOut("relaybench", err, func() { printHelp(stdout) }, func() error { return o.run(ctx, stdout, stderr) }, stderr)
}

func (o *options) run(ctx context.Context, stdout io.Writer, stderr *os.File) (err error) {
	cfg := o.cfg
	self, err := os.Executable()
	if err != nil {
		return fmt.Errorf("cannot find this program, to start it again as the bound: %w", err)
	}
	cfg.Loader = []string{self, pullers.Command}
	if !o.noBound {
		cfg.Self = []string{self, bound.Command}
	}
	if o.procs > 0 {
		runtime.GOMAXPROCS(o.procs)
	}
	if !o.quiet {
		cfg.Progress = newProgress(stderr)
	}
	var out *os.File
	if o.out != "" {
		if out, err = os.OpenFile(o.out, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o644); err != nil {
			return err
		}
		defer func() { err = errors.Join(err, out.Close()) }()
	}
	var all []report.Result
	var wrong int64
	var writeErr error
	load := scenario.Run
	if o.peers {
		load = func(ctx context.Context, cfg run.Config, _ []string, emit func(report.Result)) error {
			return o.runPeers(ctx, cfg, self, emit)
		}
	}
	err = load(ctx, cfg, o.scenarios, func(r report.Result) {
		wrong += r.Errors()
		all = append(all, r)
		if o.json {
			writeErr = errors.Join(writeErr, r.WriteJSON(stdout))
		} else {
			_, e := fmt.Fprintln(stdout, r.Line())
			writeErr = errors.Join(writeErr, e)
		}
		if out != nil {
			writeErr = errors.Join(writeErr, r.WriteJSON(out))
		}
	})
	if err == nil && cfg.Profile != "" {
		err = o.writeProfile(ctx, all, stderr)
	}
	if err = errors.Join(err, writeErr); err == nil && wrong > 0 {
		err = fmt.Errorf("%d answers were wrong or missing", wrong)
	}
	return err
}
