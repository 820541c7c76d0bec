package run

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"cowrelay/bench/load"
	"cowrelay/bench/wire"
)

// Validate returns all that is wrong with c, joined, or nil.
func (c *Config) Validate() error {
	var errs []error
	check := func(ok bool, format string, args ...any) {
		if !ok {
			errs = append(errs, fmt.Errorf(format, args...))
		}
	}
	check((c.Target == "") != (c.Relay == ""), "exactly one of target and relay is needed")
	if c.Target != "" {
		if _, err := load.Attach(c.Target, 0); err != nil {
			errs = append(errs, err)
		}
	}
	check(c.TargetPID >= 0, "target-pid %d: want a process id", c.TargetPID)
	check(c.TargetPID == 0 || c.Target != "", "target-pid: only with target")
	check(len(c.RelayArgs) == 0 || c.Relay != "", "relay-args: only with relay")
	if c.Relay != "" {
		st, err := os.Stat(c.Relay)
		check(err == nil && st.Mode().IsRegular() && st.Mode()&0o111 != 0, "relay %q: not a program", c.Relay)
	}
	if st, err := os.Stat(c.Dir); err != nil || !st.IsDir() {
		check(false, "dir %q: not a folder", c.Dir)
	}
	name, _, isHeader := strings.Cut(c.Header, ":")
	check(c.Header == "" || isHeader && name != "" && !strings.ContainsAny(name, " \t") && !strings.ContainsAny(c.Header, "\r\n"),
		"header %q: want Name: value", c.Header)
	check(c.Rounds >= 1 && c.Rounds <= 100, "rounds %d: want 1 to 100", c.Rounds)
	check(c.Duration >= 50*time.Millisecond && c.Duration <= 10*time.Minute, "duration %v: want 50ms to 10m", c.Duration)
	check(c.Warmup >= 0 && c.Warmup <= time.Minute, "warmup %v: want 0s to 1m", c.Warmup)
	check(c.Profile == "" || c.Relay != "", "profile: only with relay")
	check(c.Profile == "" || c.Duration >= time.Second, "duration %v: a profile needs rounds of 1s at least", c.Duration)
	for _, n := range c.Conns {
		check(n >= 1 && n <= 10_000, "conns %d: want 1 to 10000", n)
	}
	check(c.EventBytes == 0 || c.EventBytes >= wire.MinEventBytes && c.EventBytes <= 1<<18,
		"event-bytes %d: want 0 or %d to %d", c.EventBytes, wire.MinEventBytes, 1<<18)
	check(c.Page >= 1 && c.Page <= 1000, "page %d: want 1 to 1000", c.Page)
	check(len(c.SlotBytes) > 0, "slot-bytes: want at least one length")
	need := int64(c.Page+1) * int64(c.EventBytesOr(300))
	for _, n := range c.SlotBytes {
		check(n >= need && n <= load.SlotBytesMax, "slot-bytes %d: want %d (one event more than a page) to %d", n, need, load.SlotBytesMax)
	}
	check(c.BatchEvents >= 1 && c.BatchEvents <= 1000, "batch-events %d: want 1 to 1000, the most a request has", c.BatchEvents)
	check(c.BatchPosters >= 1 && c.BatchPosters <= 1000, "batch-posters %d: want 1 to 1000", c.BatchPosters)
	check(c.BesideRate >= 1 && c.BesideRate <= 100_000, "beside-rate %g: want 1 to 100000", c.BesideRate)
	check(c.FileLines >= 1 && c.FileLines <= 1_000_000, "file-lines %d: want 1 to 1000000", c.FileLines)
	check(c.Streams >= 1 && c.Streams <= 256, "streams %d: want 1 to 256, the most a slot has", c.Streams)
	check(c.IdleStreams >= 1 && c.IdleStreams <= 1_000_000, "idle-streams %d: want 1 to 1000000", c.IdleStreams)
	check(c.IdleSettle >= 0 && c.IdleSettle <= 10*time.Minute, "idle-settle %v: want 0s to 10m", c.IdleSettle)
	check(c.Heartbeat >= 20*time.Millisecond && c.Heartbeat <= 5*time.Minute, "heartbeat %v: want 20ms to 5m", c.Heartbeat)
	check(c.EdgeStreams >= 0 && c.EdgeStreams <= 1_000_000, "edge-streams %d: want 0 to 1000000", c.EdgeStreams)
	check(c.EdgeSlots > c.ConnsOr(64)[0] && c.EdgeSlots <= 10_000_000, "edge-slots %d: want more than the connections, which have a slot each, up to 10000000", c.EdgeSlots)
	check(c.EdgeRate >= 1 && c.EdgeRate <= 100_000, "edge-rate %g: want 1 to 100000", c.EdgeRate)
	check(c.EdgeMemory >= 64<<20 && c.EdgeMemory <= 1<<40, "edge-memory %d: want %d to %d", c.EdgeMemory, 64<<20, int64(1)<<40)
	check(c.ColdTimes > 0 && c.ColdTimes <= 1000, "cold-times %g: want more than 0, up to 1000", c.ColdTimes)
	check(c.ColdSlotEvents >= 2 && c.ColdSlotEvents <= load.SlotEvents(c.EventBytesOr(512)), "cold-slot-events %d: want 2 to %d", c.ColdSlotEvents, load.SlotEvents(c.EventBytesOr(512)))
	check(c.ColdHotRate >= 1 && c.ColdHotRate <= 100_000, "cold-hot-rate %g: want 1 to 100000", c.ColdHotRate)
	check(c.ColdPostRate >= 1 && c.ColdPostRate <= 100_000, "cold-post-rate %g: want 1 to 100000", c.ColdPostRate)
	check(c.ColdRate >= 0 && c.ColdRate <= 1e6, "cold-rate %g: want 0 to 1000000", c.ColdRate)
	check(c.ChurnStreams >= 1 && c.ChurnStreams <= 1_000_000, "churn-streams %d: want 1 to 1000000", c.ChurnStreams)
	check(c.MixAgents >= 2 && c.MixAgents <= 100_000, "mix-agents %d: want 2 to 100000", c.MixAgents)
	check(c.MixSpeed >= 1 && c.MixSpeed <= 1000, "mix-speed %g: want 1 to 1000", c.MixSpeed)
	check(c.Handles >= 1 && c.Handles <= 1_000_000, "handles %d: want 1 to 1000000", c.Handles)
	check(c.Posters >= 1 && c.Posters <= 1000, "posters %d: want 1 to 1000", c.Posters)
	check(c.PostRate >= 1 && c.PostRate <= 100_000, "post-rate %g: want 1 to 100000", c.PostRate)
	check(c.Pullers >= 1 && c.Pullers <= 1000, "pullers %d: want 1 to 1000", c.Pullers)
	check(c.PullerNice >= 0 && c.PullerNice <= 19, "puller-nice %d: want 0 to 19", c.PullerNice)
	check(c.PullRate >= 0 && c.PullRate <= 1e6, "pull-rate %g: want 0 to 1000000", c.PullRate)
	checkRising := func(name string, ns []int, least, most int) {
		for i, n := range ns {
			check(n >= least && n <= most && (i == 0 || n > ns[i-1]), "%s %d: want numbers from %d to %d, each over the last", name, n, least, most)
		}
	}
	checkRising("growth-lengths", c.GrowthLengths, 2*SinceLimit, load.SlotEvents(GrowthBytes))
	check(c.GrowthEvents >= 0 && c.GrowthEvents <= load.SlotEvents(wire.SmallEventBytes), "growth-events %d: want 0 to %d", c.GrowthEvents, load.SlotEvents(wire.SmallEventBytes))
	checkRising("growth-streams", c.GrowthStreams, 1, 256)
	checkRising("growth-slots", c.GrowthSlots, 1, 10_000_000)
	check(c.RestartSlots >= 1 && c.RestartSlots <= 10_000_000, "restart-slots %d: want 1 to 10000000", c.RestartSlots)
	check(c.RestartBytes >= 1 && c.RestartBytes <= 1<<40, "restart-bytes %d: want 1 to %d", c.RestartBytes, int64(1)<<40)
	return errors.Join(errs...)
}
