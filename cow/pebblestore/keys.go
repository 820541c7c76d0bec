package pebblestore

import (
	"encoding/binary"
	"errors"

	"cowrelay/cow"
)

// Families of keys. The first byte of a key names its family.
const (
	familyEvent  = 'e' // 'e' slot(16) position(8, big endian) -> one event, or several from there on (see group.go)
	familyMeta   = 'm' // 'm' name
	familyRecord = 'r' // 'r' name -> version(8, big endian), value
	familySlot   = 's' // 's' slot(16) part(1)
)

// Parts of a slot's record. They are keys of their own, side by side, so that
// an append writes the counts blindly (without reading the token to write it
// again) and a touch writes nothing but the time. Slots reads all three in one
// scan. A batch without the counts would save half a microsecond a post. That was
// not worth the search for them at the next start:
// profiles/2026-11-24-post-key-order.
const (
	partCounts = 'c' // uvarint count, uvarint bytes, uvarint position of the oldest event if any has left
	partPulled = 'p' // varint Unix seconds of the last pull, varint of the last stream if there was one; absent for never
	partToken  = 't' // 32 bytes of the slot token, and 32 of the owner's if there is one
)

var (
	metaFormat  = []byte("mformat")  // uvarint
	metaApplied = []byte("mapplied") // uvarint number of the newest applied entry, then the uvarints of cow.Totals in its order
	metaLogMade = []byte("mlogmade") // uvarint 1, once there is a log (see Store.New)

	// Of a store that belongs to a log that relays share (see member.go).
	metaMember   = []byte("mmember") // 16 bytes of the log's id, uvarint base
	metaDigest   = []byte("mdigest") // 8 bytes, behind the newest applied entry
	metaProducer = []byte("mp/")     // begins a key that ends with 8 bytes of a producer -> uvarint number, uvarint entry, ops of its next entry

	// Format 1 had these. What it called counted was what came with records.
	metaEpoch   = []byte("mepoch")   // uvarint, one more at each open
	metaTotals  = []byte("mtotals")  // uvarint slot allocations, uvarint events posted
	metaCounted = []byte("mcounted") // as the totals of metaApplied
)

const (
	slotKeyLen  = 1 + len(cow.ID{}) + 1
	eventKeyLen = 1 + len(cow.ID{}) + 8
)

func putSlotKey(k []byte, slot cow.ID, part byte) {
	k[0] = familySlot
	copy(k[1:], slot[:])
	k[slotKeyLen-1] = part
}

func slotKey(slot cow.ID, part byte) (k [slotKeyLen]byte) {
	putSlotKey(k[:], slot, part)
	return k
}

func putEventKey(k []byte, slot cow.ID, pos uint64) {
	k[0] = familyEvent
	copy(k[1:], slot[:])
	binary.BigEndian.PutUint64(k[1+len(slot):], pos)
}

func eventKey(slot cow.ID, pos uint64) (k [eventKeyLen]byte) {
	putEventKey(k[:], slot, pos)
	return k
}

// eventsEnd is the exclusive upper bound of a slot's events. It is one byte longer
// than the highest key, so that the highest slot id has one too.
func eventsEnd(slot cow.ID) (k [eventKeyLen + 1]byte) {
	putEventKey(k[:], slot, ^uint64(0))
	return k
}

// prefixEnd returns the first key behind all keys that start with prefix. The
// prefix holds a family byte below 0xff, so there is one.
func prefixEnd(prefix []byte) []byte {
	end := append([]byte(nil), prefix...)
	for i := len(end) - 1; i >= 0; i-- {
		if end[i] < 0xff {
			end[i]++
			return end[:i+1]
		}
	}
	panic("BUG: prefix without an end")
}

// errDecode says that a value does not decode. The caller wraps it and says which.
var errDecode = errors.New("value does not decode")

func uvarintLen(x uint64) int {
	n := 1
	for ; x >= 0x80; x >>= 7 {
		n++
	}
	return n
}

// decodePair reads the first two numbers of what appendPair has written: those of
// metaTotals, in format 1.
func decodePair(v []byte) (a, b uint64, err error) {
	a, n := binary.Uvarint(v)
	if n <= 0 {
		return 0, 0, errDecode
	}
	b, m := binary.Uvarint(v[n:])
	if m <= 0 || n+m != len(v) {
		return 0, 0, errDecode
	}
	return a, b, nil
}

