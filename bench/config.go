package bench

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"time"
)

// A Config says what to load and how. The zero value is not usable: start from
// Defaults.
type Config struct {
	// Target is the URL of a relay that runs already. Either it or Relay is set.
	Target string
	// TargetPID is the relay's process id for Target; 0 (the default) leaves
	// the CPU figures out.
	TargetPID int
	// Relay is the path of a relay binary, started anew for each scenario as
	// `PATH serve --bind … --data-dir … --admin …`.
	Relay string
	// RelayArgs are further arguments for Relay; none by default.
	RelayArgs []string
	// Header is a further header line of every request, such as
	// "X-Forwarded-For: 192.0.2.1"; none by default. With it, relay and bound
	// read the same bytes; only a relay with trusted proxies makes more of it.
	Header string
	// Self is the command that calls RunBound with what is appended to it.
	// Without it there are no bounds.
	Self []string
	// Loader is the command that calls RunLoader; saturation does not run
	// without it.
	Loader []string
	// NATSPeer is the program that is NATS for RunPeers; without it that peer
	// is skipped.
	NATSPeer string
	// Peers are the peers that RunPeers runs with; all by default.
	Peers []string
	// Dir is the folder for data of relay and bound, os.TempDir by default. A
	// file system in memory makes syncs free, and a figure of post worthless.
	Dir string

	// Rounds is the number of rounds of each side; 5 by default.
	Rounds int
	// Duration is the measured time of a round; 3 s by default.
	Duration time.Duration
	// Warmup is the time before it in each round; 500 ms by default.
	Warmup time.Duration

	// Conns are the numbers of connections that poll, connect, window and post
	// are run with. None, the default, means 64, and 1, 64 and 256 for post.
	Conns []int
	// EventBytes is the size of an event; 0, the default, means 300 for window
	// and saturation and 512 for post and fanout.
	EventBytes int
	// SlotBytes are the slot lengths that window is run with, in bytes of
	// events; 1 MiB and 64 MiB by default.
	SlotBytes []int64
	// Page is the events of a window; 1000 by default, the most a relay gives.
	Page int
	// IdleStreams is the number of streams of idle, two a slot; 10,000 by
	// default.
	IdleStreams int
	// IdleSettle is the time from the last open of idle to the reading of the
	// server's memory; 60 s by default.
	IdleSettle time.Duration
	// Heartbeat is the longest silence on a stream that the relay promises, and
	// the interval at which the bound of idle sends its comments; 12 s by
	// default.
	Heartbeat time.Duration
	// ChurnStreams is how many streams a round of churn opens and closes; 10,000
	// by default.
	ChurnStreams int
	// MixAgents is the number of agents of mix; 1000 by default.
	MixAgents int
	// MixSpeed is how many times as fast as a real day mix goes; 20 by default.
	MixSpeed float64
	// Streams is the number of streams of fanout; 256 by default, the most a
	// slot has.
	Streams int
	// Posters is the number of posting connections of fanout and saturation;
	// 16 by default.
	Posters int
	// PostRate is the posts a second, all posters together, of saturation; 800
	// by default.
	PostRate float64
	// Pullers is the number of pulling connections of saturation; 64 by default.
	Pullers int
	// PullRate is the pulls a second of saturation's paced variant; 0, the
	// default, looks for the rate that leaves 30 % of the CPU idle.
	PullRate float64
	// PullerNice is how far below the other processes the pullers stand (see
	// nice(1)), 0 to 19; 0 by default. Pullers on other machines would take no
	// CPU of this one: with a high one they come nearer to that.
	PullerNice int

	// GrowthLengths are the events in a slot at which growth takes posts and
	// pulls; 1000, 10,000, 100,000 and 200,000 by default.
	GrowthLengths []int
	// GrowthEvents is the number of small events that growth posts to one slot,
	// to find the worst post; 1,000,000 by default, 0 for none.
	GrowthEvents int
	// GrowthStreams are the streams on a slot at which growth counts
	// deliveries; 1, 10, 100 and 256 by default.
	GrowthStreams []int
	// GrowthSlots are the slots at which growth reads the relay's memory and
	// times its start; 1000, 10,000, 100,000 and 1,000,000 by default. Empty
	// leaves that out, which is the one part of growth that needs Relay.
	GrowthSlots []int
	// RestartSlots and RestartBytes are what is stored before restart kills the
	// relay; 100,000 slots and 1 GiB in all by default.
	RestartSlots int
	RestartBytes int64

	// Commit is the commit that is measured, for the record; empty by default.
	Commit string
	// Profile is the folder that profiles of the relay go to, taken while its
	// rounds are measured; empty, the default, for none. See ProfileFiles.
	Profile string
	// Progress shows how far a run is; none by default.
	Progress *Progress
}

