package run

import (
	"os"
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
	Progress Progress
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

func (c *Config) EventBytesOr(otherwise int) int {
	if c.EventBytes != 0 {
		return c.EventBytes
	}
	return otherwise
}

func (c *Config) ConnsOr(otherwise ...int) []int {
	if len(c.Conns) > 0 {
		return c.Conns
	}
	return otherwise
}

// GrowthBytes is the size of an event of the slots of growing length: 200,000 of
// them, and the posts that measure, fit into a slot.
const GrowthBytes = 256

// SinceLimit is the page of growth's pulls from a random place, in events.
const SinceLimit = 10
