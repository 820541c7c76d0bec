package bench

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"time"
)

// A loader is a process of pullers, as the generator sees it.
type loader struct {
	proc    *child
	orders  *json.Encoder
	reports *json.Decoder
	out     *os.File // its standard output
}

// startLoader starts a loader and waits until it has read the slot.
func startLoader(ctx context.Context, argv []string, dir string, t loaderTask) (*loader, error) {
	if len(argv) == 0 {
		return nil, errors.New("the pullers need a process of their own, and no loader is configured")
	}
	out, stdout, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	p, err := startChildTo(dir, "pullers-"+t.Side, argv, stdout)
	stdout.Close()
	if err != nil {
		out.Close()
		return nil, err
	}
	l := &loader{proc: p, orders: json.NewEncoder(p.in), reports: json.NewDecoder(out), out: out}
	if _, err := l.exchange(ctx, t, startTimeout); err != nil {
		return nil, errors.Join(err, l.close())
	}
	return l, nil
}

// do gives an order and returns the report on it.
func (l *loader) do(ctx context.Context, o loaderOrder) (loaderReport, error) {
	return l.exchange(ctx, o, 2*answerGrace)
}

// exchange writes one line and reads the report that answers it.
func (l *loader) exchange(ctx context.Context, line any, within time.Duration) (r loaderReport, err error) {
	if err = l.out.SetReadDeadline(time.Now().Add(within)); err != nil {
		return r, err
	}
	defer context.AfterFunc(ctx, func() { _ = l.out.SetReadDeadline(time.Now()) })()
	if err = l.orders.Encode(line); err == nil {
		err = l.reports.Decode(&r)
	}
	if err != nil {
		return r, errors.Join(ctx.Err(), fmt.Errorf("no report from the pullers: %w\n%s", err, l.proc.tail()))
	}
	return r, nil
}

// close ends the process.
func (l *loader) close() error {
	defer l.out.Close()
	if err := l.proc.stop(); err != nil {
		return fmt.Errorf("pullers: %w", err)
	}
	return nil
}
