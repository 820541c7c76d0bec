package bench

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"strconv"
	"strings"
	"time"
)

// residentMemory returns the resident memory (VmRSS) of process pid and its
// children in bytes, or 0 for pid 0, a process that is unknown.
func residentMemory(pid int) (int64, error) {
	if pid == 0 {
		return 0, nil
	}
	return overFamily(pid, processMemory)
}

func processMemory(pid int) (int64, error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, fmt.Errorf("cannot read the server's memory: %w", err)
	}
	return parseVmRSS(b)
}

// parseVmRSS reads the VmRSS line of /proc/PID/status, which counts in KiB.
func parseVmRSS(b []byte) (int64, error) {
	for line := range bytes.Lines(b) {
		if v, ok := bytes.CutPrefix(line, []byte("VmRSS:")); ok {
			f := bytes.Fields(v)
			if len(f) == 2 && string(f[1]) == "kB" {
				if n, err := strconv.ParseInt(string(f[0]), 10, 64); err == nil {
					return n << 10, nil
				}
			}
			return 0, fmt.Errorf("cannot parse /proc/PID/status: %q", bytes.TrimSpace(line))
		}
	}
	return 0, fmt.Errorf("cannot parse /proc/PID/status: no VmRSS")
}

// checkServerFiles says whether the server may open enough files for conns
// connections. It is asked as it runs: many servers raise their own limit.
func (s *side) checkServerFiles(conns int) error {
	if s.pid == 0 {
		return nil
	}
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/limits", s.pid))
	if err != nil {
		return fmt.Errorf("cannot read the server's limits: %w", err)
	}
	limit, err := parseOpenFiles(b)
	if err != nil {
		return err
	}
	if need := uint64(conns + spareFiles); need > limit {
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

// countTimeWait counts the IPv4 and IPv6 sockets in TIME_WAIT of connections
// to port, by the end that has them. Both ends on one machine are told apart
// by which of the two ports is the server's.
func countTimeWait(port int) (t TimeWait, err error) {
	for _, name := range []string{"/proc/net/tcp", "/proc/net/tcp6"} {
		f, err := os.Open(name)
		if os.IsNotExist(err) {
			continue // a kernel without IPv6
		}
		if err != nil {
			return t, err
		}
		err = t.addFrom(f, port)
		f.Close()
		if err != nil {
			return t, fmt.Errorf("cannot parse %s: %w", name, err)
		}
	}
	return t, nil
}

// stateTimeWait is TIME_WAIT in the column st of /proc/net/tcp.
const stateTimeWait = "06"

func (t *TimeWait) addFrom(r io.Reader, port int) error {
	want := fmt.Sprintf(":%04X", port)
	sc := bufio.NewScanner(r)
	sc.Scan() // the names of the columns
	for sc.Scan() {
		f := strings.Fields(sc.Text())
		if len(f) < 4 {
			return fmt.Errorf("line %q", sc.Text())
		}
		switch {
		case f[3] != stateTimeWait:
		case strings.HasSuffix(f[1], want):
			t.Server++
		case strings.HasSuffix(f[2], want):
			t.Client++
		}
	}
	return sc.Err()
}

// apiClient asks for what is no part of a load: statistics and metrics.
var apiClient = &http.Client{
	Timeout:   5 * time.Second,
	Transport: &http.Transport{DisableKeepAlives: true},
}

// ask gets a small document from the server at addr.
func ask(ctx context.Context, addr, path string) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+addr+path, nil)
	if err != nil {
		return nil, err
	}
	res, err := apiClient.Do(req)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%s answered %d", path, res.StatusCode)
	}
	return io.ReadAll(io.LimitReader(res.Body, 1<<20))
}

// goroutines returns how many goroutines the relay has, by its metrics.
func (s *side) goroutines(ctx context.Context) (int, error) {
	b, err := ask(ctx, s.admin, "/metrics")
	if err != nil {
		return 0, fmt.Errorf("cannot read the relay's metrics: %w", err)
	}
	for line := range bytes.Lines(b) {
		if v, ok := bytes.CutPrefix(line, []byte("go_goroutines ")); ok {
			return strconv.Atoi(string(bytes.TrimSpace(v)))
		}
	}
	return 0, fmt.Errorf("the relay's metrics have no go_goroutines")
}