func appendPair(v []byte, a, b uint64) []byte {
	return binary.AppendUvarint(binary.AppendUvarint(v, a), b)
}

// decodeCounts reads the value of partCounts.
func decodeCounts(v []byte) (first, count, bytes uint64, err error) {
	count, n := binary.Uvarint(v)
	if n <= 0 {
		return 0, 0, 0, errDecode
	}
	bytes, m := binary.Uvarint(v[n:])
	if m <= 0 {
		return 0, 0, 0, errDecode
	}
	if n+m == len(v) {
		return 0, count, bytes, nil
	}
	first, k := binary.Uvarint(v[n+m:])
	if k <= 0 || n+m+k != len(v) || first == 0 {
		return 0, 0, 0, errDecode
	}
	return first, count, bytes, nil
}

// appendCounts is the inverse of decodeCounts.
func appendCounts(v []byte, first, count, bytes uint64) []byte {
	v = appendPair(v, count, bytes)
	if first > 0 {
		v = binary.AppendUvarint(v, first)
	}
	return v
}

// decodePulled reads the value of partPulled.
func decodePulled(v []byte) (pulled, streamed int64, err error) {
	pulled, n := binary.Varint(v)
	if n <= 0 {
		return 0, 0, errDecode
	}
	if n == len(v) {
		return pulled, 0, nil
	}
	streamed, m := binary.Varint(v[n:])
	if m <= 0 || n+m != len(v) {
		return 0, 0, errDecode
	}
	return pulled, streamed, nil
}

// appendPulled is the inverse of decodePulled.
func appendPulled(v []byte, pulled, streamed int64) []byte {
	v = binary.AppendVarint(v, pulled)
	if streamed != 0 {
		v = binary.AppendVarint(v, streamed)
	}
	return v
}

// decodeTokens reads the value of partToken.
func decodeTokens(v []byte) (token, owner cow.TokenHash, err error) {
	if len(v) != len(token) && len(v) != len(token)+len(owner) {
		return token, owner, errDecode
	}
	copy(owner[:], v[copy(token[:], v):])
	return token, owner, nil
}

// appendTokens is the inverse of decodeTokens.
func appendTokens(v []byte, token, owner cow.TokenHash) []byte {
	v = append(v, token[:]...)
	if owner != (cow.TokenHash{}) {
		v = append(v, owner[:]...)
	}
	return v
}

// decodeRecord reads the value of a record key. The result is a part of v.
func decodeRecord(v []byte) (value []byte, version uint64, err error) {
	if len(v) < 8 {
		return nil, 0, errDecode
	}
	version = binary.BigEndian.Uint64(v)
	if version == 0 {
		return nil, 0, errDecode
	}
	return v[8:], version, nil
}

// decodeMeta reads the value of a key that holds one number.
func decodeMeta(v []byte) (uint64, error) {
	x, n := binary.Uvarint(v)
	if n <= 0 || n != len(v) {
		return 0, errDecode
	}
	return x, nil
}

func appendTotals(v []byte, t cow.Totals) []byte {
	v = appendPair(v, t.SlotAllocations, t.EventsPosted)
	v = appendPair(v, t.HandleClaims, t.HandleFirstClaims)
	return binary.AppendUvarint(v, t.PairOpens)
}

// decodeTotals is the inverse of appendTotals.
func decodeTotals(v []byte) (t cow.Totals, err error) {
	for _, to := range []*uint64{&t.SlotAllocations, &t.EventsPosted, &t.HandleClaims, &t.HandleFirstClaims, &t.PairOpens} {
		x, n := binary.Uvarint(v)
		if n <= 0 {
			return cow.Totals{}, errDecode
		}
		*to, v = x, v[n:]
	}
	if len(v) != 0 {
		return cow.Totals{}, errDecode
	}
	return t, nil
}

// decodeApplied reads the value of metaApplied.
func decodeApplied(v []byte) (seq uint64, t cow.Totals, err error) {
	seq, n := binary.Uvarint(v)
	if n <= 0 {
		return 0, cow.Totals{}, errDecode
	}
	t, err = decodeTotals(v[n:])
	return seq, t, err
}

// appendApplied is the inverse of decodeApplied.
func appendApplied(v []byte, seq uint64, t cow.Totals) []byte {
	return appendTotals(binary.AppendUvarint(v, seq), t)
}
