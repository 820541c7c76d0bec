package proc

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"
)

// stopGrace is how long a server may take from SIGTERM to its end. A relay
// drains within 10 s.
const stopGrace = 15 * time.Second

// A Child is a server process that this one started and will end.
type Child struct {
	cmd  *exec.Cmd
	log  string        // file with its output
	done chan struct{} // closed when it has ended
	err  error         // why it ended; read after done
	In   *os.File      // our end of its standard input
}

// Start starts a command. Its output goes to NAME.log in dir. Its standard
// input ends when this process ends, however that happens.
func Start(dir, name string, argv []string) (*Child, error) {
	return StartTo(dir, name, argv, nil)
}

// StartTo is Start with another file for the command's standard output; nil is
// the log too.
func StartTo(dir, name string, argv []string, stdout *os.File) (*Child, error) {
	return start(dir, name, argv, stdout, os.O_TRUNC, syscall.SIGTERM)
}

// Append is Start for a command that is started again and again: its output goes
// behind what stands in the log. The command may be paused when we are killed, so it
// is killed then, too.
func Append(dir, name string, argv []string) (*Child, error) {
	return start(dir, name, argv, nil, os.O_APPEND, syscall.SIGKILL)
}

func start(dir, name string, argv []string, stdout *os.File, mode int, orphaned syscall.Signal) (*Child, error) {
	log, err := os.OpenFile(filepath.Join(dir, name+".log"), os.O_CREATE|os.O_WRONLY|mode, 0o644)
	if err != nil {
		return nil, fmt.Errorf("cannot make the log of %s: %w", name, err)
	}
	defer log.Close()
	in, out, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer in.Close()
	cmd := exec.Command(argv[0], argv[1:]...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = in, log, log
	if stdout != nil {
		cmd.Stdout = stdout
	}
	// In a group of its own it does not get our Ctrl-C: we stop our servers in
	// order. Pdeathsig ends it if we are killed.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: orphaned}
	if err := cmd.Start(); err != nil {
		out.Close()
		return nil, fmt.Errorf("cannot start %s: %w", name, err)
	}
	c := &Child{cmd: cmd, log: log.Name(), done: make(chan struct{}), In: out}
	// Ends with the process, for which Stop and Kill wait.
	go func() {
		c.err = cmd.Wait()
		close(c.done)
	}()
	return c, nil
}

func (c *Child) PID() int { return c.cmd.Process.Pid }

// Ended says whether the process is gone.
func (c *Child) Ended() bool {
	select {
	case <-c.done:
		return true
	default:
		return false
	}
}

// Stop ends the process with SIGTERM, or with SIGKILL if it takes longer than
// stopGrace. It returns when the process is gone.
func (c *Child) Stop() error {
	defer c.In.Close()
	if c.Ended() {
		return c.ownEnd()
	}
	if err := c.cmd.Process.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	t := time.NewTimer(stopGrace)
	defer t.Stop()
	select {
	case <-c.done:
		return nil
	case <-t.C:
		_ = c.cmd.Process.Kill()
		<-c.done
		return fmt.Errorf("the server did not end within %v of SIGTERM and was killed", stopGrace)
	}
}

// Kill ends the process with SIGKILL, as a crash would, and returns when it is
// gone.
func (c *Child) Kill() error {
	defer c.In.Close()
	if c.Ended() {
		return c.ownEnd()
	}
	if err := c.cmd.Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	<-c.done
	return nil
}

// ownEnd is the error for a process that ended by itself.
func (c *Child) ownEnd() error {
	return fmt.Errorf("the server ended by itself: %w\n%s", errors.Join(errors.New("process gone"), c.err), c.Tail())
}

// Tail returns the end of the process's output.
func (c *Child) Tail() string {
	b, err := os.ReadFile(c.log)
	if err != nil {
		return ""
	}
	const most = 2000
	if len(b) > most {
		b = b[len(b)-most:]
	}
	return string(bytes.TrimSpace(b))
}
