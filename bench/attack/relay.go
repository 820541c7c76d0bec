package attack

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Time limits for what a relay does in order.
const (
	startTimeout = 90 * time.Second
	// stopTimeout is for a relay that has nothing to wait for; drills that give
	// it something have limits of their own.
	stopTimeout = 30 * time.Second
)

// relayArgs are the arguments of the relay beside its addresses and folder.
type relayArgs struct {
	flags []string
	files int // limit of open files; 0: that of this process
	// pipeLog gives the relay a pipe for its log, which is read until closeLog or
	// stallLog; else its log is a file.
	pipeLog bool
	token   bool // the admin listener asks for one
}

// A relay is the attacked process. Its ports and its folder stay over restarts.
type relay struct {
	bin   string
	dir   string
	args  relayArgs
	group *group
	addr  string // host:port that clients connect to
	admin string

	disk  string // the folder that mountDisk mounted
	token string // of the admin listener; "" for none

	cmd  *exec.Cmd
	done chan struct{} // closed when the process has ended
	log  string        // its file
	pipe *os.File      // the reader's end of the log, with pipeLog
	// copied is closed when nobody reads the pipe any more.
	copied chan struct{}
	plain  string // GOMEMLIMIT where there is no group
}

// inDir in a flag stands for the relay's folder.
const inDir = "{dir}/"

func newRelay(bin, dir string, args relayArgs, g *group) (*relay, error) {
	r := &relay{bin: bin, dir: dir, args: args, group: g, log: filepath.Join(dir, "relay.log")}
	var err error
	if r.addr, err = quietPort(); err != nil {
		return nil, err
	}
	for r.admin == "" || r.admin == r.addr {
		if r.admin, err = quietPort(); err != nil {
			return nil, err
		}
	}
	return r, nil
}

// quietPort is a free port of loopback below those that connect chooses from:
// after a kill no connection of ours can have taken it.
func quietPort() (string, error) {
	var last error
	for range 100 {
		addr := fmt.Sprintf("127.0.0.1:%d", 12_000+rand.IntN(20_000))
		l, err := net.Listen("tcp", addr)
		if err == nil {
			return addr, l.Close()
		}
		last = err
	}
	return "", fmt.Errorf("cannot find a free port: %w", last)
}

// shim enters the control groups, sets the limit of open files, and becomes the
// relay.
const shim = `n=$1; shift
while [ "$1" != -- ]; do echo $$ >"$1/cgroup.procs" || exit 70; shift; done
shift
[ "$n" = 0 ] || ulimit -n "$n" || exit 71
exec "$@"`

// start starts the process and waits until it is ready.
func (r *relay) start(ctx context.Context) error {
	argv := []string{"sh", "-c", shim, "sh", fmt.Sprint(r.args.files)}
	if r.group != nil {
		argv = append(argv, r.group.dirs...)
	}
	argv = append(argv, "--", r.bin, "serve", "--bind", r.addr, "--admin", r.admin, "--data-dir", filepath.Join(r.dir, "data"))
	for _, f := range r.args.flags {
		argv = append(argv, strings.Replace(f, inDir, r.dir+"/", 1))
	}
	cmd := exec.Command(argv[0], argv[1:]...)
	cmd.Env = relayEnv()
	if r.group == nil && r.plain != "" {
		cmd.Env = append(cmd.Env, "GOMEMLIMIT="+r.plain)
	}
	if r.token = ""; r.args.token {
		r.token = fmt.Sprintf("%016x%016x", rand.Uint64(), rand.Uint64())
		cmd.Env = append(cmd.Env, "COWRELAY_ADMIN_TOKEN="+r.token)
	}
	log, err := os.OpenFile(r.log, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o644)
	if err != nil {
		return err
	}
	defer log.Close()
	cmd.Stdout, cmd.Stderr = log, log
	if r.args.pipeLog {
		in, out, err := os.Pipe()
		if err != nil {
			return err
		}
		defer out.Close()
		cmd.Stdout, cmd.Stderr, r.pipe = out, out, in
	}
	// A process group of its own: Ctrl-C is for us, who stop it in order.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("cannot start the relay: %w", err)
	}
	if r.args.pipeLog {
		if err := r.copyLog(); err != nil {
			return err
		}
	}
	done := make(chan struct{})
	// Ends with the process, which stop and kill wait for.
	go func() {
		_ = cmd.Wait() // its state says how it ended
		close(done)
	}()
	r.cmd, r.done = cmd, done
	return r.awaitReady(ctx)
}

