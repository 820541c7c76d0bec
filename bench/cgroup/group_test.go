package cgroup

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// Groups of both versions are made, limited, read and removed.
func TestGroup(t *testing.T) {
	old := root
	defer func() { root = old }()
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
	root = t.TempDir()
	os.Mkdir(filepath.Join(root, "memory"), 0o700)
	if _, err := New(1000); err == nil {
		t.Error("a group without the cpu controller")
	}
	os.Mkdir(filepath.Join(root, "cpu"), 0o700)
	g, err := New(1000)
	if err != nil {
		t.Fatal(err)
	}
	if len(g.dirs) != 2 || read(g, g.memory, "memory.limit_in_bytes") != "1000" || read(g, g.dirs[1], "cpu.cfs_quota_us") != "100000" {
		t.Errorf("version 1: %+v", g)
	}
	os.WriteFile(filepath.Join(g.memory, "memory.max_usage_in_bytes"), []byte("77\n"), 0o600)
	os.WriteFile(filepath.Join(g.memory, "memory.oom_control"), []byte("under_oom 0\noom_kill 3\n"), 0o600)
	if p := g.Peak(); p.Memory != 77 || p.Killed != 3 {
		t.Errorf("peak %+v", p)
	}
	clean(g)

	root = t.TempDir()
	os.WriteFile(filepath.Join(root, "cgroup.controllers"), nil, 0o600)
	if g, err = New(2000); err != nil {
		t.Fatal(err)
	}
	if len(g.dirs) != 1 || read(g, g.memory, "memory.max") != "2000" || read(g, g.memory, "cpu.max") != "100000 100000" {
		t.Errorf("version 2: %+v", g)
	}
	clean(g)
	var none *Group
	if none.Remove() != nil || none.Peak() != nil {
		t.Error("no group is something")
	}
}

// What a killed process left behind goes away with the next group, and that of a
// living one stays.
func TestNew_sweeps(t *testing.T) {
	old := root
	defer func() { root = old }()
	root = t.TempDir()
	os.WriteFile(filepath.Join(root, "cgroup.controllers"), nil, 0o600)
	const nobody = 1 << 30 // above the largest process id
	for _, name := range []string{fmt.Sprintf("relaybench-%d-1", nobody), fmt.Sprintf("relaybench-%d-1", os.Getpid()), "relaybench-other", "system.slice"} {
		os.Mkdir(filepath.Join(root, name), 0o700)
	}
	g, err := New(1000)
	if err != nil {
		t.Fatal(err)
	}
	left, _ := filepath.Glob(filepath.Join(root, "*-*"))
	if len(left) != 3 { // our own, the new one, and relaybench-other
		t.Errorf("left: %q beside %s", left, g.memory)
	}
	if _, err := os.Stat(filepath.Join(root, "system.slice")); err != nil {
		t.Error(err)
	}
}

// A watch reads both versions of the kernel's files.
func TestWatch(t *testing.T) {
	f := func(second bool, files map[string]string, want Use) {
		t.Helper()
		dir := t.TempDir()
		for name, text := range files {
			if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		g := &Group{memory: dir, cpu: dir, Second: second}
		w := StartWatch(t.Context(), g)
		for name, text := range map[string]string{
			"cpu.stat": "nr_periods 30\nnr_throttled 7\nthrottled_time 1500000000\nthrottled_usec 1500000\n",
		} {
			os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600)
		}
		if got := *w.End(2*time.Second, time.Second); got != want {
			t.Errorf("used %+v, want %+v", got, want)
		}
	}
	f(false, map[string]string{
		"memory.usage_in_bytes": "100", "memory.kmem.usage_in_bytes": "20", "memory.kmem.tcp.usage_in_bytes": "7",
		"memory.max_usage_in_bytes": "90", "memory.kmem.tcp.max_usage_in_bytes": "9",
		"memory.stat": "cache 30\nrss 50\n", "memory.oom_control": "oom_kill 2\n", "cpu.stat": "nr_periods 10\n",
	}, Use{Peak: 107, Setup: 99, Anon: 50, Cache: 30, Kernel: 20, Sockets: 7, Killed: 2, CPU: 0.5, Throttled: 1.5, Periods: 7, AllPeriods: 20})
	f(true, map[string]string{
		"memory.current": "100", "memory.peak": "400", "memory.stat": "anon 50\nfile 30\nkernel 20\nsock 7\n",
		"memory.events": "oom_kill 0\n", "cpu.stat": "nr_throttled 1\nthrottled_usec 500000\n",
	}, Use{Peak: 100, Setup: 400, Anon: 50, Cache: 30, Kernel: 20, Sockets: 7, CPU: 0.5, Throttled: 1, Periods: 6, AllPeriods: 30})
}
