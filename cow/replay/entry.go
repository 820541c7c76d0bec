package replay

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"math/bits"

	"cowrelay/cow"
	"cowrelay/cow/event"
)

// An entry of the log, all fixed numbers big-endian:
//
//	format    1 byte: the lowest that has its ops, so that older programs read what they can
//	producer  8 bytes, random at each start of a program
//	number    8 bytes, 1, 2, 3 … of this producer
//	applied   8 bytes, 0 on one machine: the log's number up to which the producer
//	          had applied the log when it made the entry
//	digest    8 bytes, 0 on one machine: of the producer's state there
//	ops       each a byte for its kind, then as append* below writes it
//	checksum  4 bytes, CRC-32C of all before it
//
// In an op, numbers are uvarints and times are varints. Bytes of unknown length have
// their length in front.
const (
	entryHead     = 1 + 4*8
	entryChecksum = 4
)

// Kinds of ops.
const (
	opAppend      byte = iota + 1 // slot, version, bytes of the slot with this, mark (8 bytes), events, each with IDOff and JSON
	opCreate                      // slot, token
	opRemove                      // slot, version
	opTouch                       // slot, pulled, streamed
	opPut                         // expected version, key, value, totals that count if it holds
	opDelete                      // expected version, key
	opCount                       // totals
	opCreateOwned                 // slot, token, owner's token; a slot without an owner is opCreate
	opPart                        // the rest of the entry: ops of its producer's next entry that is no part, in front of its own
	opGenesis                     // the first of a shared log: its id, whether a store was there before, base, digest (8 bytes)
	opTrim                        // slot, position of the oldest event before and after, bytes of the events that leave
)

// MaxEntry is how long an entry may be, in bytes. One commit may become more than
// one entry. A group that is longer is refused.
const MaxEntry = 8 << 20

// maxRecords is how many records an entry may put: their versions have 12 bits for
// the place in the entry.
const (
	versionBits = 12
	maxRecords  = 1<<versionBits - 1
)

// minEvent is the length of the shortest JSON object.
const minEvent = 2

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// errEntry is wrapped by errors that say that an entry is not whole.
var errEntry = errors.New("replay: damaged entry")

// header is what stands in front of the ops.
type header struct {
	format   byte // 0 stands for entryFormat
	producer uint64
	number   uint64
	applied  uint64
	digest   uint64
}

func appendHead(b []byte, h header) []byte {
	b = append(b, max(h.format, entryFormat))
	b = binary.BigEndian.AppendUint64(b, h.producer)
	b = binary.BigEndian.AppendUint64(b, h.number)
	b = binary.BigEndian.AppendUint64(b, h.applied)
	return binary.BigEndian.AppendUint64(b, h.digest)
}

// appendChecksum ends the entry that begins at b[start].
func appendChecksum(b []byte, start int) []byte {
	return binary.BigEndian.AppendUint32(b, crc32.Checksum(b[start:], castagnoli))
}

// checksumOf is what appendChecksum has written.
func checksumOf(entry []byte) uint32 {
	return binary.BigEndian.Uint32(entry[len(entry)-entryChecksum:])
}

// uvarintLen is how many bytes a uvarint takes.
func uvarintLen(x uint64) int { return (bits.Len64(x|1) + 6) / 7 }

// groupSize is how long the op of a group is at most.
func groupSize(g *cow.Group) int {
	n := 1 + len(g.Slot)
	switch g.Op {
	case cow.OpAppend:
		n += 3*binary.MaxVarintLen64 + 8
		for i := range g.Events {
			e := &g.Events[i]
			n += uvarintLen(uint64(e.IDOff)) + uvarintLen(uint64(len(e.JSON))) + len(e.JSON)
		}
	case cow.OpCreate:
		n += len(g.Token) + len(g.Owner)
	default:
		n += 3 * binary.MaxVarintLen64
	}
	return n
}

// appendGroup writes the op of a group. Its First and Count are not written: they
// follow from the version and the events.
func appendGroup(b []byte, g *cow.Group) []byte {
	switch g.Op {
	case cow.OpAppend:
		b = append(append(b, opAppend), g.Slot[:]...)
		b = binary.AppendUvarint(b, g.Version)
		b = binary.AppendUvarint(b, g.Bytes)
		b = binary.BigEndian.AppendUint64(b, g.Mark)
		b = binary.AppendUvarint(b, uint64(len(g.Events)))
		for i := range g.Events {
			e := &g.Events[i]
			b = binary.AppendUvarint(b, uint64(e.IDOff))
			b = binary.AppendUvarint(b, uint64(len(e.JSON)))
			b = append(b, e.JSON...)
		}
	case cow.OpCreate:
		kind := opCreate
		if g.Owner != (cow.TokenHash{}) {
			kind = opCreateOwned
		}
		b = append(append(b, kind), g.Slot[:]...)
		b = append(b, g.Token[:]...)
		if kind == opCreateOwned {
			b = append(b, g.Owner[:]...)
		}
	case cow.OpRemove:
		b = append(append(b, opRemove), g.Slot[:]...)
		b = binary.AppendUvarint(b, g.Version)
	case cow.OpTouch:
		b = append(append(b, opTouch), g.Slot[:]...)
		b = binary.AppendVarint(b, g.PulledAt)
		b = binary.AppendVarint(b, g.StreamedAt)
	case cow.OpTrim:
		b = append(append(b, opTrim), g.Slot[:]...)
		b = binary.AppendUvarint(b, g.First)
		b = binary.AppendUvarint(b, g.Oldest)
		b = binary.AppendUvarint(b, g.Gone)
	default:
		panic("BUG: unknown operation")
	}
	return b
}

