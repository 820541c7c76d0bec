package conn

import (
	"runtime"
	"time"

	"golang.org/x/sys/unix"
)

// threadMeter is a meter that counts what the goroutine's thread computes, in the kernel
// too. The goroutine keeps the thread for itself meanwhile. A clock on the wall would
// count the time in which others compute, or in which a quota stops the process: then
// handshakes would wait the longer, the more others do.
func threadMeter() func() time.Duration {
	runtime.LockOSThread()
	begun, err := threadTime()
	if err != nil { // a kernel without that clock
		runtime.UnlockOSThread()
		return wallMeter()
	}
	return func() time.Duration {
		defer runtime.UnlockOSThread()
		now, err := threadTime()
		if err != nil {
			return 0
		}
		return now - begun
	}
}

// threadTime is how long the calling thread has computed.
func threadTime() (time.Duration, error) {
	var t unix.Timespec
	err := unix.ClockGettime(unix.CLOCK_THREAD_CPUTIME_ID, &t)
	return time.Duration(t.Nano()), err
}
