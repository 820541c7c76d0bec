package serve

import (
	"context"
	"errors"
	"log/slog"
	"sync/atomic"
	"testing"

	"cowrelay/cmd/cowrelay/internal/relaytest"
)

// A relay that does not answer itself says so instead of that it lives, until
// it answers again.
func TestSupervisor_OnlyWhileAlive(t *testing.T) {
	m := relaytest.StartManager(t)
	s := newSupervisor(slog.New(slog.DiscardHandler))
	defer s.stopping("done")
	var sick atomic.Bool
	sick.Store(true)
	s.serving(func(context.Context) error {
		if sick.Load() {
			return errors.New("it hangs")
		}
		return nil
	}, func() string { return "well" })
	m.Await(1, "STATUS=does not answer itself: it hangs")
	sick.Store(false)
	m.Await(1, "READY=1")
	m.Await(1, "WATCHDOG=1")
	earlier := m.Count("it hangs")
	sick.Store(true)
	first, second := m.Await(earlier+1, "it hangs"), m.Await(earlier+2, "it hangs")
	if n := m.Count("READY=1"); n != 1 {
		t.Errorf("ready %d times", n)
	}
	if all := m.Messages(); second != first+1 {
		t.Errorf("it is said to live: %q", all[first:second])
	}
	sick.Store(false)
	m.Await(m.Count("WATCHDOG=1")+1, "WATCHDOG=1")
}
