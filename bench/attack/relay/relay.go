package relay

import (
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"cowrelay/bench/cgroup"
	"cowrelay/bench/load"
	"cowrelay/bench/wire"
)

// How long a relay may take to start and to end.
const (
	startTimeout = 90 * time.Second
	// StopTimeout is for a relay that has nothing to wait for. Drills that make
	// it wait have limits of their own.
	StopTimeout = 30 * time.Second
)

// Args are a relay's arguments beside its addresses and its folder.
type Args struct {
	Flags []string
	Files int // limit of open files; 0: that of this process
	// PipeLog gives the relay a pipe for its log, which is read until CloseLog
	// or StallLog. Otherwise the log is a file.
	PipeLog bool
	Token   bool // the admin listener asks for one
	TLS     bool // it also has a listener with TLS
}

// A Process is the attacked relay. Its ports and its folder stay the same over
// restarts.
type Process struct {
	bin   string
	dir   string
	Args  Args
	Group *cgroup.Group
	Addr  string // host:port that clients connect to
	Admin string
	TLS   string // host:port of the listener with TLS; "": none

	Disk  string // the folder that MountDisk mounted
	Token string // of the admin listener; "": none

	cmd  *exec.Cmd
	Done chan struct{} // closed when the process has ended
	log  string        // the path of its log
	pipe *os.File      // the reader's end of the log, with PipeLog

	certificate []string // the arguments that name it
	// copied is closed when nobody reads the pipe any longer.
	copied chan struct{}
	Plain  string // GOMEMLIMIT, if there is no group
}

// InDir in a flag is replaced by the relay's folder.
const InDir = "{dir}/"

// New returns a relay that is not started yet.
func New(bin, dir string, args Args, g *cgroup.Group) (*Process, error) {
	r := &Process{bin: bin, dir: dir, Args: args, Group: g, log: filepath.Join(dir, "relay.log")}
	var err error
	if r.Addr, err = load.FreePort(); err != nil {
		return nil, err
	}
	for r.Admin == "" || r.Admin == r.Addr {
		if r.Admin, err = load.FreePort(); err != nil {
			return nil, err
		}
	}
	for args.TLS && (r.TLS == "" || r.TLS == r.Addr || r.TLS == r.Admin) {
		if r.TLS, err = load.FreePort(); err != nil {
			return nil, err
		}
	}
	if args.TLS {
		if r.certificate, err = wire.MakeCertificate(dir); err != nil {
			return nil, err
		}
	}
	return r, nil
}

func (r *Process) PID() int { return r.cmd.Process.Pid }
