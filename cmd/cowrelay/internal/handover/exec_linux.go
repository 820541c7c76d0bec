package handover

import (
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"golang.org/x/sys/unix"
)

// Supported is nil if this system can hand over.
func Supported() error { return nil }

func memoryFile() (*os.File, error) {
	fd, err := unix.MemfdCreate("cowrelay-handover", unix.MFD_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("cannot make a file in memory: %w", err)
	}
	return os.NewFile(uintptr(fd), "handover"), nil
}

// openSelf opens the file of the running program, which need not have a name any more.
func openSelf() (int, error) { return unix.Open("/proc/self/exe", unix.O_PATH|unix.O_CLOEXEC, 0) }

// Running is the program that runs.
func Running() Program { return Program{"/proc/self/exe", os.Args} }

// replace executes the file. Signals that would end a program that has not begun to
// hear them are ignored until it has.
func replace(path string, args, env []string) error {
	heard := []os.Signal{syscall.SIGHUP, syscall.SIGUSR2}
	signal.Ignore(heard...)
	return syscall.Exec(path, args, env)
}
