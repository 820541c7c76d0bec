package serve

import (
	"context"
	"errors"
	"net"
	"syscall"

	"cowrelay/cmd/cowrelay/internal/probe"
	"cowrelay/cow"
)

// alive returns nil if the relay serves, or why it does not: a listener takes no
// connection or gives no answer, or its commit loop hangs. To be turned away is an
// answer. A commit loop that waits for the disk does not hang: a restart makes no disk
// faster.
func alive(ctx context.Context, listeners []net.Listener, store *cow.Store) error {
	loop := make(chan error, 1)
	go func() { loop <- store.Alive(ctx) }()
	var wrong []error
	for _, ln := range listeners {
		wrong = append(wrong, answers(ctx, ln.Addr()))
	}
	return errors.Join(append(wrong, <-loop)...)
}

// answers returns nil if the relay answers at the address, or can't be asked.
func answers(ctx context.Context, at net.Addr) (err error) {
	if at.Network() == "unix" {
		_, _, err = probe.GetUnix(ctx, at.String(), "/healthz")
	} else {
		_, _, err = probe.Get(ctx, "http://"+probe.Reachable(at.String())+"/healthz")
	}
	for _, ours := range []error{syscall.EMFILE, syscall.ENFILE, syscall.ENOBUFS, syscall.EADDRNOTAVAIL} {
		if errors.Is(err, ours) {
			return nil // we could not ask, which says nothing about the listener
		}
	}
	return err
}
