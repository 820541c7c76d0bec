package trim

import (
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"testing"
	"time"
)

func write(t *testing.T, name, text string) string {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

// Groups of both versions are found, by their path and mounted as a root; a group
// without a limit is none.
func TestFindGroup(t *testing.T) {
	f := func(self string, files map[string]string, usage string) {
		t.Helper()
		root := t.TempDir()
		for name, text := range files {
			write(t, filepath.Join(root, name), text)
		}
		g := findGroup(root, write(t, filepath.Join(root, "self"), self))
		switch {
		case usage == "" && g != nil:
			t.Errorf("%q: found %+v", self, g)
		case usage != "" && (g == nil || g.usage != filepath.Join(root, usage) || g.limit != 512_000_000 || g.files != 32_000_000):
			t.Errorf("%q: found %+v, want %s", self, g, usage)
		}
	}
	const v1 = "9:name=systemd:/\n4:memory:/a/b\n1:cpu,cpuacct:/\n0::/\n"
	f(v1, map[string]string{"memory/a/b/memory.limit_in_bytes": "512000000\n"}, "memory/a/b/memory.usage_in_bytes")
	f(v1, map[string]string{"memory/memory.limit_in_bytes": "512000000\n"}, "memory/memory.usage_in_bytes")
	f(v1, map[string]string{"memory/a/b/memory.limit_in_bytes": "9223372036854771712\n"}, "")
	f("0::/x.slice\n", map[string]string{"x.slice/memory.max": "512000000\n"}, "x.slice/memory.current")
	f("0::/x.slice\n", map[string]string{"memory.max": "512000000\n"}, "memory.current")
	f("0::/x.slice\n", map[string]string{"x.slice/memory.max": "max\n"}, "")
	f("", nil, "")
	if g := findGroup("/", "/nowhere"); g != nil {
		t.Errorf("found %+v", g)
	}
}

// Cache is dropped only if it takes more than its part, and the group is nearly full
// or the process quiet; then the oldest files come first, and it ends when there is room.
func TestGroup_trim(t *testing.T) {
	dir := t.TempDir()
	var want []string
	for i := range 20 {
		name := write(t, filepath.Join(dir, fmt.Sprint(i%3), fmt.Sprintf("%02d", 19-i)), "some text")
		at := time.Now().Add(time.Duration(i-100) * time.Minute)
		if err := os.Chtimes(name, at, at); err != nil {
			t.Fatal(err)
		}
		want = append(want, name)
	}
	if got := byAge(dir); !slices.Equal(got, want) {
		t.Errorf("files by age: %q", got)
	}
	f := func(usage, cache int, quiet bool, files int) {
		t.Helper()
		k := t.TempDir()
		g := &group{
			usage: write(t, filepath.Join(k, "usage"), fmt.Sprintln(usage)),
			stat:  write(t, filepath.Join(k, "stat"), fmt.Sprintf("anon 3\nfile %d\nfile_mapped 900\n", cache)),
			cache: "file", limit: 1000, files: 60,
		}
		if got := g.trim(dir, quiet); got != files {
			t.Errorf("usage %d, cache %d, quiet %v: %d files, want %d", usage, cache, quiet, got, files)
		}
	}
	f(750, 500, false, 0)
	f(760, 60, false, 0)
	f(100, 60, true, 0)
	if runtime.GOOS == "linux" {
		f(760, 61, false, 20)
		f(100, 61, true, 20)
	}
	g := &group{usage: "/nowhere", stat: "/nowhere", limit: 1000}
	if g.trim(dir, true) != 0 {
		t.Error("trimmed without figures")
	}
}

// A process that has become quiet gives back what a burst left; one that is busy
// keeps it.
func TestHeapWatch(t *testing.T) {
	var h heapWatch
	burst := make([][]byte, 64)
	for i := range burst {
		burst[i] = make([]byte, 1<<20)
	}
	if quiet, n := h.look(); quiet || n != 0 {
		t.Errorf("the first look gave %d bytes back, quiet %v", n, quiet)
	}
	for i := range burst {
		burst[i] = make([]byte, 1<<20)
	}
	if quiet, n := h.look(); quiet || n != 0 {
		t.Errorf("a busy process gave %d bytes back, quiet %v", n, quiet)
	}
	runtime.KeepAlive(burst)
	burst = nil
	runtime.GC() // the runtime knows now what lives
	_, before := readHeap()
	if quiet, n := h.look(); !quiet || n < 32<<20 {
		t.Errorf("%d bytes were given back of %d, quiet %v", n, before, quiet)
	}
	if _, n := h.look(); n != 0 {
		t.Errorf("%d bytes more were given back", n)
	}
}

// Start ends when it is told to.
func TestStart(t *testing.T) {
	stop := Start(t.TempDir(), slog.New(slog.DiscardHandler))
	done := make(chan struct{})
	go func() {
		stop()
		close(done)
	}()
	select {
	case <-done:
	case <-time.After(time.Minute):
		t.Fatal("it does not end")
	}
}
