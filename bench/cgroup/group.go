package cgroup

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// cores is how many cores a group may use.
const cores = 1

// period is the time for which the kernel counts the quota of cores.
const period = 100 * time.Millisecond

// A Group is a control group: one folder in version 2, and one for each
// controller in version 1. No process of ours is in it. A server enters it
// before it becomes the server.
type Group struct {
	dirs   []string // where cgroup.procs is written
	memory string   // the folder of the memory controller
	cpu    string   // the folder of the cpu controller
	Second bool     // version 2
	limit  int64    // of memory, in bytes
}

// root is where control groups are mounted. It is a variable for the tests.
var root = "/sys/fs/cgroup"

// prefix begins the name of each group. Then come the process that made it and a
// time.
const prefix = "relaybench-"

// New makes a group at the root of the hierarchy, which takes root. Below
// another group, tighter limits could apply than we say. It first removes the
// empty groups that a killed process left behind.
func New(memory int64) (*Group, error) {
	name := fmt.Sprintf("%s%d-%d", prefix, os.Getpid(), time.Now().UnixNano())
	quota := cores * period.Microseconds()
	g, err := &Group{limit: memory}, error(nil)
	if _, err = os.Stat(filepath.Join(root, "cgroup.controllers")); err == nil {
		sweep(root)
		g.Second, g.memory = true, filepath.Join(root, name)
		g.cpu = g.memory
		err = g.make(g.memory, [][2]string{
			{"memory.max", fmt.Sprint(memory)},
			{"cpu.max", fmt.Sprintf("%d %d", quota, period.Microseconds())},
		})
	} else {
		g.memory, g.cpu = filepath.Join(root, "memory", name), filepath.Join(root, "cpu", name)
		sweep(filepath.Dir(g.memory))
		sweep(filepath.Dir(g.cpu))
		err = errors.Join(
			g.make(g.memory, [][2]string{
				{"memory.limit_in_bytes", fmt.Sprint(memory)},
				// Without a limit the memory of sockets is not counted.
				{"memory.kmem.tcp.limit_in_bytes", fmt.Sprint(memory)},
			}),
			g.make(g.cpu, [][2]string{
				{"cpu.cfs_period_us", fmt.Sprint(period.Microseconds())},
				{"cpu.cfs_quota_us", fmt.Sprint(quota)},
			}))
	}
	if err != nil {
		err = fmt.Errorf("cannot make a control group, which takes root and the controllers memory and cpu of version 1 or 2 in %s: %w", root, err)
		return nil, errors.Join(err, g.Remove())
	}
	return g, nil
}

// sweep removes the groups in dir whose maker is gone. The kernel keeps those
// that have a process in them.
func sweep(dir string) {
	old, _ := filepath.Glob(filepath.Join(dir, prefix+"*"))
	for _, path := range old {
		pid, _, _ := strings.Cut(strings.TrimPrefix(filepath.Base(path), prefix), "-")
		n, err := strconv.Atoi(pid)
		if err == nil && n > 1 && errors.Is(syscall.Kill(n, 0), syscall.ESRCH) {
			_ = os.Remove(path) // what stays is no harm
		}
	}
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

// Dirs are the folders whose cgroup.procs a process writes to, to be in the group.
func (g *Group) Dirs() []string { return g.dirs }

// enter is a shell script that enters the groups and becomes the server.
const enter = `while [ "$1" != -- ]; do echo $$ >"$1/cgroup.procs" || exit 70; shift; done
shift; exec "$@"`

// Command is the beginning of a command line that runs the rest of it in the
// group. Without a group it is empty.
func (g *Group) Command() []string {
	if g == nil {
		return nil
	}
	return append(append([]string{"sh", "-c", enter, "sh"}, g.dirs...), "--")
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

func (g *Group) String() string {
	version := 1
	if g.Second {
		version = 2
	}
	return fmt.Sprintf("a control group (version %d) of %d MB and %d core", version, g.limit/1_000_000, cores)
}
