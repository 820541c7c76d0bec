package filelog

import (
	"errors"
	"fmt"
)

// ErrDamaged is wrapped by errors that say that the log lost entries or can't be
// understood.
var ErrDamaged = errors.New("the log is damaged")

// ErrMissing is wrapped by errors that say that there is no log.
var ErrMissing = errors.New("the log is missing")

// Damage is a place where entries should be and can't be read.
type Damage struct {
	File   string // path, or the folder where no file is known
	Offset int64
	// First and Last are the entries that can't be read. Last is the newest entry
	// that is known to have been synced, if nothing behind First can be read. First is
	// 0 where it is not about entries, and above Last where none is missing.
	First, Last uint64
	// Needed: the store does not have them.
	Needed bool
	// Why says what is wrong where that is more than an entry that can't be read.
	Why string
}

// What says what is lost and where.
func (d *Damage) What() string {
	what := fmt.Sprintf("entry %d", d.First)
	switch {
	case d.First == 0:
		what = "what stands there"
	case d.First > d.Last:
		what = fmt.Sprintf("what stood before entry %d", d.First)
	case d.First < d.Last:
		what = fmt.Sprintf("entries %d to %d", d.First, d.Last)
	}
	s := fmt.Sprintf("%s, offset %d: %s can't be read", d.File, d.Offset, what)
	if d.Why != "" {
		s += ": " + d.Why
	}
	return s
}

// Error says also what to do.
func (d *Damage) Error() string {
	return fmt.Sprintf("%v: %s: check the disk and restore the data folder from a backup, or start with --accept-loss: that cuts the log there and loses all behind",
		ErrDamaged, d.What())
}

func (d *Damage) Unwrap() error { return ErrDamaged }
