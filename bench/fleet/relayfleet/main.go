// Command relayfleet breaks relays and what they stand on while clients act, and
// checks what the clients saw; and it measures a fleet. It is in a module of its own
// because it needs a checker for linear orders and a client of NATS.
//
//	relayfleet chaos --relay bin/cowrelay [--journal file] [--rounds 100] [--seed N]
//	relayfleet measure --relay bin/cowrelay      which relaybench fleet calls
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := command(ctx, os.Args[1:])
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "relayfleet:", err)
		os.Exit(1)
	}
}

func command(ctx context.Context, args []string) error {
	if len(args) > 0 {
		switch args[0] {
		case "chaos":
			return runChaos(ctx, args[1:], os.Stdout, os.Stderr)
		case "measure":
			return runMeasure(ctx, args[1:], os.Stdout, os.Stderr)
		}
	}
	return errors.New("want chaos or measure; --help behind it explains")
}
