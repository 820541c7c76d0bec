package relay

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"cowrelay/bench/attack/client"
)

// shim is a shell script that enters the control groups, sets the limit of open
// files, and becomes the relay.
const shim = `n=$1; shift
while [ "$1" != -- ]; do echo $$ >"$1/cgroup.procs" || exit 70; shift; done
shift
[ "$n" = 0 ] || ulimit -n "$n" || exit 71
exec "$@"`

// Start starts the process and waits until it is ready.
func (r *Process) Start(ctx context.Context) error {
	argv := []string{"sh", "-c", shim, "sh", fmt.Sprint(r.Args.Files)}
	if r.Group != nil {
		argv = append(argv, r.Group.Dirs()...)
	}
	argv = append(argv, "--", r.bin, "serve", "--bind", r.bind(), "--admin", r.Admin, "--data-dir", filepath.Join(r.dir, "data"))
	argv = append(argv, r.certificate...)
	for _, f := range r.Args.Flags {
		argv = append(argv, strings.Replace(f, InDir, r.dir+"/", 1))
	}
	cmd := exec.Command(argv[0], argv[1:]...)
	cmd.Env = relayEnv()
	if r.Group == nil && r.Plain != "" {
		cmd.Env = append(cmd.Env, "GOMEMLIMIT="+r.Plain)
	}
	if r.Token = ""; r.Args.Token {
		r.Token = fmt.Sprintf("%016x%016x", rand.Uint64(), rand.Uint64())
		cmd.Env = append(cmd.Env, "COWRELAY_ADMIN_TOKEN="+r.Token)
	}
	log, err := os.OpenFile(r.log, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o644)
	if err != nil {
		return err
	}
	defer log.Close()
	cmd.Stdout, cmd.Stderr = log, log
	if r.Args.PipeLog {
		in, out, err := os.Pipe()
		if err != nil {
			return err
		}
		defer out.Close()
		cmd.Stdout, cmd.Stderr, r.pipe = out, out, in
	}
	// In a process group of its own it does not get our Ctrl-C: we stop it in order.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("cannot start the relay: %w", err)
	}
	if r.Args.PipeLog {
		if err := r.copyLog(); err != nil {
			return err
		}
	}
	done := make(chan struct{})
	// It ends with the process, for which Stop and Kill wait.
	go func() {
		_ = cmd.Wait() // its state says how it ended
		close(done)
	}()
	r.cmd, r.Done = cmd, done
	return r.awaitReady(ctx)
}

// bind is the addresses for clients. With a certificate, one without a scheme is TLS.
func (r *Process) bind() string {
	if r.TLS == "" {
		return r.Addr
	}
	return "http://" + r.Addr + ",https://" + r.TLS
}

// PlainLimit is the GOMEMLIMIT of a relay that has no control group: the heap's
// part of so many bytes.
func PlainLimit(memory int64) string { return fmt.Sprintf("%dMiB", memory*8/10>>20) }

// relayEnv is this process's environment, without what would configure a relay.
func relayEnv() []string {
	var env []string
	for _, v := range os.Environ() {
		if !strings.HasPrefix(v, "COWRELAY_") && !strings.HasPrefix(v, "GOMEMLIMIT=") {
			env = append(env, v)
		}
	}
	return env
}

func (r *Process) awaitReady(ctx context.Context) error {
	end := time.Now().Add(startTimeout)
	for {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+r.Addr+"/readyz", nil)
		if err != nil {
			return err
		}
		res, err := client.Fresh.Do(req)
		if err == nil {
			res.Body.Close()
			if res.StatusCode == http.StatusOK {
				return nil
			}
			err = fmt.Errorf("/readyz answers %d", res.StatusCode)
		}
		switch {
		case r.Ended():
			return fmt.Errorf("the relay ended while starting: %s", r.State())
		case ctx.Err() != nil:
			return ctx.Err()
		case time.Now().After(end):
			return fmt.Errorf("the relay was not ready after %v: %w\n%s", startTimeout, err, r.tail())
		}
		time.Sleep(10 * time.Millisecond)
	}
}
