package bench

import (
	"fmt"
	"syscall"
)

// spareFiles are open files beside the connections: logs, pipes, polling,
// connections of the set-up.
const spareFiles = 64

// fillConns is the number of connections that fill a slot before a run.
const fillConns = 128

// checkFiles says whether this process may open enough files for conns
// connections. The servers are processes of their own and need as many again,
// each under a limit of its own.
func checkFiles(conns int) error {
	need := uint64(max(conns, fillConns) + spareFiles)
	var l syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &l); err != nil {
		return fmt.Errorf("cannot read the limit of open files: %w", err)
	}
	l.Cur = l.Max
	// Go raised its own limit, but gives children the one that it was started
	// with, until the program sets one: then they inherit that.
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &l); err != nil {
		return fmt.Errorf("cannot raise the limit of open files to %d: %w", l.Max, err)
	}
	return fitsFiles(need, l.Cur)
}

func fitsFiles(need, limit uint64) error {
	if need > limit {
		return fmt.Errorf("this run needs %d open files and the limit is %d: raise it (ulimit -n %d) or use fewer connections", need, limit, need)
	}
	return nil
}
