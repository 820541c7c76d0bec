package pullers

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"time"

	"cowrelay/bench/load"
	"cowrelay/bench/proc"
	"cowrelay/bench/wire"
)

// A Process is a process of pullers, as the generator sees it.
type Process struct {
	proc    *proc.Child
	orders  *json.Encoder
	reports *json.Decoder
	out     *os.File // its standard output
}

// Start starts a process of pullers and waits until it has read the slot.
func Start(ctx context.Context, argv []string, dir string, t Task) (*Process, error) {
	if len(argv) == 0 {
		return nil, errors.New("the pullers need a process of their own, and no loader is configured")
	}
	out, stdout, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	p, err := proc.StartTo(dir, "pullers-"+t.Side, argv, stdout)
	stdout.Close()
	if err != nil {
		out.Close()
		return nil, err
	}
	l := &Process{proc: p, orders: json.NewEncoder(p.In), reports: json.NewDecoder(out), out: out}
	if _, err := l.exchange(ctx, t, load.StartTimeout); err != nil {
		return nil, errors.Join(err, l.Close())
	}
	return l, nil
}

// Do gives an order and returns the report on it.
func (l *Process) Do(ctx context.Context, o Order) (Report, error) {
	return l.exchange(ctx, o, 2*wire.AnswerGrace)
}

// exchange writes one line and reads the report that answers it.
func (l *Process) exchange(ctx context.Context, line any, within time.Duration) (r Report, err error) {
	if err = l.out.SetReadDeadline(time.Now().Add(within)); err != nil {
		return r, err
	}
	defer context.AfterFunc(ctx, func() { _ = l.out.SetReadDeadline(time.Now()) })()
	if err = l.orders.Encode(line); err == nil {
		err = l.reports.Decode(&r)
	}
	if err != nil {
		return r, errors.Join(ctx.Err(), fmt.Errorf("no report from the pullers: %w\n%s", err, l.proc.Tail()))
	}
	return r, nil
}

// Close ends the process.
func (l *Process) Close() error {
	defer l.out.Close()
	if err := l.proc.Stop(); err != nil {
		return fmt.Errorf("pullers: %w", err)
	}
	return nil
}
