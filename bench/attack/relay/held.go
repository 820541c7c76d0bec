package relay

import (
	"context"
	"fmt"
	"os"
	"strings"

	"cowrelay/bench/attack/books"
	"cowrelay/bench/proc"
)

// Held is what a process holds at a moment.
type Held struct {
	Goroutines int   `json:"goroutines"`
	Files      int   `json:"descriptors"` // sockets included
	Sockets    int   `json:"sockets"`
	Resident   int64 `json:"resident_bytes"`
}

// Held reads what the relay holds now.
func (r *Process) Held(ctx context.Context) (h Held, err error) {
	m, err := books.Metrics(ctx, r.Admin, r.Token)
	if err != nil {
		return h, err
	}
	h.Goroutines = int(m.Sum("go_goroutines"))
	if h.Files, h.Sockets, err = OpenFiles(r.PID()); err != nil {
		return h, err
	}
	h.Resident, err = proc.StatusBytes(r.PID(), "VmRSS")
	return h, err
}

// OpenFiles counts the descriptors of a process, and those that are sockets.
func OpenFiles(pid int) (files, sockets int, err error) {
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
