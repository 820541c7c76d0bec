//go:build unix

package stats

import (
	"syscall"
	"time"
)

// cpuTime returns the CPU time that the process has used, negative if unknown.
func cpuTime() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return -1
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
