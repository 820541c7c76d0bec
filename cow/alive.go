package cow

import (
	"context"
	"errors"
)

// ErrStuck says that the commit loop does not answer, and that the disk is not
// why.
var ErrStuck = errors.New("cow: the commit loop does not answer")

// Alive asks the commit loop for an answer and returns nil when it has come. It
// also returns nil when ctx ends while the loop waits for the journal: a slow
// disk is no faster after a restart, and readers are served meanwhile. ErrStuck
// says that ctx ended without a reason of that kind. Not after Close.
func (s *Store) Alive(ctx context.Context) error {
	answered := s.inbox.probe()
	select {
	case <-answered:
		return nil
	case <-ctx.Done():
	}
	if s.queue.writing() {
		return nil
	}
	return ErrStuck
}
