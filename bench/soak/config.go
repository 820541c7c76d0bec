package soak

import (
	"errors"
	"fmt"
	"time"

	"cowrelay/bench/bound"
	"cowrelay/bench/load"
	"cowrelay/bench/run"
	"cowrelay/bench/scenario/mix"
)

// A Config says what to run. Begin with Defaults. Of the fields of run.Config,
// Duration is the time of the soak, and there is one round.
type Config struct {
	run.Config
	// Every is the time between two samples; 5 s by default.
	Every time.Duration
	// BooksEvery is the time between two readings of the books; 3 minutes by default.
	// Each makes the relay collect its garbage.
	BooksEvery time.Duration
	// History is how many events each slot has from the start; 3,000 by default. All
	// of them are more than the relay may keep in memory, so that memory is full from
	// the start, and what grows then is a leak.
	History int
	// Out is the folder for what is written.
	Out string
	// Command is the command line, for the notes.
	Command string
}

// Defaults is a soak of an hour: 100 agents, twenty times as fast as a day. The tail of
// a slot with a stream stays in memory, up to 256 KiB. So the tails of far more
// agents would fill the budget, and reads of anything else would wait for room.
func Defaults() Config {
	c := Config{Config: run.Defaults(), Every: 5 * time.Second, BooksEvery: 3 * time.Minute, History: 3000}
	c.Duration, c.Warmup, c.Rounds, c.MixAgents, c.MixSpeed = time.Hour, 5*time.Second, 1, 100, 20
	return c
}

// Validate returns all that is wrong with c, joined, or nil.
func (c *Config) Validate() error {
	rounds := c.Config
	rounds.Duration = time.Second // a round of other scenarios is far shorter
	errs := []error{rounds.Validate()}
	if c.Duration < time.Second || c.Duration > 7*24*time.Hour {
		errs = append(errs, fmt.Errorf("time %v: want 1s to 168h", c.Duration))
	}
	if c.Relay == "" {
		errs = append(errs, errors.New("relay: the soak runs the relay in a control group, so it starts one itself"))
	}
	if c.Out == "" {
		errs = append(errs, errors.New("out: want the folder for what is written"))
	}
	if c.Every < 100*time.Millisecond || c.Every > c.Duration/4 {
		errs = append(errs, fmt.Errorf("every %v: want 100ms to a quarter of the time", c.Every))
	}
	if c.BooksEvery < c.Every || c.BooksEvery > c.Duration/4 {
		errs = append(errs, fmt.Errorf("books-every %v: want the time between two samples to a quarter of the whole time", c.BooksEvery))
	}
	if c.History < 1 || c.History > 10_000 {
		errs = append(errs, fmt.Errorf("history %d: want 1 to 10000", c.History))
	}
	return errors.Join(errs...)
}

// variant is the load, which drive runs.
func (c *Config) variant() run.Variant {
	return run.Variant{
		Scenario: "soak", GroupMemory: c.EdgeMemory, Unit: "operations",
		Text: fmt.Sprintf("%v of a day of %s agents, %g times as fast, %d events in each slot from the start, %d MB and one core",
			c.Duration, load.Thousands(float64(c.MixAgents)), c.MixSpeed, c.History, c.EdgeMemory/1_000_000),
		Files: 3 * c.MixAgents,
		Ports: mix.Connects(&c.Config),
		Bound: bound.Config{EventBytes: c.EventBytesOr(512)},
	}
}
