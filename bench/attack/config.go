package attack

import (
	"errors"
	"fmt"
	"os"
	"time"

	"cowrelay/bench/attack/drill"
)

// A Config says what to attack and how.
type Config struct {
	// Relay is the path of the relay's binary.
	Relay string
	// Dir is the folder for the relay's data, os.TempDir by default. It should
	// be on a disk.
	Dir string
	// Short makes each attack smaller and each phase shorter, and sets no bar
	// for latency. It is for machines that do other work meanwhile.
	Short bool
	// Before, During and After are how long each phase is measured: 15 s, 30 s
	// and 10 s by default; 2 s, 4 s and 1 s with Short.
	Before, During, After time.Duration
	// Kills is how many rounds of SIGKILL are run under each variant, in the
	// place of the measured phases; 0 by default.
	Kills int
	// AtOnce is how many drills run side by side, each with a relay of its own;
	// 1 by default. More than one measures no time.
	AtOnce int
	// NoGroup says that no control group is made.
	NoGroup bool
	// Progress shows how far the run is; nil shows nothing.
	Progress Progress
	// Commit names what is attacked, for the record.
	Commit string
}

// A Progress shows how far a run is.
type Progress interface {
	// Show shows how much of what is done, 0 to 1, and at which step it is.
	Show(what string, part float64, step string)
	// Clear makes room for a line of output.
	Clear()
}

// Validate completes c and says what is wrong with it.
func (c *Config) Validate() error {
	var errs []error
	if st, err := os.Stat(c.Relay); c.Relay == "" || err != nil {
		errs = append(errs, fmt.Errorf("relay %q: want the path of a relay binary", c.Relay))
	} else if st.IsDir() || st.Mode()&0o111 == 0 {
		errs = append(errs, fmt.Errorf("relay %q is no program", c.Relay))
	}
	if c.Dir == "" {
		c.Dir = os.TempDir()
	}
	if c.Kills < 0 || c.Kills > 1000 {
		errs = append(errs, fmt.Errorf("kills %d: want 0 to 1000", c.Kills))
	}
	if c.AtOnce < 0 || c.AtOnce > 16 {
		errs = append(errs, fmt.Errorf("at-once %d: want 1 to 16", c.AtOnce))
	}
	if c.AtOnce = max(c.AtOnce, 1); c.AtOnce > 1 && !c.Short {
		errs = append(errs, errors.New("at-once: drills that run side by side can't be measured, so with short only"))
	}
	for _, d := range []struct {
		of          *time.Duration
		name        string
		full, short time.Duration
	}{
		{&c.Before, "before", 15 * time.Second, 2 * time.Second},
		{&c.During, "during", 30 * time.Second, 4 * time.Second},
		{&c.After, "after", 10 * time.Second, time.Second},
	} {
		switch {
		case *d.of < 0 || *d.of > time.Hour:
			errs = append(errs, fmt.Errorf("%s %v: want a time up to an hour", d.name, *d.of))
		case *d.of == 0 && c.Short:
			*d.of = d.short
		case *d.of == 0:
			*d.of = d.full
		}
	}
	return errors.Join(errs...)
}

// memory is what the relay and its sockets may take, in bytes: that of a small
// machine, or half of it.
func (c *Config) memory() int64 { return int64(c.scale().Of(512_000_000, 256_000_000)) }

// scale is the size of all attacks.
func (c *Config) scale() drill.Scale { return drill.Scale{Short: c.Short} }

// coldSlots is how many cold slots there are. They last for some minutes.
const coldSlots = 150

// armTime is how long an attack may take until it is as large as it gets.
const armTime = 2 * time.Minute
