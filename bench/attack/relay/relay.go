package relay

import (
	"os"
	"os/exec"
	"path/filepath"
	"time"
)

// Time limits for what a relay does in order.
const (
	startTimeout = 90 * time.Second
	// StopTimeout is for a relay that has nothing to wait for; drills that give
	// it something have limits of their own.
	StopTimeout = 30 * time.Second
)

// Args are the arguments of the relay beside its addresses and folder.
type Args struct {
	Flags []string
	Files int // limit of open files; 0: that of this process
	// PipeLog gives the relay a pipe for its log, which is read until CloseLog or
	// StallLog; else its log is a file.
	PipeLog bool
	Token   bool // the admin listener asks for one
}

// A relay is the attacked process. Its ports and its folder stay over restarts.
type Process struct {
	bin   string
	dir   string
	Args  Args
	Group *Group
	Addr  string // host:port that clients connect to
	Admin string

	Disk  string // the folder that MountDisk mounted
	Token string // of the admin listener; "" for none

	cmd  *exec.Cmd
	Done chan struct{} // closed when the process has ended
	log  string        // its file
	pipe *os.File      // the reader's end of the log, with PipeLog
	// copied is closed when nobody reads the pipe any more.
	copied chan struct{}
	Plain  string // GOMEMLIMIT where there is no group
}

// InDir in a flag stands for the relay's folder.
const InDir = "{dir}/"

func New(bin, dir string, args Args, g *Group) (*Process, error) {
	r := &Process{bin: bin, dir: dir, Args: args, Group: g, log: filepath.Join(dir, "relay.log")}
	var err error
	if r.Addr, err = quietPort(); err != nil {
		return nil, err
	}
	for r.Admin == "" || r.Admin == r.Addr {
		if r.Admin, err = quietPort(); err != nil {
			return nil, err
		}
	}
	return r, nil
}

func (r *Process) PID() int { return r.cmd.Process.Pid }
