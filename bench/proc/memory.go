package proc

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
)

// Memory returns the resident memory (VmRSS) of process pid and its children in
// bytes. For pid 0, an unknown process, it is 0.
func Memory(pid int) (int64, error) {
	if pid == 0 {
		return 0, nil
	}
	return overFamily(pid, memoryOf)
}

func memoryOf(pid int) (int64, error) { return StatusBytes(pid, "VmRSS") }

// StatusBytes returns a line of /proc/PID/status in bytes, such as VmRSS, the
// resident memory, or VmHWM, the most that it ever was.
func StatusBytes(pid int, key string) (int64, error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, fmt.Errorf("cannot read the server's memory: %w", err)
	}
	return parseStatus(b, key)
}

// parseStatus reads a line of /proc/PID/status, which counts in KiB.
func parseStatus(b []byte, key string) (int64, error) {
	for line := range bytes.Lines(b) {
		if v, ok := bytes.CutPrefix(line, []byte(key+":")); ok {
			f := bytes.Fields(v)
			if len(f) == 2 && string(f[1]) == "kB" {
				if n, err := strconv.ParseInt(string(f[0]), 10, 64); err == nil {
					return n << 10, nil
				}
			}
			return 0, fmt.Errorf("cannot parse /proc/PID/status: %q", bytes.TrimSpace(line))
		}
	}
	return 0, fmt.Errorf("cannot parse /proc/PID/status: no %s", key)
}