// relayEnv is this process's environment without what configures a relay.
func relayEnv() []string {
	var env []string
	for _, v := range os.Environ() {
		if !strings.HasPrefix(v, "COWRELAY_") && !strings.HasPrefix(v, "GOMEMLIMIT=") {
			env = append(env, v)
		}
	}
	return env
}

func (r *relay) awaitReady(ctx context.Context) error {
	end := time.Now().Add(startTimeout)
	for {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+r.addr+"/readyz", nil)
		if err != nil {
			return err
		}
		res, err := freshClient.Do(req)
		if err == nil {
			res.Body.Close()
			if res.StatusCode == http.StatusOK {
				return nil
			}
			err = fmt.Errorf("/readyz answers %d", res.StatusCode)
		}
		switch {
		case r.ended():
			return fmt.Errorf("the relay ended while starting: %s", r.state())
		case ctx.Err() != nil:
			return ctx.Err()
		case time.Now().After(end):
			return fmt.Errorf("the relay was not ready after %v: %w\n%s", startTimeout, err, r.tail())
		}
		time.Sleep(10 * time.Millisecond)
	}
}

func (r *relay) pid() int { return r.cmd.Process.Pid }

// ended says whether the process is gone, or was never there.
func (r *relay) ended() bool {
	if r.cmd == nil {
		return true
	}
	select {
	case <-r.done:
		return true
	default:
		return false
	}
}

// state says how the process ended, with the end of its log. It may be called
// once ended.
func (r *relay) state() string {
	return fmt.Sprintf("%v\n%s", r.cmd.ProcessState, r.tail())
}

// stop ends the relay by SIGTERM. It must end by itself within limit, with
// status 0; took is how long it took.
func (r *relay) stop(limit time.Duration) (took time.Duration, err error) {
	if r.ended() {
		return 0, errors.New("the relay had ended by itself")
	}
	began := time.Now()
	if err := r.cmd.Process.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return 0, err
	}
	t := time.NewTimer(limit)
	defer t.Stop()
	select {
	case <-r.done:
		took = time.Since(began)
		if code := r.cmd.ProcessState.ExitCode(); code != 0 {
			return took, fmt.Errorf("the relay ended with %s", r.state())
		}
		return took, nil
	case <-t.C:
		r.kill()
		return time.Since(began), fmt.Errorf("the relay did not end within %v of SIGTERM\n%s", limit, r.tail())
	}
}

// kill ends the relay as a crash would, and returns when it is gone.
func (r *relay) kill() {
	if r.cmd == nil {
		return
	}
	_ = r.cmd.Process.Kill() // gone is as good
	<-r.done
	if r.pipe != nil {
		_ = r.closeLog()
	}
}

// copyLog copies the log's pipe to its file, until closeLog or stallLog.
func (r *relay) copyLog() error {
	log, err := os.OpenFile(r.log, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o644)
	if err != nil {
		return err
	}
	copied, pipe := make(chan struct{}), r.pipe
	r.copied = copied
	go func() {
		defer close(copied)
		defer log.Close()
		_, _ = io.Copy(log, pipe) // ends with the pipe, or at its deadline
	}()
	return nil
}

// closeLog closes the reader's end of the log's pipe.
func (r *relay) closeLog() error {
	err := r.pipe.Close()
	<-r.copied
	return err
}

// stallLog stops reading the log's pipe, which holds little.
func (r *relay) stallLog() error {
	if err := r.pipe.SetReadDeadline(time.Now()); err != nil {
		return err
	}
	<-r.copied
	c, err := r.pipe.SyscallConn()
	if err != nil {
		return err
	}
	return c.Control(func(fd uintptr) {
		// The least that there is. It may hold more now, and stays as it is then.
		_, _ = unix.FcntlInt(fd, unix.F_SETPIPE_SZ, os.Getpagesize())
	})
}

// verify has the relay's own command look at the store, which must not be open.
func (r *relay) verify(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, r.bin, "verify", "--data-dir", filepath.Join(r.dir, "data"))
	cmd.Env = relayEnv()
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("the store is not sound: %w\n%s", err, lastOf(out))
	}
	return nil
}

// tail returns the end of the relay's log.
func (r *relay) tail() string {
	b, err := os.ReadFile(r.log)
	if err != nil {
		return ""
	}
	return lastOf(b)
}

func lastOf(b []byte) string {
	const most = 700
	if len(b) > most {
		b = b[len(b)-most:]
	}
	return strings.TrimSpace(string(b))
}
