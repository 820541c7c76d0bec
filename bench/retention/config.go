package retention

import (
	"errors"
	"fmt"
	"time"

	"cowrelay/bench/bound"
	"cowrelay/bench/load"
	"cowrelay/bench/run"
)

const (
	eventBytes  = 200 // of an event that is posted in batches, by default
	besideBytes = 512 // of an event that is posted alone
	besideConns = 8
	fillConns   = 16
)

// A Config says what to run. Begin with Defaults. Of the fields of run.Config, Rounds,
// Duration and Warmup mean nothing here.
type Config struct {
	run.Config
	// Events are posted in batches; 10,000,000 by default. They fill whole slots.
	Events int
	// SlotEvents is how many of them each slot gets; 2,000 by default.
	SlotEvents int
	// Expire is the part of the slots whose events expire, 0 to 1; 0.9 by default.
	Expire float64
	// TTL is how long events stay in these; 3 minutes by default. It should be longer
	// than the fill.
	TTL time.Duration
	// Rate is how many single posts a second go on beside; 200 by default.
	Rate float64
	// Quiet is the time of the quiet phase; 30 s by default.
	Quiet time.Duration
	// Every is the time between two samples; 5 s by default.
	Every time.Duration
	// Wait is how long the space may take to come back; 10 minutes by default.
	Wait time.Duration
	// Spare is what the disk may take beside half as much again as what is left, in
	// bytes; 0 by default. A run of few events needs it for the files that a log and a
	// store of any size have.
	Spare int64
	// Out is the folder for what is written.
	Out string
	// Command is the command line, for the record.
	Command string
}

// Defaults is the run of ten million events.
func Defaults() Config {
	return Config{
		Config: run.Defaults(), Events: 10_000_000, SlotEvents: 2000, Expire: 0.9, TTL: 3 * time.Minute,
		Rate: 200, Quiet: 30 * time.Second, Every: 5 * time.Second, Wait: 10 * time.Minute,
	}
}

// Validate returns all that is wrong with c, joined, or nil.
func (c *Config) Validate() error {
	errs := []error{c.Config.Validate()}
	want := func(ok bool, format string, args ...any) {
		if !ok {
			errs = append(errs, fmt.Errorf(format, args...))
		}
	}
	want(c.Relay != "", "relay: the run starts a relay itself, on an empty folder")
	want(c.Out != "", "out: want the folder for what is written")
	want(c.SlotEvents >= 1 && c.SlotEvents <= load.SlotEvents(c.EventBytesOr(eventBytes)), "slot-events %d: want 1 to %d, which go into a slot", c.SlotEvents, load.SlotEvents(c.EventBytesOr(eventBytes)))
	if c.SlotEvents >= 1 {
		want(c.Events > 0 && c.Events%c.SlotEvents == 0, "events %d: want a multiple of slot-events %d", c.Events, c.SlotEvents)
		want(c.slots() <= load.SlotsOfRelay-besideConns, "events %d: %d slots; a relay takes %d: raise slot-events", c.Events, c.slots(), load.SlotsOfRelay)
		want(c.expiring() > 0 && c.expiring() < c.slots(), "expire %g: of %d slots %d would expire; want some, and not all", c.Expire, c.slots(), c.expiring())
	}
	want(c.EventBytesOr(eventBytes) >= minEventBytes, "event-bytes %d: want at least %d", c.EventBytes, minEventBytes)
	want(c.TTL >= time.Minute && c.TTL <= time.Hour && c.TTL%time.Second == 0, "ttl %v: want whole seconds from 1m, the shortest that a relay takes, to 1h", c.TTL)
	want(c.Rate > 0 && c.Rate <= 10_000, "rate %g: want up to 10000", c.Rate)
	want(c.Quiet >= time.Second && c.Quiet <= time.Hour, "quiet %v: want 1s to 1h", c.Quiet)
	want(c.Every >= 100*time.Millisecond && c.Every <= time.Minute, "every %v: want 100ms to 1m", c.Every)
	want(c.Wait >= c.Every && c.Wait <= time.Hour, "wait %v: want the time between two samples to 1h", c.Wait)
	want(c.Spare >= 0, "spare %d: want no less than 0", c.Spare)
	return errors.Join(errs...)
}

func (c *Config) slots() int { return c.Events / c.SlotEvents }

// expiring is how many slots have the short lifetime.
func (c *Config) expiring() int { return int(float64(c.slots())*c.Expire + 1e-9) }

// expires says whether slot i is one of them. They lie evenly among the others.
func (c *Config) expires(i int) bool {
	n, of := c.expiring(), c.slots()
	return (i+1)*n/of > i*n/of
}

func (c *Config) variant() run.Variant {
	return run.Variant{
		Scenario: "retention", Unit: "events",
		Text: fmt.Sprintf("%s events of %d B in %s slots, %s of these slots with a lifetime of %v, beside %g posts/s of %d B",
			load.Thousands(float64(c.Events)), c.EventBytesOr(eventBytes), load.Thousands(float64(c.slots())), load.Thousands(float64(c.expiring())), c.TTL, c.Rate, besideBytes),
		Files: c.ConnsOr(fillConns)[0] + besideConns,
		Bound: bound.Config{EventBytes: besideBytes}, // the size of a template that is not used
	}
}
