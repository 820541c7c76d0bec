package serve

import (
	"context"
	"crypto/tls"
	"errors"
	"syscall"

	"cowrelay/cmd/cowrelay/internal/probe"
	"cowrelay/cow"
)

// alive returns nil if the relay serves, or why it does not: a listener takes no
// connection or gives no answer, or its commit loop hangs. To be turned away is an
// answer. A commit loop that waits for the disk does not hang: a restart makes no disk
// faster.
func alive(ctx context.Context, doors []door, store *cow.Store) error {
	loop := make(chan error, 1)
	go func() { loop <- store.Alive(ctx) }()
	var wrong []error
	for _, d := range doors {
		wrong = append(wrong, answers(ctx, d))
	}
	return errors.Join(append(wrong, <-loop)...)
}

// answers returns nil if the relay answers there, or can't be asked.
func answers(ctx context.Context, d door) (err error) {
	if url := d.url(); url == "" {
		_, _, err = probe.GetUnix(ctx, d.Addr().String(), "/healthz")
	} else {
		_, _, err = probe.GetOwn(ctx, url+"/healthz")
	}
	if no := new(tls.AlertError); errors.As(err, no) {
		return nil // it answers that it has no certificate yet, which a restart would not bring
	}
	for _, ours := range []error{syscall.EMFILE, syscall.ENFILE, syscall.ENOBUFS, syscall.EADDRNOTAVAIL} {
		if errors.Is(err, ours) {
			return nil // we could not ask, which says nothing about the listener
		}
	}
	return err
}