// Defaults returns the configuration of a full run, without a relay.
func Defaults() Config {
	return Config{
		Dir:       os.TempDir(),
		Rounds:    5,
		Duration:  3 * time.Second,
		Warmup:    500 * time.Millisecond,
		SlotBytes: []int64{1 << 20, 64 << 20},
		Page:      1000,
		Streams:   256,
		Posters:   16,
		PostRate:  800,
		Pullers:   64,

		IdleStreams:  10_000,
		IdleSettle:   time.Minute,
		Heartbeat:    12 * time.Second,
		ChurnStreams: 10_000,
		MixAgents:    1000,
		MixSpeed:     20,

		GrowthLengths: []int{1000, 10_000, 100_000, 200_000},
		GrowthEvents:  1_000_000,
		GrowthStreams: []int{1, 10, 100, 256},
		GrowthSlots:   []int{1000, 10_000, 100_000, 1_000_000},
		RestartSlots:  100_000,
		RestartBytes:  1 << 30,
	}
}

// slotBytesMax is the relay's limit on the events of a slot, in bytes.
const slotBytesMax = 64 << 20

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
		if _, err := attach(c.Target, 0); err != nil {
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
	check(c.EventBytes == 0 || c.EventBytes >= minEventBytes && c.EventBytes <= 1<<18,
		"event-bytes %d: want 0 or %d to %d", c.EventBytes, minEventBytes, 1<<18)
	check(c.Page >= 1 && c.Page <= 1000, "page %d: want 1 to 1000", c.Page)
	check(len(c.SlotBytes) > 0, "slot-bytes: want at least one length")
	need := int64(c.Page+1) * int64(c.eventBytes(300))
	for _, n := range c.SlotBytes {
		check(n >= need && n <= slotBytesMax, "slot-bytes %d: want %d (one event more than a page) to %d", n, need, slotBytesMax)
	}
	check(c.Streams >= 1 && c.Streams <= 256, "streams %d: want 1 to 256, the most a slot has", c.Streams)
	check(c.IdleStreams >= 1 && c.IdleStreams <= 1_000_000, "idle-streams %d: want 1 to 1000000", c.IdleStreams)
	check(c.IdleSettle >= 0 && c.IdleSettle <= 10*time.Minute, "idle-settle %v: want 0s to 10m", c.IdleSettle)
	check(c.Heartbeat >= 20*time.Millisecond && c.Heartbeat <= 5*time.Minute, "heartbeat %v: want 20ms to 5m", c.Heartbeat)
	check(c.ChurnStreams >= 1 && c.ChurnStreams <= 1_000_000, "churn-streams %d: want 1 to 1000000", c.ChurnStreams)
	check(c.MixAgents >= 2 && c.MixAgents <= 100_000, "mix-agents %d: want 2 to 100000", c.MixAgents)
	check(c.MixSpeed >= 1 && c.MixSpeed <= 1000, "mix-speed %g: want 1 to 1000", c.MixSpeed)
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
	checkRising("growth-lengths", c.GrowthLengths, 2*sinceLimit, slotEvents(growthBytes))
	check(c.GrowthEvents >= 0 && c.GrowthEvents <= slotEvents(smallEventBytes), "growth-events %d: want 0 to %d", c.GrowthEvents, slotEvents(smallEventBytes))
	checkRising("growth-streams", c.GrowthStreams, 1, 256)
	checkRising("growth-slots", c.GrowthSlots, 1, 10_000_000)
	check(c.RestartSlots >= 1 && c.RestartSlots <= 10_000_000, "restart-slots %d: want 1 to 10000000", c.RestartSlots)
	check(c.RestartBytes >= 1 && c.RestartBytes <= 1<<40, "restart-bytes %d: want 1 to %d", c.RestartBytes, int64(1)<<40)
	return errors.Join(errs...)
}

func (c *Config) eventBytes(otherwise int) int {
	if c.EventBytes != 0 {
		return c.EventBytes
	}
	return otherwise
}

func (c *Config) conns(otherwise ...int) []int {
	if len(c.Conns) > 0 {
		return c.Conns
	}
	return otherwise
}
