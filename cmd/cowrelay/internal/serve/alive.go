package serve

import (
	"context"
	"errors"
	"net"
	"syscall"

	"cowrelay/cmd/cowrelay/internal/probe"
	"cowrelay/cow"
)

// alive returns nil if the relay serves, or why it does not: its listener takes no
// connection or gives no answer, or its commit loop hangs. To be turned away is an
// answer. A commit loop that waits for the disk does not hang: a restart makes no disk
// faster.
func alive(ctx context.Context, ln net.Listener, store *cow.Store) error {
	loop := make(chan error, 1)
	go func() { loop <- store.Alive(ctx) }()
	_, _, err := probe.Get(ctx, "http://"+probe.Reachable(ln.Addr().String())+"/healthz")
	for _, ours := range []error{syscall.EMFILE, syscall.ENFILE, syscall.ENOBUFS, syscall.EADDRNOTAVAIL} {
		if errors.Is(err, ours) {
			err = nil // we could not ask, which says nothing about the listener
		}
	}
	return errors.Join(err, <-loop)
}
