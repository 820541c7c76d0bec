// Command natspeer is NATS for `relaybench peers`: a server with JetStream
// that syncs before each acknowledgement, and the client that loads it. It is
// a module of its own so that the relay's does not need NATS; nats-server and
// nats.go are under the Apache License 2.0, like the relay.
//
//	natspeer server --bind HOST:PORT --dir DIR   until SIGTERM
//	natspeer load …                              one round, see peer.RunLoad
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"cowrelay/bench/peer"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:])
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "natspeer:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) error {
	if len(args) > 0 {
		switch args[0] {
		case "server":
			return serve(ctx, args[1:])
		case "load":
			return peer.RunLoad(ctx, args[1:], os.Stdout, dial)
		}
	}
	return errors.New("want server or load; relaybench peers calls it")
}
