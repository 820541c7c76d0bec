package serve

import (
	"context"
	"errors"
	"net"
	"syscall"

	"cowrelay/cmd/cowrelay/internal/probe"
	"cowrelay/cow"
)

// alive says why a relay that should serve does not: its listener takes no
// connection or gives no answer (to be turned away is one), or its commit loop
// hangs, and that not for the disk.
func alive(ctx context.Context, ln net.Listener, store *cow.Store) error {
	loop := make(chan error, 1)
	go func() { loop <- store.Alive(ctx) }()
	_, _, err := probe.Get(ctx, "http://"+probe.Reachable(ln.Addr().String())+"/healthz")
	for _, ours := range []error{syscall.EMFILE, syscall.ENFILE, syscall.ENOBUFS, syscall.EADDRNOTAVAIL} {
		if errors.Is(err, ours) {
			err = nil // it was not asked
		}
	}
	return errors.Join(err, <-loop)
}
