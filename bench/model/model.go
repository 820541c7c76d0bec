package model

import (
	"errors"
	"fmt"
	"math"
	"slices"
)

// Inputs of the model. Sizes are in bytes, times in seconds.
type Inputs struct {
	// The plan.
	Relays float64 // in all cells together
	Slots  float64 // in all cells together
	Sizes  []int   // relays a cell, to compare

	// What users do.
	Posts      float64 // events posted to a slot a day
	Pulls      float64 // pulls of a slot a day
	Online     float64 // share of slots that are streamed at any moment
	Hot        float64 // share of slots that are in memory at any moment
	HotBytes   float64 // of a slot in memory
	EventBytes float64 // of an event
	KeepDays   float64 // how long an event is kept
	Peak       float64 // the busiest second to the mean of the day

	// What was measured.
	SlotBytes   float64 // memory of a cold slot
	StreamBytes float64 // memory of a stream
	LogRate     float64 // events that one log takes a second
	ReplayRate  float64 // events that a relay replays a second
	PullRate    float64 // pulls that a relay answers a second
	StoredExtra float64 // bytes of an event in the store, beside its own
	LogExtra    float64 // bytes of an event in the log, beside its own
	OpenRate    float64 // slots that a relay reads a second when it starts

	// What a machine has.
	Memory     float64 // of a relay
	Disk       float64 // of a relay
	ServerDisk float64 // of a server of the log
	Net        float64 // a relay or server moves a second
	LogHours   float64 // how long the log reaches back
	Full       float64 // share of anything that may be used in the busiest second
}

const (
	gib = 1 << 30
	// base is what a relay needs without any slot.
	base = 256 << 20
	day  = 86400
	// servers keep each log.
	servers = 3
)

// Defaults returns the plan for a thousand relays and a billion slots. What was
// measured is from bench/results, on two cores.
func Defaults() Inputs {
	return Inputs{
		Relays: 1000, Slots: 1e9, Sizes: []int{2, 3, 5, 10, 20, 50},
		Posts: 20, Pulls: 200, Online: 0.02, Hot: 0.02, HotBytes: 16 << 10, EventBytes: 512, KeepDays: 14, Peak: 3,
		SlotBytes: 439, StreamBytes: 6663, LogRate: 10_000, ReplayRate: 150_000, PullRate: 40_000,
		StoredExtra: 40, LogExtra: 70, OpenRate: 600_000,
		Memory: 32 * gib, Disk: 4e12, ServerDisk: 2e12, Net: 1.25e9, LogHours: 72, Full: 0.7,
	}
}

// Check returns what is wrong with the inputs.
func (in *Inputs) Check() error {
	positive := []float64{
		in.Relays, in.Slots, in.EventBytes, in.KeepDays, in.SlotBytes, in.LogRate, in.ReplayRate, in.PullRate, in.OpenRate,
		in.Memory, in.Disk, in.ServerDisk, in.Net, in.LogHours, in.Full, in.Peak,
	}
	rest := []float64{in.Posts, in.Pulls, in.Online, in.Hot, in.HotBytes, in.StreamBytes, in.StoredExtra, in.LogExtra}
	for _, v := range slices.Concat(positive, rest) {
		if v < 0 || math.IsNaN(v) || math.IsInf(v, 0) {
			return errors.New("an input is negative or no number")
		}
	}
	if slices.Contains(positive, 0) {
		return errors.New("an input is 0 that can't be: only what users do can be nothing")
	}
	if in.Online > 1 || in.Hot > 1 || in.Full > 1 {
		return errors.New("a share is more than 1")
	}
	for _, n := range in.Sizes {
		if n < 2 || float64(n) > in.Relays {
			return fmt.Errorf("%d relays a cell: want at least 2, so that one can be lost, and no more than there are", n)
		}
	}
	if len(in.Sizes) == 0 {
		return errors.New("no size of cells is given")
	}
	return nil
}

// A Use is how much of a resource is used in the busiest second.
type Use struct {
	Name  string
	Share float64 // of what is there
}

// A Cell is what a size of cells comes to.
type Cell struct {
	Relays, Cells, Servers float64
	Slots                  float64 // a cell
	Posts, Pulls           float64 // a second: of a cell, and of a relay
	Memory, Disk           float64 // of a relay
	LogBytes, LogDisk      float64 // a second into the log, and held by a server
	Join                   float64 // seconds until a new relay serves
	Uses                   []Use   // the fullest first
	// Growth is by how much the load may grow until the fullest resource is at the
	// share that may be used. Below 1 the plan does not fit.
	Growth float64
}

// Cells works the sizes out.
func (in *Inputs) Cells() []Cell {
	var out []Cell
	for _, n := range in.Sizes {
		out = append(out, in.cell(float64(n)))
	}
	return out
}

func (in *Inputs) cell(relays float64) Cell {
	c := Cell{Relays: relays, Cells: math.Ceil(in.Relays / relays)}
	c.Servers = servers * c.Cells
	c.Slots = in.Slots / c.Cells
	mean := c.Slots * in.Posts / day
	c.Posts = mean * in.Peak
	c.Pulls = c.Slots * in.Pulls / day * in.Peak / relays
	streams := c.Slots * in.Online / relays
	c.Memory = base + c.Slots*(in.SlotBytes+in.Hot*in.HotBytes) + streams*in.StreamBytes
	c.Disk = c.Slots * in.Posts * in.KeepDays * (in.EventBytes + in.StoredExtra)
	c.LogBytes = c.Posts * (in.EventBytes + in.LogExtra)
	c.LogDisk = mean * in.LogHours * 3600 * (in.EventBytes + in.LogExtra)
	// A checkpoint is copied at half of what the network moves: the giver serves
	// meanwhile. Then the relay opens it, and replays what came during both. It gains on
	// the log by what it replays beyond what comes.
	copied := c.Disk/(in.Net/2) + c.Slots/in.OpenRate
	c.Join = math.Inf(1)
	if in.ReplayRate > c.Posts {
		c.Join = copied * (1 + c.Posts/(in.ReplayRate-c.Posts))
	}
	// The log's leader sends each entry to two servers and to each relay.
	leader := c.LogBytes * (servers - 1 + relays)
	delivered := c.Posts * in.Online * in.EventBytes / relays
	answers := c.Pulls*in.EventBytes + delivered
	c.Uses = []Use{
		{"memory of a relay", c.Memory / in.Memory},
		{"disk of a relay", c.Disk / in.Disk},
		{"posts into the log", c.Posts / in.LogRate},
		{"replay of a relay", c.Posts / in.ReplayRate},
		{"pulls of a relay", c.Pulls / in.PullRate},
		{"disk of a server", c.LogDisk / in.ServerDisk},
		{"network of the log's leader", leader / in.Net},
		{"network of a relay", (2*c.LogBytes + answers) / in.Net},
	}
	slices.SortStableFunc(c.Uses, func(a, b Use) int {
		switch {
		case a.Share > b.Share:
			return -1
		case a.Share < b.Share:
			return 1
		}
		return 0
	})
	c.Growth = in.Full / c.Uses[0].Share
	return c
}
