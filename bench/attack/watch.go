package attack

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"strings"
	"sync"
	"time"
)

// Held is what a process holds at a moment.
type Held struct {
	Goroutines int   `json:"goroutines"`
	Files      int   `json:"descriptors"` // sockets included
	Sockets    int   `json:"sockets"`
	Resident   int64 `json:"resident_bytes"`
}

// held reads what the relay holds now.
func (r *relay) held(ctx context.Context) (h Held, err error) {
	m, err := readMetrics(ctx, r.admin, r.token)
	if err != nil {
		return h, err
	}
	h.Goroutines = int(m.sum("go_goroutines"))
	if h.Files, h.Sockets, err = openFiles(r.pid()); err != nil {
		return h, err
	}
	h.Resident, err = statusBytes(r.pid(), "VmRSS")
	return h, err
}

// openFiles counts the descriptors of a process, and those that are sockets.
func openFiles(pid int) (files, sockets int, err error) {
	dir := fmt.Sprintf("/proc/%d/fd", pid)
	entries, err := os.ReadDir(dir)
	if err != nil {
		return 0, 0, fmt.Errorf("cannot read the relay's descriptors: %w", err)
	}
	for _, e := range entries {
		to, err := os.Readlink(dir + "/" + e.Name())
		if err != nil {
			continue // closed meanwhile
		}
		files++
		if strings.HasPrefix(to, "socket:") {
			sockets++
		}
	}
	return files, sockets, nil
}

// statusBytes reads a line of /proc/PID/status, which counts in KiB.
func statusBytes(pid int, key string) (n int64, err error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, fmt.Errorf("cannot read the relay's memory: %w", err)
	}
	for line := range bytes.Lines(b) {
		if _, err := fmt.Sscanf(string(line), key+": %d kB", &n); err == nil {
			return n << 10, nil
		}
	}
	return 0, fmt.Errorf("no %s in /proc/PID/status", key)
}

// kernelSockets is the kernel's memory for all TCP sockets of this machine in
// bytes; on loopback that is both ends.
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

// Peak is the most of what a drill took.
type Peak struct {
	Resident int64      `json:"resident_bytes"` // of the process (VmHWM)
	Sockets  int64      `json:"kernel_socket_bytes"`
	Files    int        `json:"descriptors"`
	Group    *GroupPeak `json:"group,omitempty"`
}

// A watch reads peaks until it is stopped.
type watch struct {
	r    *relay
	stop context.CancelFunc
	wg   sync.WaitGroup
	peak Peak
}

const watchEvery = 200 * time.Millisecond

func startWatch(ctx context.Context, r *relay) *watch {
	w := &watch{r: r}
	ctx, w.stop = context.WithCancel(ctx)
	r.group.resetPeaks()
	w.wg.Go(func() {
		for ok := true; ok; ok = pause(ctx, watchEvery) {
			w.look()
		}
	})
	return w
}

// look takes one reading. The process may end meanwhile.
func (w *watch) look() {
	w.peak.Sockets = max(w.peak.Sockets, kernelSockets())
	if files, _, err := openFiles(w.r.pid()); err == nil {
		w.peak.Files = max(w.peak.Files, files)
	}
	if n, err := statusBytes(w.r.pid(), "VmHWM"); err == nil {
		w.peak.Resident = max(w.peak.Resident, n)
	}
}

// end ends the watch and returns the peaks.
func (w *watch) end() Peak {
	w.stop()
	w.wg.Wait()
	w.peak.Group = w.r.group.peak()
	return w.peak
}
