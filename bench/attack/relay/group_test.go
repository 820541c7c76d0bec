package relay

import (
	"os"
	"path/filepath"
	"testing"
)

// Groups of both versions are made, limited, read and removed.
func TestGroup(t *testing.T) {
	old := cgroupRoot
	defer func() { cgroupRoot = old }()
	read := func(g *Group, dir, name string) string {
		b, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Error(err)
		}
		return string(b)
	}
	// A plain folder takes the place of the kernel's, so its files stay.
	clean := func(g *Group) {
		for _, dir := range g.dirs {
			files, _ := filepath.Glob(filepath.Join(dir, "*"))
			for _, f := range files {
				os.Remove(f)
			}
		}
		if err := g.Remove(); err != nil {
			t.Error(err)
		}
	}
	cgroupRoot = t.TempDir()
	os.Mkdir(filepath.Join(cgroupRoot, "memory"), 0o700)
	if _, err := NewGroup(1000); err == nil {
		t.Error("a group without the cpu controller")
	}
	os.Mkdir(filepath.Join(cgroupRoot, "cpu"), 0o700)
	g, err := NewGroup(1000)
	if err != nil {
		t.Fatal(err)
	}
	if len(g.dirs) != 2 || read(g, g.memory, "memory.limit_in_bytes") != "1000" || read(g, g.dirs[1], "cpu.cfs_quota_us") != "100000" {
		t.Errorf("version 1: %+v", g)
	}
	os.WriteFile(filepath.Join(g.memory, "memory.max_usage_in_bytes"), []byte("77\n"), 0o600)
	os.WriteFile(filepath.Join(g.memory, "memory.oom_control"), []byte("under_oom 0\noom_kill 3\n"), 0o600)
	if p := g.peak(); p.Memory != 77 || p.Killed != 3 {
		t.Errorf("peak %+v", p)
	}
	clean(g)

	cgroupRoot = t.TempDir()
	os.WriteFile(filepath.Join(cgroupRoot, "cgroup.controllers"), nil, 0o600)
	if g, err = NewGroup(2000); err != nil {
		t.Fatal(err)
	}
	if len(g.dirs) != 1 || read(g, g.memory, "memory.max") != "2000" || read(g, g.memory, "cpu.max") != "100000 100000" {
		t.Errorf("version 2: %+v", g)
	}
	clean(g)
	var none *Group
	if none.Remove() != nil || none.peak() != nil {
		t.Error("no group is something")
	}
}
