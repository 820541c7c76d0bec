package plan

import (
	"bytes"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
)

// Where Linux shows the control groups, and which of them this process is in.
const (
	GroupRoot = "/sys/fs/cgroup"
	GroupSelf = "/proc/self/cgroup"
)

// GroupDir is a folder in which a control group may be found.
type GroupDir struct {
	Path string
	V2   bool // of version 2, whose files have other names
}

// Groups returns where the group of a controller, such as "memory", may be mounted,
// the most likely folder first. In a container the group may be mounted as if it were
// the root. There is none where self can't be read.
func Groups(root, self, controller string) (dirs []GroupDir) {
	b, err := os.ReadFile(self)
	if err != nil {
		return nil
	}
	for line := range bytes.Lines(b) {
		f := strings.SplitN(strings.TrimSpace(string(line)), ":", 3)
		if len(f) != 3 {
			continue
		}
		switch controllers := strings.Split(f[1], ","); {
		case f[0] == "0" && f[1] == "":
			dirs = append(dirs, GroupDir{filepath.Join(root, f[2]), true}, GroupDir{root, true})
		case slices.Contains(controllers, controller):
			for _, mount := range []string{f[1], controller} {
				dirs = append(dirs, GroupDir{filepath.Join(root, mount, f[2]), false}, GroupDir{filepath.Join(root, mount), false})
			}
		}
	}
	return dirs
}

// spareProcs are places of the scheduler beside those that the runtime takes by
// itself, one for each processor. A goroutine that waits for a sync keeps its place
// until the runtime takes it away, and a flush or a compaction keeps one for 10 ms. So
// with two places for two processors, a commit and a compaction leave none to the
// requests, while the processors are idle. On two processors, single posts beside
// batches had a p99 of 26 ms without spare places, 14 with two and 11 with four; eight
// cost 10 % of the posts.
const spareProcs = 4

// SpareProcs gives the scheduler more places than there are processors, unless the
// operator set GOMAXPROCS.
func SpareProcs() {
	if !GivenProcs() {
		runtime.SetDefaultGOMAXPROCS()
		runtime.GOMAXPROCS(runtime.GOMAXPROCS(0) + spareProcs)
	}
}

// GivenProcs says whether the runtime took GOMAXPROCS from the environment.
func GivenProcs() bool {
	n, err := strconv.ParseInt(os.Getenv("GOMAXPROCS"), 10, 32)
	return err == nil && n > 0
}

// CPUs returns how many processors the process may use: what the quota of its control
// group allows, such as 0.5, else all that it may run on. GOMAXPROCS in the
// environment bounds both.
func CPUs(root, self string) float64 {
	n := float64(runtime.NumCPU())
	if GivenProcs() {
		n = min(n, float64(runtime.GOMAXPROCS(0)))
	}
	for _, g := range Groups(root, self, "cpu") {
		quota, period := "", ""
		if g.V2 {
			quota, period, _ = strings.Cut(read(g.Path, "cpu.max"), " ")
		} else {
			quota, period = read(g.Path, "cpu.cfs_quota_us"), read(g.Path, "cpu.cfs_period_us")
		}
		q, err1 := strconv.ParseFloat(quota, 64) // "max" or -1 where there is none
		p, err2 := strconv.ParseFloat(period, 64)
		if err1 == nil && err2 == nil && q > 0 && p > 0 {
			return min(n, q/p)
		}
	}
	return n
}

func read(dir, name string) string {
	b, err := os.ReadFile(filepath.Join(dir, name))
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(b))
}
