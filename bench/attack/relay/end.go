package relay

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"
)

// Ended says whether the process is gone, or never was.
func (r *Process) Ended() bool {
	if r.cmd == nil {
		return true
	}
	select {
	case <-r.Done:
		return true
	default:
		return false
	}
}

// State says how the process ended, with the end of its log. It is for a
// process that has ended.
func (r *Process) State() string {
	return fmt.Sprintf("%v\n%s", r.cmd.ProcessState, r.tail())
}

// Stop ends the relay with SIGTERM, and returns how long that took. The relay
// must end within limit, with status 0; else it is killed.
func (r *Process) Stop(limit time.Duration) (took time.Duration, err error) {
	if r.Ended() {
		return 0, errors.New("the relay had ended by itself")
	}
	began := time.Now()
	if err := r.cmd.Process.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return 0, err
	}
	t := time.NewTimer(limit)
	defer t.Stop()
	select {
	case <-r.Done:
		took = time.Since(began)
		if code := r.cmd.ProcessState.ExitCode(); code != 0 {
			return took, fmt.Errorf("the relay ended with %s", r.State())
		}
		return took, nil
	case <-t.C:
		r.Kill()
		return time.Since(began), fmt.Errorf("the relay did not end within %v of SIGTERM\n%s", limit, r.tail())
	}
}

// Kill ends the relay as a crash would, and returns when it is gone.
func (r *Process) Kill() {
	if r.cmd == nil {
		return
	}
	_ = r.cmd.Process.Kill() // if it is gone, good
	<-r.Done
	if r.pipe != nil {
		_ = r.CloseLog()
	}
}

// Verify checks the store with the relay's own command. The relay must not run.
func (r *Process) Verify(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, r.bin, "verify", "--data-dir", filepath.Join(r.dir, "data"))
	cmd.Env = relayEnv()
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("the store is not sound: %w\n%s", err, lastOf(out))
	}
	return nil
}
