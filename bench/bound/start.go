package bound

import (
	"context"
	"errors"

	"cowrelay/bench/load"
	"cowrelay/bench/proc"
)

// Start starts a bound. self is the command that calls Run with what is
// appended to it.
func Start(ctx context.Context, self []string, b Config, dir string) (*load.Server, error) {
	bind, err := load.FreePort()
	if err != nil {
		return nil, err
	}
	b.Bind, b.Dir = bind, dir
	argv := append(append([]string{}, self...), b.args()...)
	p, err := proc.Start(dir, "bound", argv)
	if err != nil {
		return nil, err
	}
	s := &load.Server{Name: "bound", Addr: bind, PID: p.PID(), Proc: p}
	if err := s.AwaitReady(ctx, bind, "/readyz"); err != nil {
		return nil, errors.Join(err, s.Stop())
	}
	return s, nil
}
