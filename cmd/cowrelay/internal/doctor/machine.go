package doctor

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"cowrelay/cmd/cowrelay/internal/config"
	"cowrelay/cmd/cowrelay/internal/human"
	"cowrelay/cmd/cowrelay/internal/plan"

	"golang.org/x/sys/unix"
)

// configuration reads the configuration as serve would. It is nil if serve could not
// start with it.
func (e *examination) configuration(l *config.Layers) *config.Config {
	c, err := l.Load()
	if err != nil {
		text, _ := strings.CutPrefix(err.Error(), "wrong configuration:\n")
		e.add("configuration", trouble, "mend it, and ask again: nothing else could be looked at (cowrelay check-config lists the same)", "%s", text)
		return nil
	}
	e.add("configuration", ok, "", "file, environment and defaults fit together")
	exposed := c.Exposed()
	for _, x := range exposed {
		text, do, _ := strings.Cut(x.String(), "): ")
		e.add("access", warning, do, "%s)", text)
	}
	if len(exposed) == 0 {
		e.add("access", ok, "", "nobody else can reach the data folder or the admin token")
	}
	return c
}

// files looks at the limit of open files.
func (e *examination) files(c *config.Config) {
	f, err := plan.Files(c.MaxConns)
	switch {
	case err != nil:
		e.add("open files", trouble, "raise it ("+plan.RaiseFiles+")", "%v", err)
	case f.Conns < c.MaxConns:
		e.add("open files", warning, "raise the limit to "+human.Count(float64(f.Enough()))+" ("+plan.RaiseFiles+"), or lower --max-connections",
			"the limit of %s leaves %s connections of %s", human.Count(float64(f.Limit())), human.Count(float64(f.Conns)), human.Count(float64(c.MaxConns)))
	default:
		e.add("open files", ok, "", "the limit of %s is enough for %s connections", human.Count(float64(f.Limit())), human.Count(float64(f.Conns)))
	}
}

// lowBudget is a memory budget that leaves little for slots.
const lowBudget = 64 << 20

// memory looks at the budget that follows from the machine's memory and the limits.
func (e *examination) memory(c *config.Config) {
	budget, runtime := human.Bytes(float64(c.MemoryBudget)), human.Bytes(float64(c.RuntimeMemory))
	switch {
	case c.MemoryBudget > c.RuntimeMemory/8*7:
		e.add("memory", warning, "lower --memory-budget, or raise the limit of the control group or GOMEMLIMIT", "the budget of %s leaves little of the process's %s for anything else", budget, runtime)
	case c.MemoryBudget < lowBudget:
		e.add("memory", warning, "raise the limit of the control group, --memory-budget or GOMEMLIMIT", "the budget is %s of the process's %s: slots will often be read from the disk", budget, runtime)
	default:
		e.add("memory", ok, "", "the budget is %s of the process's %s", budget, runtime)
	}
}

// folder looks at the data folder and the disk below it.
func (e *examination) folder(c *config.Config) {
	dir, err := filepath.Abs(c.DataDir)
	if err != nil {
		e.add("data folder", trouble, "choose another --data-dir", "%v", err)
		return
	}
	at, made, err := existing(dir)
	var info fs.FileInfo
	if err == nil {
		info, err = os.Stat(at)
	}
	if err == nil && !info.IsDir() {
		err = &fs.PathError{Op: "open", Path: at, Err: unix.ENOTDIR}
	}
	if err == nil {
		if err = unix.Access(at, unix.R_OK|unix.W_OK|unix.X_OK); err != nil {
			err = &fs.PathError{Op: "access", Path: at, Err: err}
		}
	}
	switch {
	case err != nil:
		e.add("data folder", trouble, "run doctor as the relay's user, give that user the folder, or choose another --data-dir", "%v", err)
		return
	case made:
		e.add("data folder", ok, "", "%s is there and can be written to", dir)
	default:
		e.add("data folder", ok, "", "%s is not there yet, and can be made", dir)
	}
	var st unix.Statfs_t
	if err := unix.Statfs(at, &st); err != nil {
		e.add("disk", trouble, "look at the disk", "%s: %v", at, err)
		return
	}
	name, what, s := fileSystem(&st)
	switch s {
	case ok:
		e.add("file system", ok, "", "%s", name)
	case warning:
		e.add("file system", warning, "use a disk of this machine, or make sure that a sync is durable there and locks work", "%s: %s", name, what)
	case trouble:
		e.add("file system", trouble, "choose a --data-dir on a disk", "%s: %s", name, what)
	}
	e.space(float64(st.Bavail)*float64(st.Bsize), float64(st.Blocks)*float64(st.Bsize), float64(c.DiskReserve))
	if st.Files > 0 && st.Ffree < 1000 {
		e.add("disk", trouble, "remove files", "there is room for %d more files only", st.Ffree)
	}
}

// existing returns the folder, or else the nearest above it that is there.
func existing(dir string) (at string, made bool, err error) {
	for at = dir; ; at = filepath.Dir(at) {
		_, err := os.Lstat(at)
		if err == nil || !errors.Is(err, fs.ErrNotExist) || at == filepath.Dir(at) {
			return at, at == dir, err
		}
	}
}

// space judges the free space of the store's disk. all is 0 if it is not known.
func (e *examination) space(free, all, reserve float64) {
	of := ""
	if all > 0 {
		of = " of " + human.Bytes(all)
	}
	const do = "make room, or choose a larger disk: cowrelay admin slots --by bytes shows the largest slots"
	switch {
	case free < reserve:
		e.add("disk", trouble, do, "%s%s free, and below %s (--disk-reserve) posts get 507", human.Bytes(free), of, human.Bytes(reserve))
	case free < 2*reserve || free < all/20:
		e.add("disk", warning, do, "%s%s free; below %s (--disk-reserve) posts get 507", human.Bytes(free), of, human.Bytes(reserve))
	default:
		e.add("disk", ok, "", "%s%s free", human.Bytes(free), of)
	}
}
