package relay

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"strings"
	"sync"
	"time"

	"cowrelay/bench/attack/client"
	"cowrelay/bench/cgroup"
	"cowrelay/bench/proc"
)

// kernelSockets is the kernel's memory for all TCP sockets of this machine, in
// bytes. On loopback that is both ends of each connection.
func kernelSockets() int64 {
	b, err := os.ReadFile("/proc/net/sockstat")
	if err != nil {
		return 0
	}
	for line := range bytes.Lines(b) {
		f := strings.Fields(string(line))
		for i := 1; i+1 < len(f); i += 2 {
			var n int64
			if f[0] == "TCP:" && f[i] == "mem" {
				if _, err := fmt.Sscan(f[i+1], &n); err == nil {
					return n * int64(os.Getpagesize())
				}
			}
		}
	}
	return 0
}

// A Peak is the most that a drill took.
type Peak struct {
	Resident int64        `json:"resident_bytes"` // of the process (VmHWM)
	Sockets  int64        `json:"kernel_socket_bytes"`
	Files    int          `json:"descriptors"`
	Group    *cgroup.Peak `json:"group,omitempty"`
}

// A Watch reads peaks until it is ended.
type Watch struct {
	r    *Process
	stop context.CancelFunc
	wg   sync.WaitGroup
	peak Peak
}

const watchEvery = 200 * time.Millisecond

func StartWatch(ctx context.Context, r *Process) *Watch {
	w := &Watch{r: r}
	ctx, w.stop = context.WithCancel(ctx)
	r.Group.ResetPeaks()
	w.wg.Go(func() {
		for ok := true; ok; ok = client.Pause(ctx, watchEvery) {
			w.look()
		}
	})
	return w
}

// look takes one reading. The process may end meanwhile.
func (w *Watch) look() {
	w.peak.Sockets = max(w.peak.Sockets, kernelSockets())
	if files, _, err := OpenFiles(w.r.PID()); err == nil {
		w.peak.Files = max(w.peak.Files, files)
	}
	if n, err := proc.StatusBytes(w.r.PID(), "VmHWM"); err == nil {
		w.peak.Resident = max(w.peak.Resident, n)
	}
}

// End ends the watch and returns the peaks.
func (w *Watch) End() Peak {
	w.stop()
	w.wg.Wait()
	w.peak.Group = w.r.Group.Peak()
	return w.peak
}
