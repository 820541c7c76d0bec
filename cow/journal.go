package cow

import (
	"context"
	"errors"
	"time"

	"cowrelay/cow/event"
)

// Op says what a Group does.
type Op uint8

const (
	OpAppend Op = iota + 1 // add Events behind position First
	OpCreate               // make the slot, with Token and Owner
	OpRemove               // drop the slot, its token, counts and events
	OpTouch                // remember PulledAt and StreamedAt
	OpTrim                 // drop the events from First up to below Oldest
)

// Outcome says what became of a Group.
type Outcome uint8

const (
	// Unknown: the journal can't say. Nothing more is decided about the slot
	// before its end is read again. It is the zero value: a journal that forgets
	// to answer has not acknowledged.
	Unknown Outcome = iota
	// Stored: durable under the journal's sync mode. NewVersion is set.
	Stored
	// Conflict: certainly not stored, because somebody else wrote to the slot.
	Conflict
	// Refused: certainly not stored. Err says why.
	Refused
)

// Group is the unit of writing: one slot, one act, atomic.
type Group struct {
	Op   Op
	Slot ID

	Token      TokenHash     // OpCreate
	Owner      TokenHash     // OpCreate; zero: the slot has no owner
	Version    uint64        // the slot's version that this act was decided on
	First      uint64        // OpAppend: position of Events[0]; OpTrim: of the oldest event, when this was decided
	Oldest     uint64        // OpTrim: position of the oldest event that stays
	Gone       uint64        // OpTrim: bytes of the events that leave
	Events     []event.Event // OpAppend: in order, at least one
	Count      uint64        // OpAppend: events in the slot with this group
	Bytes      uint64        // OpAppend: bytes of events in the slot with this group
	PulledAt   int64         // OpTouch: Unix seconds
	StreamedAt int64         // OpTouch: Unix seconds
	Mark       uint64        // OpAppend: chosen by the writer at random, so that it knows its own groups again

	Outcome    Outcome // set by Commit
	NewVersion uint64  // set by Commit when Stored
	Err        error   // set by Commit when Refused or Unknown, if known
}

// Append is a group of events as a journal gives it back.
type Append struct {
	Op      Op // OpAppend or OpTrim; from a feed also OpCreate, OpRemove and OpTouch
	Slot    ID
	Token   TokenHash // OpCreate
	Owner   TokenHash // OpCreate; zero for none
	Version uint64    // the slot's version with this append
	First   uint64    // position of Events[0]; OpTrim: of the oldest event that is left
	Gone    uint64    // OpTrim from a feed: bytes of the events that left
	// Events are valid only during the call that delivers them. A feed may leave them
	// out: then this append, and perhaps more behind it, is to be read from the journal.
	Events []event.Event
	Mark   uint64 // as the writer gave it; 0 where the journal keeps no marks

	PulledAt   int64 // OpTouch: Unix seconds
	StreamedAt int64 // OpTouch: Unix seconds
}

// SlotRecord is what a journal keeps of a slot beside its events. It is
// written in the same batch as they are, so that neither start-up nor quota
// nor a slot's state needs its events.
type SlotRecord struct {
	Slot       ID
	Token      TokenHash
	Owner      TokenHash // zero: the slot has no owner
	Version    uint64
	First      uint64 // position of the oldest event: so many have left
	Count      uint64 // events that the slot has ever had: the next one's position
	Bytes      uint64 // of the events that are there
	PulledAt   int64  // Unix seconds, 0 for never
	StreamedAt int64  // the same of the last stream
}

// Totals count acts over the life of a journal. A journal counts slots and events
// in the same batch as the act. What belongs to records is counted with Records.Put,
// in the same batch as the record, or with Records.Count.
type Totals struct {
	SlotAllocations   uint64
	EventsPosted      uint64
	HandleClaims      uint64 // of a handle, first ones and later ones
	HandleFirstClaims uint64
	PairOpens         uint64 // no durable act, so a crash may lose the last ones
}

// Add returns the sum of both.
func (t Totals) Add(o Totals) Totals {
	return Totals{
		SlotAllocations:   t.SlotAllocations + o.SlotAllocations,
		EventsPosted:      t.EventsPosted + o.EventsPosted,
		HandleClaims:      t.HandleClaims + o.HandleClaims,
		HandleFirstClaims: t.HandleFirstClaims + o.HandleFirstClaims,
		PairOpens:         t.PairOpens + o.PairOpens,
	}
}

