package plan

import (
	"os"
	"path/filepath"
	"runtime"
	"testing"
)

// The quota is found in groups of both versions, by their path and mounted as a root.
// Without a quota the process may use all processors, or as many as GOMAXPROCS says.
func TestCPUs(t *testing.T) {
	all := float64(runtime.NumCPU())
	if GivenProcs() {
		all = min(all, float64(runtime.GOMAXPROCS(0)))
	}
	f := func(self string, files map[string]string, want float64) {
		t.Helper()
		root := t.TempDir()
		files["self"] = self
		for name, text := range files {
			name = filepath.Join(root, name)
			if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		if got := CPUs(root, filepath.Join(root, "self")); got != min(want, all) {
			t.Errorf("%q, %v: %v processors, want %v", self, files, got, want)
		}
	}
	const v1 = "9:name=systemd:/\n4:memory:/\n1:cpu,cpuacct:/a/b\n0::/\n"
	quota := func(dir, quota string) map[string]string {
		return map[string]string{dir + "/cpu.cfs_quota_us": quota + "\n", dir + "/cpu.cfs_period_us": "100000\n"}
	}
	f(v1, quota("cpu,cpuacct/a/b", "50000"), 0.5)
	f(v1, quota("cpu/a/b", "50000"), 0.5)
	f(v1, quota("cpu", "100000"), 1)
	f(v1, quota("cpu/a/b", "-1"), all)
	f("0::/x.slice\n", map[string]string{"x.slice/cpu.max": "25000 100000\n"}, 0.25)
	f("0::/x.slice\n", map[string]string{"cpu.max": "25000 100000\n"}, 0.25)
	f("0::/x.slice\n", map[string]string{"x.slice/cpu.max": "max 100000\n"}, all)
	f("0::/x.slice\n", map[string]string{"x.slice/cpu.max": "9999900000 100000\n"}, all)
	f("", map[string]string{}, all)
	if got := CPUs("/", "/nowhere"); got != all {
		t.Errorf("without groups: %v processors", got)
	}
}

// The scheduler gets spare places once, and none where the operator gave a number.
func TestSpareProcs(t *testing.T) {
	t.Setenv("GOMAXPROCS", "")
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(0))
	runtime.SetDefaultGOMAXPROCS()
	want := runtime.GOMAXPROCS(0) + spareProcs
	for range 2 {
		if SpareProcs(); runtime.GOMAXPROCS(0) != want {
			t.Errorf("%d places, want %d", runtime.GOMAXPROCS(0), want)
		}
	}
	t.Setenv("GOMAXPROCS", "1")
	runtime.GOMAXPROCS(1)
	if SpareProcs(); runtime.GOMAXPROCS(0) != 1 {
		t.Errorf("%d places, want the operator's 1", runtime.GOMAXPROCS(0))
	}
}
