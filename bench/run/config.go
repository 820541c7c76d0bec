package run

import (
	"os"
	"time"

	"cowrelay/bench/wire"
)

// A Config says what to load and how. The zero value is not usable: begin with
// Defaults.
type Config struct {
	// Target is the URL of a relay that runs already. Exactly one of Target and
	// Relay is set.
	Target string
	// TargetPID is the process id of the relay at Target. With 0, the default,
	// there are no CPU figures.
	TargetPID int
	// Relay is the path of a relay's binary. It is started anew for each
	// variant, as `PATH serve --bind … --data-dir … --admin …`.
	Relay string
	// RelayArgs are further arguments for Relay; none by default.
	RelayArgs []string
	// Header is a further header line of every request, such as
	// "X-Forwarded-For: 192.0.2.1"; none by default. Relay and bound read the
	// same bytes then; a relay with trusted proxies makes more of it.
	Header string
	// Self is the command that calls bound.Run with what is appended to it.
	// Without it there are no bounds.
	Self []string
	// Loader is the command that calls pullers.Run. Saturation needs it.
	Loader []string
	// Dir is the folder for the data of relay and bound; os.TempDir by default.
	// On a file system in memory a sync costs nothing, and a figure of post
	// means nothing.
	Dir string

	// Rounds is the number of rounds of each side; 5 by default.
	Rounds int
	// Duration is the measured time of a round; 3 s by default.
	Duration time.Duration
	// Warmup is the time before it in each round; 500 ms by default.
	Warmup time.Duration

	// Conns are the numbers of connections that poll, connect, window, post and batch
	// are run with. Empty, the default, is 64, 1, 64 and 256 for post, and 1, 16 and
	// 64 for batch.
	Conns []int
	// EventBytes is the size of an event. 0, the default, is 512 for post and fanout,
	// and 300 for window, saturation, tail, and all that posts batches.
	EventBytes int
	// SlotBytes are the slot lengths that window is run with, in bytes of
	// events; 1 MiB and 64 MiB by default.
	SlotBytes []int64
	// Page is how many events a window has; 1000 by default, the most that a
	// relay gives.
	Page int
	// IdleStreams is the number of streams of idle, two for each slot; 10,000
	// by default.
	IdleStreams int
	// IdleSettle is the time in idle from the last opened stream until the
	// server's memory is read; 60 s by default.
	IdleSettle time.Duration
	// Heartbeat is the longest silence on a stream that the relay promises. The
	// bound of idle sends its comments that often. 12 s by default.
	Heartbeat time.Duration
	// EdgeStreams is the number of streams of edge and edge-idle. 0, the default,
	// is as many as the limits of open files allow, up to 19,000.
	EdgeStreams int
	// EdgeSlots is over how many slots edge has its streams; 100,000 by default.
	EdgeSlots int
	// EdgeRate is the posts a second of edge; 5000 by default.
	EdgeRate float64
	// EdgeMemory is what the control group of edge and cold may take, in bytes; 512 MB by
	// default.
	EdgeMemory int64
	// ColdTimes is how many times the relay's memory budget cold stores in events; 5
	// by default.
	ColdTimes float64
	// ColdSlotEvents is how many events each of its slots has; 500 by default.
	ColdSlotEvents int
	// ColdHotRate and ColdPostRate are its windows a second of hot slots, and its
	// posts a second; 500 each by default.
	ColdHotRate, ColdPostRate float64
	// ColdRate is the most cold windows a second. 0, the default, looks for the rate
	// that leaves 30 % of the relay's core idle.
	ColdRate float64
	// ChurnStreams is how many streams a round of churn opens and closes; 10,000
	// by default.
	ChurnStreams int
	// MixAgents is the number of agents of mix; 1000 by default.
	MixAgents int
	// MixSpeed is how many times as fast as a real day mix is; 20 by default.
	MixSpeed float64
	// BatchEvents is how many events each request of batch and batch-beside posts;
	// 100 by default. Of large events a request has fewer: see BatchOf.
	BatchEvents int
	// BatchPosters is the number of connections of batch-beside that post batches; 16
	// by default.
	BatchPosters int
	// BesideRate is the posts of one event a second of batch-beside, of all
	// connections together; 2000 by default.
	BesideRate float64
	// FileLines is how many lines the file of post-file has, if a slot takes so many;
	// 100,000 by default.
	FileLines int
	// Streams is the number of streams of fanout; 256 by default, the most that
	// a slot has.
	Streams int
	// Posters is the number of posting connections of fanout and saturation;
	// 16 by default.
	Posters int
	// PostRate is the posts a second of saturation, of all posters together;
	// 800 by default.
	PostRate float64
	// Pullers is the number of pulling connections of saturation; 64 by default.
	Pullers int
	// PullRate is the pulls a second of saturation's paced pullers. 0, the
	// default, looks for the rate that leaves 30 % of the CPU idle.
	PullRate float64
	// PullerNice is the niceness of the pullers, 0 to 19 (see nice(1)); 0 by
	// default. Pullers on other machines would use no CPU time of this one.
	// Nice ones come nearer to that.
	PullerNice int

	// GrowthLengths are the numbers of events in a slot at which growth times
	// posts and pulls; 1000, 10,000, 100,000 and 200,000 by default.
	GrowthLengths []int
	// GrowthEvents is how many small events growth posts to one slot, to find
	// the slowest post; 1,000,000 by default, 0 for none.
	GrowthEvents int
	// GrowthStreams are the numbers of streams on a slot at which growth counts
	// deliveries; 1, 10, 100 and 256 by default.
	GrowthStreams []int
	// GrowthSlots are the numbers of slots at which growth reads the relay's
	// memory and times its start; 1000, 10,000, 100,000 and 1,000,000 by
	// default, empty for none. This part of growth needs Relay.
	GrowthSlots []int
	// RestartSlots and RestartBytes are what is stored before restart kills the
	// relay; 100,000 slots and 1 GiB in all by default.
	RestartSlots int
	RestartBytes int64
	// Handles is how many nicks the directory of claim and directory has; 100,000
	// by default, the most that a relay takes.
	Handles int

	// Commit names what is measured, for the record; empty by default.
	Commit string
	// Profile is the folder for profiles of the relay, which are taken while
	// its rounds are measured; none by default. See report.ProfileFiles.
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
		Handles:   100_000,
		PostRate:  800,
		Pullers:   64,

		IdleStreams:  10_000,
		IdleSettle:   time.Minute,
		Heartbeat:    12 * time.Second,
		BatchEvents:  100,
		BatchPosters: 16,
		BesideRate:   2000,
		FileLines:    100_000,
		EdgeSlots:    100_000,
		EdgeRate:     5000,
		EdgeMemory:   512_000_000,
		ColdTimes:    5,
		ColdHotRate:  500,
		ColdPostRate: 500,
		ChurnStreams: 10_000,
		MixAgents:    1000,
		MixSpeed:     20,

		GrowthLengths:  []int{1000, 10_000, 100_000, 200_000},
		GrowthEvents:   1_000_000,
		GrowthStreams:  []int{1, 10, 100, 256},
		GrowthSlots:    []int{1000, 10_000, 100_000, 1_000_000},
		ColdSlotEvents: 500,

		RestartSlots: 100_000,
		RestartBytes: 1 << 30,
	}
}

// EventBytesOr returns EventBytes, or otherwise if that is 0.
func (c *Config) EventBytesOr(otherwise int) int {
	if c.EventBytes != 0 {
		return c.EventBytes
	}
	return otherwise
}

// ConnsOr returns Conns, or otherwise if there are none.
func (c *Config) ConnsOr(otherwise ...int) []int {
	if len(c.Conns) > 0 {
		return c.Conns
	}
	return otherwise
}

// GrowthBytes is the size of an event in growth's slots of different lengths. A
// slot takes 200,000 of them, and the posts that are timed.
const GrowthBytes = 256

// SinceLimit is how many events growth pulls from a random place.
const SinceLimit = 10

// BatchOf returns how many events of size bytes a request has that should have
// most. A relay takes wire.BatchBytesMax in one request.
func BatchOf(most, size int) int { return max(1, min(most, wire.BatchBytesMax/size)) }
