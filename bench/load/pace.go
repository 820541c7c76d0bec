package load

import (
	"context"
	"encoding/binary"
	"fmt"
	"os"
	"syscall"
	"time"
	"unsafe"
)

// A Pacer says when posts of a fixed rate are due. It waits on a timerfd, which
// the runtime polls like a socket. The runtime's own timers would not do: in an
// idle process they come up to a millisecond late, and that would be in the
// latency of every post.
type Pacer struct {
	interval time.Duration
	f        *os.File
	Base     time.Time // post i is due at Base + (i+1)*interval
}

const (
	clockMonotonic = 1
	timerfdFlags   = syscall.O_NONBLOCK | syscall.O_CLOEXEC
)

// NewPacer starts a timer that is due every interval from now on.
func NewPacer(interval time.Duration) (*Pacer, error) {
	fd, _, e := syscall.Syscall(syscall.SYS_TIMERFD_CREATE, clockMonotonic, timerfdFlags, 0)
	if e != 0 {
		return nil, fmt.Errorf("cannot make a timer: %w", e)
	}
	p := &Pacer{interval: interval, f: os.NewFile(fd, "timerfd")}
	d := syscall.NsecToTimespec(int64(interval))
	spec := [2]syscall.Timespec{d, d} // the interval, and the time to the first
	p.Base = time.Now()
	if _, _, e := syscall.Syscall6(syscall.SYS_TIMERFD_SETTIME, fd, 0, uintptr(unsafe.Pointer(&spec)), 0, 0, 0); e != 0 {
		p.f.Close()
		return nil, fmt.Errorf("cannot set a timer: %w", e)
	}
	return p, nil
}

// Run calls due for the posts 0 to n-1 at their times, in order. Before each it
// calls lag with how late that is. It ends early if ctx ends.
func (p *Pacer) Run(ctx context.Context, n int, due func(i int, at time.Time), lag func(time.Duration)) error {
	defer p.f.Close()
	defer context.AfterFunc(ctx, func() { _ = p.f.SetReadDeadline(time.Now()) })()
	var b [8]byte
	for i := 0; i < n; {
		if _, err := p.f.Read(b[:]); err != nil {
			if ctx.Err() != nil {
				return ctx.Err()
			}
			return fmt.Errorf("cannot read a timer: %w", err)
		}
		now := time.Now()
		for times := binary.NativeEndian.Uint64(b[:]); times > 0 && i < n; times-- {
			at := p.Base.Add(time.Duration(i+1) * p.interval)
			lag(now.Sub(at))
			due(i, at)
			i++
		}
	}
	return nil
}
