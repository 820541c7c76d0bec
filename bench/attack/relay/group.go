package relay

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// groupCores is how many cores the relay may use.
const groupCores = 1

// PlainLimit is the GOMEMLIMIT of a relay that has no control group: the heap's
// part of so many bytes.
func PlainLimit(memory int64) string { return fmt.Sprintf("%dMiB", memory*8/10>>20) }

// A Group is a control group: one folder in version 2, and one for each
// controller in version 1. No process of ours is in it. The relay enters it
// before it becomes the relay.
type Group struct {
	dirs   []string // where cgroup.procs is written
	memory string   // the folder of the memory controller
	Second bool     // version 2
	limit  int64    // of memory, in bytes
}

// cgroupRoot is where control groups are mounted. It is a variable for the
// tests.
var cgroupRoot = "/sys/fs/cgroup"

// NewGroup makes a group at the root of the hierarchy, which takes root. Below
// another group, tighter limits could apply than we say.
func NewGroup(memory int64) (*Group, error) {
	name := fmt.Sprintf("relaybench-attack-%d-%d", os.Getpid(), time.Now().UnixNano())
	g, err := &Group{limit: memory}, error(nil)
	if _, err = os.Stat(filepath.Join(cgroupRoot, "cgroup.controllers")); err == nil {
		g.Second, g.memory = true, filepath.Join(cgroupRoot, name)
		err = g.make(g.memory, [][2]string{
			{"memory.max", fmt.Sprint(memory)},
			{"cpu.max", fmt.Sprintf("%d %d", groupCores*100_000, 100_000)},
		})
	} else {
		g.memory = filepath.Join(cgroupRoot, "memory", name)
		err = errors.Join(
			g.make(g.memory, [][2]string{
				{"memory.limit_in_bytes", fmt.Sprint(memory)},
				// Without a limit the memory of sockets is not counted.
				{"memory.kmem.tcp.limit_in_bytes", fmt.Sprint(memory)},
			}),
			g.make(filepath.Join(cgroupRoot, "cpu", name), [][2]string{
				{"cpu.cfs_period_us", "100000"},
				{"cpu.cfs_quota_us", fmt.Sprint(groupCores * 100_000)},
			}))
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("cannot make a control group: %w", err), g.Remove())
	}
	return g, nil
}

func (g *Group) make(dir string, values [][2]string) error {
	if err := os.Mkdir(dir, 0o755); err != nil {
		return err
	}
	g.dirs = append(g.dirs, dir)
	for _, v := range values {
		if err := os.WriteFile(filepath.Join(dir, v[0]), []byte(v[1]), 0o644); err != nil {
			return err
		}
	}
	return nil
}

// Remove removes the folders. The kernel lets go of a group a moment after its
// last process has ended.
func (g *Group) Remove() error {
	if g == nil {
		return nil
	}
	var errs []error
	for _, dir := range g.dirs {
		err := os.Remove(dir)
		for end := time.Now().Add(10 * time.Second); err != nil && time.Now().Before(end); err = os.Remove(dir) {
			time.Sleep(50 * time.Millisecond)
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("cannot remove a control group: %w", err))
		}
	}
	return errors.Join(errs...)
}

// resetPeaks lets the peaks begin anew, if the kernel can do that: the fill
// before the attack does not count.
func (g *Group) resetPeaks() {
	if g == nil {
		return
	}
	for _, name := range []string{"memory.max_usage_in_bytes", "memory.kmem.tcp.max_usage_in_bytes", "memory.peak"} {
		_ = os.WriteFile(filepath.Join(g.memory, name), []byte("0"), 0o644)
	}
}

// A GroupPeak is the most that the relay's control group ever held, in bytes.
type GroupPeak struct {
	// Memory counts the page cache too, which the kernel takes back when it
	// needs memory. So this may be the limit, and nothing is wrong.
	Memory int64 `json:"memory"`
	// Sockets is the kernel's memory for the group's TCP sockets; 0 if the
	// kernel does not count it by itself.
	Sockets int64 `json:"sockets,omitempty"`
	// Killed is how many processes the kernel ended for want of memory.
	Killed int64 `json:"killed"`
}

func (g *Group) peak() *GroupPeak {
	if g == nil {
		return nil
	}
	if g.Second {
		return &GroupPeak{Memory: g.number("memory.peak"), Killed: g.field("memory.events", "oom_kill")}
	}
	return &GroupPeak{
		Memory: g.number("memory.max_usage_in_bytes"), Sockets: g.number("memory.kmem.tcp.max_usage_in_bytes"),
		Killed: g.field("memory.oom_control", "oom_kill"),
	}
}

// number reads a file that holds one number. It returns 0 if that cannot be
// read.
func (g *Group) number(name string) int64 {
	b, err := os.ReadFile(filepath.Join(g.memory, name))
	if err != nil {
		return 0
	}
	n, _ := strconv.ParseInt(strings.TrimSpace(string(b)), 10, 64)
	return n
}

// field reads one line of a file of names and numbers.
func (g *Group) field(name, key string) int64 {
	b, err := os.ReadFile(filepath.Join(g.memory, name))
	if err != nil {
		return 0
	}
	for line := range bytes.Lines(b) {
		if f := strings.Fields(string(line)); len(f) == 2 && f[0] == key {
			n, _ := strconv.ParseInt(f[1], 10, 64)
			return n
		}
	}
	return 0
}

func (g *Group) String() string {
	version := 1
	if g.Second {
		version = 2
	}
	return fmt.Sprintf("a control group (version %d) of %d MB and %d core", version, g.limit/1_000_000, groupCores)
}
