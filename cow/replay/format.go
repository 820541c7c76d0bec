package replay

import (
	"errors"
	"fmt"
	"strconv"

	"cowrelay/cow"
)

// # Formats of entries
//
// An entry has the lowest format that its ops need. So what an older program can read,
// it reads. What it can't read would stop it, and so stop a relay of a fleet in which
// some are newer than others. Therefore the fleet's log says which format its relays
// may write: a record, FormatKey, which an operator raises when all relays can read the
// newer one (SharedJournal.Raise). It is never lowered.
//
// A relay that can't read what the record allows ends when it sees the record, and does
// not start behind it. A log of one machine needs no record: who writes it reads it.

// entryFormat is the first format.
const entryFormat = 1

// newestFormat is the newest format that this program reads and writes.
const newestFormat = 2

// FormatKey is the record of a shared log that says which format its relays may write,
// in decimal. Without it that is the first.
const FormatKey = "fleet/format"

// ErrFormat: an op needs a format that the fleet does not write yet.
var ErrFormat = errors.New("replay: relays of the fleet may be too old to read this: when all are new enough, an operator allows it with cowrelay admin fleet upgrade")

// opFormat is the format that a group's op came with, and needs. Ops of records came
// with the first.
func opFormat(op cow.Op) byte {
	if op == cow.OpTrim {
		return 2
	}
	return entryFormat
}

// formatOf is the lowest format that has these ops.
func formatOf(ops []sent) byte {
	f := byte(entryFormat)
	for i := range ops {
		if g := ops[i].group; g != nil {
			f = max(f, opFormat(g.Op))
		}
	}
	return f
}

// errNew is wrapped by errors that say that this program is too old.
var errNew = errors.New("start a newer cowrelay")

func errNewer(what string, format, newest int) error {
	return fmt.Errorf("replay: %s has format %d, this program reads formats up to %d: %w", what, format, newest, errNew)
}

// reads is the newest format that a state takes.
func (s *State) reads() byte {
	if s.newest > 0 {
		return s.newest
	}
	return newestFormat
}

// Reads is the newest format of entries that this program reads.
func Reads() int { return newestFormat }

// Allowed says whether a group with this op may be given to Commit: on one machine each
// that the program knows.
func (j *Journal) Allowed(cow.Op) bool { return true }

// Allowed says whether a group with this op may be given to Commit. If not, Commit
// refuses it with ErrFormat.
func (j *SharedJournal) Allowed(op cow.Op) bool { return opFormat(op) <= byte(j.format.Load()) }

// Format is the newest format that the relays of this log may write.
func (j *SharedJournal) Format() int { return int(j.format.Load()) }

// readFormat takes the record from the store, and has later ones told to noteFormat.
// It is called before the follower starts.
func (j *SharedJournal) readFormat() error {
	j.format.Store(uint32(max(j.opts.Format, entryFormat)))
	value, _, err := j.Value(FormatKey)
	switch {
	case errors.Is(err, cow.ErrNoRecord):
	case err != nil:
		return err
	default:
		j.noteFormat(FormatKey, value, 0)
	}
	j.Watch(FormatKey, j.noteFormat)
	return j.readable()
}

// noteFormat is told of the record by the follower.
func (j *SharedJournal) noteFormat(key string, value []byte, _ uint64) {
	if key != FormatKey || value == nil {
		return
	}
	f, err := strconv.ParseUint(string(value), 10, 31)
	if err != nil {
		f = 1<<31 - 1 // written by a program that knows better
	}
	for {
		old := j.format.Load()
		if old >= uint32(f) || j.format.CompareAndSwap(old, uint32(f)) {
			return
		}
	}
}

// readable says whether this program reads all that the log may hold.
func (j *SharedJournal) readable() error {
	if f, newest := j.Format(), int(j.state.reads()); f > newest {
		return errNewer("what relays of the fleet write", f, newest)
	}
	return nil
}

// Raise allows the relays of this log to write entries of a format. Nothing changes if
// they may already. The errors are those of Put.
func (j *SharedJournal) Raise(to int) error {
	if newest := int(j.state.reads()); to > newest {
		return errNewer("what is wanted", to, newest)
	}
	for {
		_, version, err := j.Value(FormatKey)
		if err != nil && !errors.Is(err, cow.ErrNoRecord) {
			return err
		}
		if j.Format() >= to {
			return nil
		}
		if _, err = j.Put(FormatKey, strconv.AppendInt(nil, int64(to), 10), version, cow.Totals{}); !errors.Is(err, cow.ErrConflict) {
			return err
		}
	}
}
