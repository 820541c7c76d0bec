package attack

import (
	"context"
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// The ledger finds each thing that may be wrong with what is there.
func TestLedger(t *testing.T) {
	l := newLedger()
	e := event("a-1", 100)
	l.sending("a-1", e)
	l.acknowledged("a-1", 0)
	if err := l.known("a-1", e); err != nil {
		t.Error(err)
	}
	if err := l.known("a-1", event("a-1", 101)); err == nil || !strings.Contains(err.Error(), "not as it was sent") {
		t.Errorf("another event: %v", err)
	}
	if err := l.known("a-2", e); err == nil || !strings.Contains(err.Error(), "nobody sent") {
		t.Errorf("an unknown event: %v", err)
	}
	if id := idOf(e); id != "a-1" {
		t.Errorf("id %q", id)
	}
}

// An event must come to every listener, once it is acknowledged.
func TestDeliveries(t *testing.T) {
	d := deliveries{open: map[string]*delivery{}}
	d.post("x", time.Now(), before, 0b11)
	if _, phase, ok := d.seen("x", 0); !ok || phase != before {
		t.Errorf("seen by the first: %v in phase %d", ok, phase)
	}
	if _, _, ok := d.seen("x", 0); ok {
		t.Error("seen twice by the first")
	}
	if late := d.overdue(0); len(late) != 0 {
		t.Errorf("%v are late that were not acknowledged", late)
	}
	d.posted("x", true)
	if d.none(between) {
		t.Error("nothing is waited for")
	}
	if late := d.overdue(0); late[before] != 1 {
		t.Errorf("late: %v, want the second listener's", late)
	}
	d.post("y", time.Now(), during, 1)
	d.posted("y", false)
	d.post("z", time.Now(), during, 1)
	d.seen("z", 0)
	d.posted("z", true)
	if !d.none(between) {
		t.Errorf("waits for %v", d.open)
	}
}

func TestBooks(t *testing.T) {
	f := func(live, counted, rest int64, ok bool) {
		t.Helper()
		b := &Books{Live: live << 20, Counted: counted << 20, Rest: rest << 20, Sites: []string{"the place"}}
		err := b.Check()
		if (err == nil) != ok || err != nil && !strings.Contains(err.Error(), "the place") {
			t.Errorf("%d MiB live, %d counted, %d at rest: %v", live, counted, rest, err)
		}
	}
	f(10, 5, 5, true)
	f(125, 100, 0, true)  // 10 % and 16 MiB
	f(127, 100, 0, false) // more lives than is counted
	f(100, 125, 0, true)
	f(100, 131, 0, false) // more is counted than lives
	if n, err := heapAlloc([]byte("heap profile: 1: 2\n# Alloc = 1\n# HeapAlloc = 12345\n")); err != nil || n != 12345 {
		t.Errorf("HeapAlloc %d, %v", n, err)
	}
	if _, err := heapAlloc(nil); err == nil {
		t.Error("no HeapAlloc, no error")
	}
}

// A result passes if every bar holds, and says which does not.
func TestResult(t *testing.T) {
	r := Result{Drill: "d", Variant: "v", Limits: "l", Before: &Figures{}, During: &Figures{}, Ratio: 2}
	r.bar("one", nil, "seen")
	if !r.Passed() || !strings.HasPrefix(r.Text(), "pass: d (v; l)\n") {
		t.Error(r.Text())
	}
	r.bar("two", errors.New("not so"), "seen")
	if r.Passed() || !strings.HasPrefix(r.Text(), "FAIL: d (v; l)\n") || !strings.Contains(r.Text(), "  FAIL    two: not so") {
		t.Error(r.Text())
	}
}

// Groups of both versions are made, limited, read and removed.
func TestGroup(t *testing.T) {
	old := cgroupRoot
	defer func() { cgroupRoot = old }()
	read := func(g *group, dir, name string) string {
		b, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Error(err)
		}
		return string(b)
	}
	// A folder stands for the kernel's: what is written there are plain files.
	clean := func(g *group) {
		for _, dir := range g.dirs {
			files, _ := filepath.Glob(filepath.Join(dir, "*"))
			for _, f := range files {
				os.Remove(f)
			}
		}
		if err := g.remove(); err != nil {
			t.Error(err)
		}
	}
	cgroupRoot = t.TempDir()
	os.Mkdir(filepath.Join(cgroupRoot, "memory"), 0o700)
	if _, err := newGroup(1000); err == nil {
		t.Error("a group without the cpu controller")
	}
	os.Mkdir(filepath.Join(cgroupRoot, "cpu"), 0o700)
	g, err := newGroup(1000)
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
	if g, err = newGroup(2000); err != nil {
		t.Fatal(err)
	}
	if len(g.dirs) != 1 || read(g, g.memory, "memory.max") != "2000" || read(g, g.memory, "cpu.max") != "100000 100000" {
		t.Errorf("version 2: %+v", g)
	}
	clean(g)
	var none *group
	if none.remove() != nil || none.peak() != nil {
		t.Error("no group is something")
	}
}

// A fleet comes, comes back when it is cut, and leaves.
func TestFleet(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	from := make(chan string, 100)
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			host, _, _ := net.SplitHostPort(c.RemoteAddr().String())
			from <- host
			c.Close()
		}
	}()
	ctx, cancel := context.WithCancel(t.Context())
	armed := make(chan struct{})
	done := make(chan struct{})
	f := &fleet{n: 3, to: l.Addr().String(), crowd: atFew, again: 10 * time.Millisecond}
	f.act = func(_ context.Context, c *net.TCPConn, _ int, there func()) error {
		there()
		return listen(c)
	}
	go func() {
		defer close(done)
		f.run(ctx, func() { close(armed) })
	}()
	<-armed
	seen := map[string]int{}
	for range 12 { // four times each
		seen[<-from]++
	}
	cancel()
	<-done
	if len(seen) != 3 || seen["127.0.0.2"] == 0 {
		t.Errorf("came from %v", seen)
	}
}
