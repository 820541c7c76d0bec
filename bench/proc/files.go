package proc

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
	"syscall"
)

// SpareFiles is how many open files a process needs beside its connections:
// logs, pipes, polling, connections of the set-up.
const SpareFiles = 64

// RaiseFiles raises this process's limit of open files as far as it may, and
// says whether conns connections fit. The servers are processes of their own,
// each with a limit of its own.
func RaiseFiles(conns int) error {
	need := uint64(conns + SpareFiles)
	var l syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &l); err != nil {
		return fmt.Errorf("cannot read the limit of open files: %w", err)
	}
	l.Cur = l.Max
	// Go raises its own limit by itself, but its children get the limit that it was
	// started with, unless the program has set one.
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &l); err != nil {
		return fmt.Errorf("cannot raise the limit of open files to %d: %w", l.Max, err)
	}
	return fitsFiles(need, l.Cur)
}

// Connections returns how many connections fit into this process's limit of open
// files, after RaiseFiles.
func Connections() (int, error) {
	var l syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &l); err != nil {
		return 0, fmt.Errorf("cannot read the limit of open files: %w", err)
	}
	return int(min(l.Cur, 1<<24)) - SpareFiles, nil
}

func fitsFiles(need, limit uint64) error {
	if need > limit {
		return fmt.Errorf("this run needs %d open files and the limit is %d: raise it (ulimit -n %d) or use fewer connections", need, limit, need)
	}
	return nil
}

// CheckFiles says whether a running server may open enough files for conns
// connections. Many servers raise their own limit, so only the running one
// knows.
func CheckFiles(pid, conns int) error {
	if pid == 0 {
		return nil
	}
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/limits", pid))
	if err != nil {
		return fmt.Errorf("cannot read the server's limits: %w", err)
	}
	limit, err := parseOpenFiles(b)
	if err != nil {
		return err
	}
	if need := uint64(conns + SpareFiles); need > limit {
		return fmt.Errorf("the server needs %d open files and its limit is %d: raise it (ulimit -n %d) or use fewer streams", need, limit, need)
	}
	return nil
}

// parseOpenFiles reads the soft limit of open files of /proc/PID/limits.
func parseOpenFiles(b []byte) (uint64, error) {
	for line := range bytes.Lines(b) {
		if v, ok := bytes.CutPrefix(line, []byte("Max open files")); ok {
			if f := bytes.Fields(v); len(f) >= 2 {
				if string(f[0]) == "unlimited" {
					return 1 << 63, nil
				}
				if n, err := strconv.ParseUint(string(f[0]), 10, 64); err == nil {
					return n, nil
				}
			}
		}
	}
	return 0, fmt.Errorf("cannot parse /proc/PID/limits: no open files")
}
