package replay

import (
	"cowrelay/cow"
	"cowrelay/cow/event"
)

// Group is what a group of an entry did to a slot.
type Group struct {
	Op         cow.Op
	Slot       cow.ID
	Token      cow.TokenHash // OpCreate
	Owner      cow.TokenHash // OpCreate; zero for none
	First      uint64        // OpAppend: position of Events[0]; OpTrim: of the oldest event before it
	Oldest     uint64        // OpAppend, OpTrim: position of the oldest event behind it
	Count      uint64        // OpAppend, OpTrim: position behind the newest event; OpRemove: that it had
	Bytes      uint64        // OpAppend, OpTrim: bytes of events in the slot behind it
	Gone       uint64        // OpTrim: bytes of the events that left
	Events     []event.Event // OpAppend
	PulledAt   int64         // OpTouch: Unix seconds
	StreamedAt int64         // OpTouch: Unix seconds
}

// Plausible says whether a slot may have such counts. An event has two bytes at least.
func Plausible(r cow.SlotRecord) bool {
	return r.Bytes <= cow.MaxSlotBytes && r.Count <= cow.MaxPosition && r.First <= r.Count &&
		r.Count-r.First <= r.Bytes && (r.First < r.Count || r.Bytes == 0)
}

// Record is what an entry did to a record.
type Record struct {
	Key     string
	Value   []byte
	Version uint64 // 0: the record was deleted
}

// Batch is what one or more entries did, in their order.
type Batch struct {
	Seq     uint64 // of the newest entry
	Groups  []Group
	Records []Record
	Totals  cow.Totals // with these entries

	// Of a shared log.
	Shared    bool
	Digest    uint64     // of the chain behind the newest entry
	Producers []Producer // that changed, in no order, one of each
}

// Producer is a writer of a shared log: one start of one relay.
type Producer struct {
	ID     uint64
	Number uint64 // of its newest entry that counts; 0: it is forgotten
	Seq    uint64 // of that entry, as Batch.Seq counts
	Part   []byte // ops that belong to its next entry, as one was too short for all; it never changes
}

// Member says to which shared log a store belongs, and what it must know of it beside
// slots and records.
type Member struct {
	Log       LogID      // zero: to none
	Base      uint64     // what the store had applied before: entry n of the log is its entry Base+n
	Digest    uint64     // of the chain behind the newest applied entry
	Producers []Producer // in no order
}

// LogID tells a shared log from every other.
type LogID = [16]byte

// Store keeps what the entries of a log did. One Apply runs at a time. All else may
// be called at any time until Close.
type Store interface {
	// Apply stores a batch whole, with its number, or nothing of it. It need not be
	// durable on return: a crash leaves the store as it was behind some batch. Apply
	// keeps no reference to the batch. It may wait while the store can't take more.
	// After an error the store can't be used.
	Apply(b *Batch) error
	// Durable is the number up to which the store keeps everything over a crash.
	Durable() uint64
	// View returns the store as it is now, behind one batch.
	View() (View, error)
	// Value returns a record, or cow.ErrNoRecord. The value is the caller's.
	Value(key string) (value []byte, version uint64, err error)
	// Flush makes durable what was applied. It may give up on a disk that is full or
	// slow: then the next start replays more.
	Flush() error
	// Close gives the store back. No other call may run or follow.
	Close() error
}

// MemberStore is a store that can belong to a shared log. JoinLog and LeaveLog run
// beside no Apply.
type MemberStore interface {
	Store
	// JoinLog makes the store one of a shared log that begins behind what it has
	// applied. digest is what the chain begins with. It is durable on return, as is
	// all that was applied before.
	JoinLog(log LogID, digest uint64) error
	// LeaveLog forgets the shared log. It is durable on return.
	LeaveLog() error
}

// View is a store at one moment. It belongs to one goroutine, which must close it.
type View interface {
	// Applied is the number of the newest entry in this view, 0 for none.
	Applied() uint64
	// Totals are those of the newest batch in this view.
	Totals() (cow.Totals, error)
	// Load yields a slot's appends as cow.Journal.Load does. cow.ErrNoSlot: there is
	// none in this view.
	Load(slot cow.ID, from uint64, yield func(*cow.Append) error) error
	// Slots yields the record of each slot, by id.
	Slots(yield func(cow.SlotRecord) error) error
	// List yields the records whose key starts with prefix, by key. The value is the
	// caller's.
	List(prefix string, yield func(key string, value []byte, version uint64) error) error
	// Versions yields key and version of every record, in no order. The key is valid
	// during the call.
	Versions(yield func(key []byte, version uint64) error) error
	// Member says to which shared log the store belongs. A zero Log says to none.
	Member() (Member, error)
	Close() error
}
