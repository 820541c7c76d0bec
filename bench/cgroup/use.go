package cgroup

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"
)

// A Peak is the most that a group ever held, in bytes.
type Peak struct {
	// Memory counts the page cache too, which the kernel takes back when it
	// needs memory. So this may be the limit, and nothing is wrong.
	Memory int64 `json:"memory"`
	// Sockets is the kernel's memory for the group's TCP sockets; 0 if the
	// kernel does not count it by itself.
	Sockets int64 `json:"sockets,omitempty"`
	// Killed is how many processes the kernel ended for want of memory.
	Killed int64 `json:"killed"`
}

// ResetPeaks lets the peaks begin anew, if the kernel can do that: what was
// before a load does not count.
func (g *Group) ResetPeaks() {
	if g == nil {
		return
	}
	for _, name := range []string{"memory.max_usage_in_bytes", "memory.kmem.tcp.max_usage_in_bytes", "memory.peak"} {
		_ = os.WriteFile(filepath.Join(g.memory, name), []byte("0"), 0o644)
	}
}

// Peak reads the peaks. Without a group it is nil.
func (g *Group) Peak() *Peak {
	if g == nil {
		return nil
	}
	if g.Second {
		return &Peak{Memory: number(g.memory, "memory.peak"), Killed: field(g.memory, "memory.events", "oom_kill")}
	}
	return &Peak{
		Memory: number(g.memory, "memory.max_usage_in_bytes"), Sockets: number(g.memory, "memory.kmem.tcp.max_usage_in_bytes"),
		Killed: field(g.memory, "memory.oom_control", "oom_kill"),
	}
}

// A Use is what a group took in a span of time.
type Use struct {
	// Peak is the most memory at once, in bytes, with page cache and sockets.
	Peak int64 `json:"peak_bytes"`
	// Setup is the same for the time before the span.
	Setup int64 `json:"setup_peak_bytes"`
	// Anon, Cache, Kernel and Sockets are what the memory was for when the most was
	// seen: the process's own, page cache, the kernel's objects, buffers of sockets.
	Anon    int64 `json:"anon_bytes"`
	Cache   int64 `json:"cache_bytes"`
	Kernel  int64 `json:"kernel_bytes"`
	Sockets int64 `json:"socket_bytes"`
	Killed  int64 `json:"killed"`
	// CPU is the part of a core that was used. Throttled is for how long, in
	// seconds, threads had to wait for the next period, all of them added up, and
	// Periods in how many of AllPeriods, of 100 ms each, any had to.
	CPU        float64 `json:"cpu_cores"`
	Throttled  float64 `json:"throttled_s"`
	Periods    int64   `json:"throttled_periods"`
	AllPeriods int64   `json:"periods"`
}

// clocks are counters of a group's CPU time.
type clocks struct {
	throttled        time.Duration
	periods, limited int64
}

func (g *Group) clocks() clocks {
	c := clocks{periods: field(g.cpu, "cpu.stat", "nr_periods"), limited: field(g.cpu, "cpu.stat", "nr_throttled")}
	if g.Second {
		c.throttled = time.Duration(field(g.cpu, "cpu.stat", "throttled_usec")) * time.Microsecond
	} else {
		c.throttled = time.Duration(field(g.cpu, "cpu.stat", "throttled_time"))
	}
	return c
}

// Now reads what the memory is for at this moment: Peak is what is taken now. It
// fills in nothing but memory.
func (g *Group) Now() (u Use) {
	if g.Second {
		u.Peak = number(g.memory, "memory.current")
		u.Anon, u.Cache = field(g.memory, "memory.stat", "anon"), field(g.memory, "memory.stat", "file")
		u.Kernel, u.Sockets = field(g.memory, "memory.stat", "kernel"), field(g.memory, "memory.stat", "sock")
		return u
	}
	u.Anon, u.Cache = field(g.memory, "memory.stat", "rss"), field(g.memory, "memory.stat", "cache")
	u.Kernel, u.Sockets = number(g.memory, "memory.kmem.usage_in_bytes"), number(g.memory, "memory.kmem.tcp.usage_in_bytes")
	// Version 1 counts the buffers of sockets by themselves.
	u.Peak = number(g.memory, "memory.usage_in_bytes") + u.Sockets
	return u
}

// A Watch reads what a group uses until it is ended.
type Watch struct {
	g    *Group
	stop context.CancelFunc
	wg   sync.WaitGroup
	use  Use // the loop's until it has ended
	from clocks
}

// watchEvery is the time between two readings. The kernel's own peaks find what
// comes and goes between them.
const watchEvery = 250 * time.Millisecond

// StartWatch begins a span of time, and with it new peaks.
func StartWatch(ctx context.Context, g *Group) *Watch {
	w := &Watch{g: g, from: g.clocks()}
	w.use.Setup = g.Peak().Memory + g.Peak().Sockets
	g.ResetPeaks()
	ctx, w.stop = context.WithCancel(ctx)
	w.wg.Go(func() {
		tick := time.NewTicker(watchEvery)
		defer tick.Stop()
		for w.look(); ctx.Err() == nil; w.look() { // the last look is at the end
			select {
			case <-tick.C:
			case <-ctx.Done():
			}
		}
	})
	return w
}

func (w *Watch) look() {
	if u := w.g.Now(); u.Peak > w.use.Peak {
		u.Setup = w.use.Setup
		w.use = u
	}
}

// End ends the span, in which the group used so much CPU time. It must be called,
// whatever happens.
func (w *Watch) End(span, cpu time.Duration) *Use {
	w.stop()
	w.wg.Wait()
	u, peak, to := w.use, w.g.Peak(), w.g.clocks()
	// Version 2 can't reset its peak everywhere, so there it may be from before.
	if !w.g.Second {
		u.Peak = max(u.Peak, peak.Memory)
	}
	u.Killed = peak.Killed
	if span > 0 {
		u.CPU = cpu.Seconds() / span.Seconds()
	}
	u.Throttled = (to.throttled - w.from.throttled).Seconds()
	u.Periods, u.AllPeriods = to.limited-w.from.limited, to.periods-w.from.periods
	return &u
}

// number reads a file that holds one number. It returns 0 if that cannot be
// read.
func number(dir, name string) int64 {
	b, err := os.ReadFile(filepath.Join(dir, name))
	if err != nil {
		return 0
	}
	n, _ := strconv.ParseInt(strings.TrimSpace(string(b)), 10, 64)
	return n
}

// field reads one line of a file of names and numbers.
func field(dir, name, key string) int64 {
	b, err := os.ReadFile(filepath.Join(dir, name))
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
