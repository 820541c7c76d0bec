package report

import (
	"bytes"
	"fmt"
	"os"
	"runtime"
	"strconv"
	"strings"
	"time"
)

// A Machine is where and when a result was measured: without it a figure means
// nothing.
type Machine struct {
	Commit string `json:"commit,omitempty"`
	Go     string `json:"go"`
	CPU    string `json:"cpu"`
	Cores  int    `json:"cores"`
	Kernel string `json:"kernel"`
	DataFS string `json:"data_fs"` // the file system that posts are synced to
	Date   string `json:"date"`    // RFC 3339, UTC
}

// ReadMachine describes this machine, for results of a commit whose data was in
// dir.
func ReadMachine(commit, dir string) Machine {
	return Machine{
		Commit: commit,
		Go:     runtime.Version() + " " + runtime.GOOS + "/" + runtime.GOARCH,
		CPU:    cpuModel(),
		Cores:  runtime.NumCPU(),
		Kernel: kernel(),
		DataFS: fileSystem(dir),
		Date:   time.Now().UTC().Format(time.RFC3339),
	}
}

func kernel() string {
	b, err := os.ReadFile("/proc/sys/kernel/osrelease")
	if err != nil {
		return "unknown"
	}
	return strings.TrimSpace(string(b))
}

func cpuModel() string {
	b, err := os.ReadFile("/proc/cpuinfo")
	if err != nil {
		return "unknown"
	}
	for line := range bytes.Lines(b) {
		if k, v, ok := bytes.Cut(line, []byte(":")); ok && string(bytes.TrimSpace(k)) == "model name" {
			return string(bytes.TrimSpace(v))
		}
	}
	return "unknown"
}

// Hardware is the processor and the kernel in a few words.
func (m *Machine) Hardware() string {
	return fmt.Sprintf("%s, %d cores, Linux %s", m.CPU, m.Cores, m.Kernel)
}

// fileSystem names the file system of dir: on some, a sync means nothing.
func fileSystem(dir string) string {
	b, err := os.ReadFile("/proc/self/mounts")
	if err != nil {
		return "unknown"
	}
	best, kind := "", "unknown"
	for line := range strings.Lines(string(b)) {
		f := strings.Fields(line)
		if len(f) < 3 {
			continue
		}
		at, err := strconv.Unquote(`"` + f[1] + `"`) // blanks are written \040
		if err != nil {
			at = f[1]
		}
		inside := at == "/" || dir == at || strings.HasPrefix(dir, at+"/")
		if inside && len(at) >= len(best) {
			best, kind = at, f[2]
		}
	}
	return kind
}
