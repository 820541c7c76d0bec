package peer

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os/exec"
	"strings"
	"syscall"
	"time"

	"cowrelay/bench/load"
	"cowrelay/bench/run"
	"cowrelay/bench/wire"
)

// loadRunner has another program load a side, a process each round: this one
// does not link the peer's client.
type loadRunner struct {
	e       *run.Env
	program string
	load    peerLoad
}

// loadGrace is what a load may take beyond its round: connecting, and answers
// that come late.
const loadGrace = time.Minute

func (r *loadRunner) Round(ctx context.Context) (load.Sample, error) {
	ctx, cancel := context.WithTimeout(ctx, r.load.cfg.Warmup+r.load.cfg.Duration+loadGrace)
	defer cancel()
	r.load.nonce = wire.NewNonce() // lanes of its own
	cmd := exec.CommandContext(ctx, r.program, append([]string{"load"}, r.load.args()...)...)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	// As for servers: Ctrl-C is for the bench alone, and a bench that was
	// killed leaves nothing behind.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	cmd.WaitDelay = time.Second
	if err := cmd.Start(); err != nil {
		return load.Sample{}, err
	}
	waitErr := r.e.Wait(ctx, r.load.cfg.Warmup+r.load.cfg.Duration)
	if err := cmd.Wait(); err != nil {
		return load.Sample{}, errors.Join(waitErr, fmt.Errorf("the load ended badly: %w: %s", err, strings.TrimSpace(errs.String())))
	}
	return parseLoaded(out.Bytes())
}
