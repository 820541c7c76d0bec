package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"
)

// fleetCommand measures a fleet. It takes the place of scenarios.
const fleetCommand = "fleet"

// measureFleet runs `relaybench fleet`. The work is done by relayfleet, which is in the
// folder of this program: it needs a client of NATS, and this one shall not.
func measureFleet(ctx context.Context, args []string, stdout io.Writer, stderr *os.File) int {
	self, err := os.Executable()
	if err == nil {
		err = runFleet(ctx, filepath.Join(filepath.Dir(self), "relayfleet"), args, stdout, stderr)
	}
	if exit := new(exec.ExitError); errors.As(err, &exit) && exit.ExitCode() > 0 {
		return exit.ExitCode() // it has said why
	}
	if err != nil {
		fmt.Fprintln(stderr, "relaybench fleet:", err)
		return exitError
	}
	return exitOK
}

func runFleet(ctx context.Context, program string, args []string, stdout io.Writer, stderr *os.File) error {
	if _, err := os.Stat(program); err != nil {
		return fmt.Errorf("%w: make relayfleet builds it", err)
	}
	cmd := exec.CommandContext(ctx, program, append([]string{"measure"}, args...)...)
	cmd.Stdout, cmd.Stderr = stdout, stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGTERM}
	// It ends its relays and servers in order.
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = time.Minute
	return cmd.Run()
}
