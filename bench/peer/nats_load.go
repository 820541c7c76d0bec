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

// A loadRunner has another program load a server, in a new process for each
// round: this program does not link the peer's client.
type loadRunner struct {
	e       *run.Env
	program string
	load    peerLoad
}

// loadGrace is how long a load may take beyond its round, for connecting and
// for late answers.
const loadGrace = time.Minute

func (r *loadRunner) Round(ctx context.Context) (load.Sample, error) {
	ctx, cancel := context.WithTimeout(ctx, r.load.cfg.Warmup+r.load.cfg.Duration+loadGrace)
	defer cancel()
	r.load.nonce = wire.NewNonce() // so that its lanes are new
	cmd := exec.CommandContext(ctx, r.program, append([]string{"load"}, r.load.args()...)...)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	// As for servers: our Ctrl-C is not for it, and it ends if we are killed.
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
