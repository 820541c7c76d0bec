package retention

import (
	"encoding/binary"
	"errors"
	"time"

	"cowrelay/cow"
)

// clock says whether the machine's time may be believed. Small machines have no clock that
// runs while they are off: they begin at some time, and jump when the network tells them
// the right one, or a wrong one.
//
// A time that is more than leap ahead of what was seen last, in this life or before a
// restart, is believed after it has stood for patience. Until then nothing ends. A relay
// that was off for long waits as well: that costs an hour, and no event.
type clock struct {
	now     func() time.Time // the machine's time
	started time.Time        // for what has passed, which no setting of the clock changes
	drift   time.Duration    // of the machine's time against that
	held    time.Duration    // since started: nothing ends before it
}

const (
	leap     = time.Minute // while the relay runs
	offLeap  = time.Hour   // over a restart
	patience = time.Hour
	clockKey = "retention-clock"
)

func newClock(now func() time.Time) *clock {
	c := &clock{now: now, started: time.Now()}
	c.drift = c.driftNow()
	return c
}

func (c *clock) driftNow() time.Duration {
	return time.Duration(c.now().UnixNano()-c.started.UnixNano()) - time.Since(c.started)
}

// leapt says whether the machine's time was set ahead since the last call.
func (c *clock) leapt() bool {
	was := c.drift
	c.drift = c.driftNow()
	if c.drift-was <= leap {
		return false
	}
	c.hold()
	return true
}

func (c *clock) hold() { c.held = time.Since(c.started) + patience }

// believed says whether something may end by the machine's time.
func (c *clock) believed() bool { return time.Since(c.started) >= c.held }

// since compares the time with the one that was written last, and holds if it is far
// ahead.
func (c *clock) since(r cow.Records) (held bool, err error) {
	value, _, err := r.Value(clockKey)
	switch {
	case errors.Is(err, cow.ErrNoRecord):
		return false, nil
	case err != nil || len(value) != 8:
		return false, err
	}
	if seen := time.Unix(int64(binary.BigEndian.Uint64(value)), 0); c.now().Sub(seen) > offLeap {
		c.hold()
		return true, nil
	}
	return false, nil
}

// write notes the time, for the next start. Another relay may be faster.
func (c *clock) write(r cow.Records) error {
	_, version, err := r.Value(clockKey)
	if err != nil && !errors.Is(err, cow.ErrNoRecord) {
		return err
	}
	_, err = r.Put(clockKey, binary.BigEndian.AppendUint64(nil, uint64(c.now().Unix())), version, cow.Totals{})
	if errors.Is(err, cow.ErrConflict) {
		return nil
	}
	return err
}