// Sub takes away what Add has added.
func (t Totals) Sub(o Totals) Totals {
	return Totals{
		SlotAllocations:   t.SlotAllocations - o.SlotAllocations,
		EventsPosted:      t.EventsPosted - o.EventsPosted,
		HandleClaims:      t.HandleClaims - o.HandleClaims,
		HandleFirstClaims: t.HandleFirstClaims - o.HandleFirstClaims,
		PairOpens:         t.PairOpens - o.PairOpens,
	}
}

// MaxPosition bounds the positions of a slot: one that has had so many events is full for
// good. At one event a second that takes 136 years.
const MaxPosition = 1<<32 - 2

// Journal keeps slots. All methods may be called concurrently, except that
// only one Commit runs at a time.
type Journal interface {
	// Commit stores each group atomically and sets its Outcome. All that
	// is Stored is durable under the journal's sync mode on return. The
	// journal keeps no reference to the groups' bytes.
	Commit(groups []Group)

	// Load calls yield with the slot's appends in order, beginning with the one
	// that holds position from. If events from there on have left, it begins with an
	// OpTrim that says where those begin that are left, if there are any. It ends
	// behind the last one, or returns the first error of yield. A slot without events behind from yields nothing. If there
	// is no such slot, it returns ErrNoSlot. Anything that can't be read or does
	// not fit together is an error, never a short slot.
	Load(slot ID, from uint64, yield func(*Append) error) error

	// Slots gives the record of each slot, in no order.
	Slots(yield func(SlotRecord) error) error

	// Feed returns at once. From then on the journal calls deliver for what other
	// writers store, in order for each slot, and perhaps for the groups of this
	// writer too. A journal with one writer never calls it.
	//
	// deliver may block until the owner of the slots has taken what was delivered
	// before. That may be when the Commit under way has returned, or when the
	// store closes. So the journal calls it on a goroutine of its own. No other
	// method may wait for that goroutine, or need a lock that it holds.
	Feed(deliver func(*Append))

	// Totals returns the totals: of acts that are durable, and of all that was given
	// to Records.Count.
	Totals() Totals

	// Close makes everything stored durable and gives the journal back. No
	// other call may run or follow.
	Close() error
}

// Shared is what a journal has beside Journal if other relays write to it too. Reads
// of such a journal show what this relay has heard of. Without it a journal has one
// writer, and its reads show all there is.
type Shared interface {
	// Barrier returns when all that any relay acknowledged before the call is in what
	// the reads give, and was given to the feed and to the watches. Calls that wait at
	// the same time share the work. Errors: those of ctx, and ErrAway when the journal
	// closes.
	Barrier(ctx context.Context) error
	// Health is how far this relay is behind. It takes no lock.
	Health() Health
}

// Health is how a relay stands to the log that it shares.
type Health struct {
	Applied uint64        // newest entry that this relay has applied
	Head    uint64        // newest entry that the log is known to have, at least Applied
	Away    time.Duration // for so long the log could not be reached; 0: it can be
}

// Records keeps small values under names, each with a version. It decides
// claims and use counts by compare-and-set, so it is safe with other writers.
type Records interface {
	// Value returns a record, or ErrNoRecord.
	Value(key string) (value []byte, version uint64, err error)
	// Put stores value if the record's version is still the expected one
	// (0: the record must not exist) and returns the new version, else
	// ErrConflict. Durable on return. count is added to the totals in the same
	// batch, so both are stored or neither is.
	Put(key string, value []byte, expected uint64, count Totals) (version uint64, err error)
	// Count adds to the totals at once. What it adds is written with the next batch
	// or at Close: a crash before that loses it.
	Count(add Totals) error
	// Delete removes a record if its version is the expected one, else
	// ErrConflict. Durable on return.
	Delete(key string, expected uint64) error
	// List gives the records whose key starts with prefix, by key.
	List(prefix string, yield func(key string, value []byte, version uint64) error) error
	// Watch makes the journal call changed after any writer put or deleted a
	// record under prefix, until stop is called. For a deleted record value is
	// nil and version 0.
	Watch(prefix string, changed func(key string, value []byte, version uint64)) (stop func())
}

// Errors that journals return and callers test for. Those of the store are in
// options.go.
var (
	ErrNoSlot   = errors.New("cow: no such slot")
	ErrNoRecord = errors.New("cow: no such record")
	ErrConflict = errors.New("cow: version conflict")
	// ErrTrimmed: the events that were to be read have left the slot meanwhile.
	ErrTrimmed = errors.New("cow: the events have left the slot")
	// ErrAway: the log that relays share did not answer in time. What was asked for
	// may still happen.
	ErrAway = errors.New("cow: the shared log can't be reached")
)
