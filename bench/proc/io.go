package proc

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
)

// BytesRead returns how many bytes a process has read since its start, by system
// calls: from files, whether they came from the disk or from the page cache, and
// from sockets. What is mapped into memory is not counted.
func BytesRead(pid int) (int64, error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/io", pid))
	if err != nil {
		return 0, fmt.Errorf("cannot read what a process has read: %w", err)
	}
	for line := range bytes.Lines(b) {
		if v, ok := bytes.CutPrefix(line, []byte("rchar: ")); ok {
			return strconv.ParseInt(string(bytes.TrimSpace(v)), 10, 64)
		}
	}
	return 0, fmt.Errorf("cannot parse /proc/PID/io: no rchar")
}