// recordSize is how long the op of a record is at most.
func recordSize(key string, value []byte) int {
	return 1 + 3*binary.MaxVarintLen64 + len(key) + len(value) + totalsSize
}

const totalsSize = 5 * binary.MaxVarintLen64

func appendPut(b []byte, key string, value []byte, expected uint64, count cow.Totals) []byte {
	b = binary.AppendUvarint(append(b, opPut), expected)
	b = append(binary.AppendUvarint(b, uint64(len(key))), key...)
	b = append(binary.AppendUvarint(b, uint64(len(value))), value...)
	return appendTotals(b, count)
}

func appendDelete(b []byte, key string, expected uint64) []byte {
	b = binary.AppendUvarint(append(b, opDelete), expected)
	return append(binary.AppendUvarint(b, uint64(len(key))), key...)
}

func appendCount(b []byte, t cow.Totals) []byte { return appendTotals(append(b, opCount), t) }

func appendTotals(b []byte, t cow.Totals) []byte {
	for _, x := range [...]uint64{t.SlotAllocations, t.EventsPosted, t.HandleClaims, t.HandleFirstClaims, t.PairOpens} {
		b = binary.AppendUvarint(b, x)
	}
	return b
}

// reader reads an entry. It keeps the first error and then reads zeros. What it gives
// lies in the entry.
type reader struct {
	b   []byte // what is left
	err error
}

// openEntry checks an entry and returns a reader that stands at its ops.
func openEntry(entry []byte) (h header, r reader, err error) {
	if len(entry) < entryHead+entryChecksum {
		return h, r, fmt.Errorf("%w: it has %d bytes", errEntry, len(entry))
	}
	body := len(entry) - entryChecksum
	if crc32.Checksum(entry[:body], castagnoli) != binary.BigEndian.Uint32(entry[body:]) {
		return h, r, fmt.Errorf("%w: its checksum is wrong", errEntry)
	}
	if entry[0] < entryFormat || entry[0] > newestFormat {
		return h, r, errNewer("an entry", int(entry[0]), newestFormat)
	}
	h = header{
		format:   entry[0],
		producer: binary.BigEndian.Uint64(entry[1:]),
		number:   binary.BigEndian.Uint64(entry[9:]),
		applied:  binary.BigEndian.Uint64(entry[17:]),
		digest:   binary.BigEndian.Uint64(entry[25:]),
	}
	return h, reader{b: entry[entryHead:body]}, nil
}

func (r *reader) fail(what string) {
	if r.err == nil {
		r.err = fmt.Errorf("%w: %s", errEntry, what)
	}
	r.b = nil
}

func (r *reader) byte() byte {
	if len(r.b) == 0 {
		r.fail("it ends within an op")
		return 0
	}
	x := r.b[0]
	r.b = r.b[1:]
	return x
}

func (r *reader) uvarint() uint64 {
	x, n := binary.Uvarint(r.b)
	if n <= 0 {
		r.fail("a number can't be read")
		return 0
	}
	r.b = r.b[n:]
	return x
}

func (r *reader) varint() int64 {
	x, n := binary.Varint(r.b)
	if n <= 0 {
		r.fail("a time can't be read")
		return 0
	}
	r.b = r.b[n:]
	return x
}

// take reads n bytes.
func (r *reader) take(n uint64) []byte {
	if n > uint64(len(r.b)) {
		r.fail("it ends within an op")
		return nil
	}
	x := r.b[:n:n]
	r.b = r.b[n:]
	return x
}

func (r *reader) slot() (id cow.ID) {
	copy(id[:], r.take(uint64(len(id))))
	return id
}

func (r *reader) token() (t cow.TokenHash) {
	copy(t[:], r.take(uint64(len(t))))
	return t
}

func (r *reader) mark() uint64 {
	if m := r.take(8); m != nil {
		return binary.BigEndian.Uint64(m)
	}
	return 0
}

// events appends the events of an append to list.
func (r *reader) events(list []event.Event) []event.Event {
	for range r.eventCount() {
		e := r.event()
		if r.err != nil {
			break
		}
		list = append(list, e)
	}
	return list
}

// skipEvents reads the events of an append and gives none.
func (r *reader) skipEvents() {
	for n := r.eventCount(); n > 0 && r.err == nil; n-- {
		r.event()
	}
}

func (r *reader) eventCount() uint64 {
	n := r.uvarint()
	if n == 0 || n > uint64(len(r.b))/minEvent {
		r.fail("an append has no such number of events")
		return 0
	}
	return n
}

func (r *reader) event() event.Event {
	off := r.uvarint()
	json := r.take(r.uvarint())
	if len(json) < minEvent || off >= uint64(len(json)) {
		r.fail("an event can't be read")
		return event.Event{}
	}
	return event.Event{JSON: json, IDOff: uint32(off)}
}

func (r *reader) totals() (t cow.Totals) {
	for _, x := range [...]*uint64{&t.SlotAllocations, &t.EventsPosted, &t.HandleClaims, &t.HandleFirstClaims, &t.PairOpens} {
		*x = r.uvarint()
	}
	return t
}
