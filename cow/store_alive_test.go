package cow_test

import (
	"context"
	"errors"
	"testing"

	"cowrelay/cow"
)

// over is a context that has ended.
func over() context.Context {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	return ctx
}

func TestAlive(t *testing.T) {
	f := open(t, cow.Options{})
	slot := f.slot()
	if err := f.Alive(t.Context()); err != nil {
		t.Errorf("at rest: %v", err)
	}

	// A journal that holds the loop up is a slow disk.
	entered, release := f.m.Hold()
	post := f.later(slot, ev("a"))
	<-entered
	if err := f.Alive(over()); err != nil {
		t.Errorf("while the journal works: %v", err)
	}
	release()
	f.wait(post)

	// A loop that something else holds up is stuck.
	free := f.HoldLoop()
	if err := f.Alive(over()); !errors.Is(err, cow.ErrStuck) {
		t.Errorf("while the loop hangs: %v", err)
	}
	free()
	if err := f.Alive(t.Context()); err != nil {
		t.Errorf("afterwards: %v", err)
	}
}
