package replay

import (
	"context"
	"errors"
	"time"
)

// SharedLog is a durable sequence of entries that many programs write to and read. Its
// entries are numbered 1, 2, 3 …, in one order for all. All methods may be called
// concurrently until Close.
type SharedLog interface {
	// ID tells this log from every other. It was chosen at random when the log was
	// made.
	ID() [16]byte
	// Send hands an entry to the log and returns at once. The entry may come into the
	// log, come more than once, or not come: only Follow says. Entries of one caller
	// that arrive without trouble come in the order of their calls. The log keeps no
	// reference to the entry. An error says that it was certainly not handed over.
	Send(entry []byte) error
	// Trouble gets a value when entries that were handed over may be lost: the
	// connection broke, or a server refused one. It has a capacity of 1.
	Trouble() <-chan struct{}
	// Follow calls yield for each entry from number from on, in order, and waits for
	// those that come. An entry is valid during the call. Follow reconnects for ever
	// by itself. It ends with ctx, or with an error of yield, or with one that wraps
	// ErrTrimmed (the log has no entry from any more) or ErrLost.
	Follow(ctx context.Context, from uint64, yield func(seq uint64, entry []byte) error) error
	// Ends asks for the numbers of the oldest and the newest entry. An empty log has
	// first == last+1. The answer may be old by a moment.
	Ends(ctx context.Context) (first, last uint64, err error)
	// Purge drops entries up to seq.
	Purge(ctx context.Context, seq uint64) error
	// Away is when the log was last heard of, if it can't be reached. The zero time
	// says that it can.
	Away() time.Time
	// Limit is how long an entry may be, in bytes.
	Limit() int
	// Close ends Follow and gives the connection back.
	Close() error
}

var (
	// ErrTrimmed: the log does not reach back as far as a store needs.
	ErrTrimmed = errors.New("replay: the log does not reach back that far")
	// ErrLost: the log lacks entries that it had.
	ErrLost = errors.New("replay: the log has lost entries")
)
