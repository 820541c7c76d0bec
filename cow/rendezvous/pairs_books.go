package rendezvous

import (
	"container/heap"
	"fmt"
	"time"

	"github.com/go-json-experiment/json"
)

// pairRecord is a pair as it is recorded. Members that are not known are passed over.
type pairRecord struct {
	ID      string      `json:"id"`
	By      Source      `json:"by,omitzero"`
	Touched int64       `json:"touched"` // Unix seconds
	Sides   [2]pairSide `json:"sides"`   // by Role
}

// pairSide is what one role has left, and which sources have sent it.
type pairSide struct {
	Message     *string `json:"msg,omitzero"`
	MessageBy   Source  `json:"msg_by,omitzero"`
	Bootstrap   *string `json:"bootstrap,omitzero"`
	BootstrapBy Source  `json:"bootstrap_by,omitzero"`
}

func (r *pairRecord) encode() []byte {
	value, err := json.Marshal(r)
	if err != nil { // a text is not UTF-8, but it came out of JSON
		panic("BUG: a pair can't be encoded")
	}
	return value
}

func decodePair(value []byte) (*pairRecord, error) {
	r := new(pairRecord)
	if err := json.Unmarshal(value, r); err != nil {
		return nil, fmt.Errorf("the record of a pair can't be read: %w", err)
	}
	return r, nil
}

// textSize is what a text counts for.
func textSize(text *string) int64 {
	if text == nil {
		return 0
	}
	return int64(len(*text)) + textBytes
}

// pairBooks are what memory holds of the pairs that are records. They are guarded by
// sharedPairs.mu.
//
//	live ──► leaving: its time is over, and its record is to be dropped
type pairBooks struct {
	byKey   map[string]*pairEntry
	byID    map[string]*pairEntry // the live ones
	due     dueHeap[*pairEntry]   // the live ones
	leaving []string              // keys of records to drop; taken by the sweeps
	coming  int                   // pairs that are being opened here
	opened  uint64                // by this relay

	bytes   int64 // of texts of live pairs, and of those that are being written
	pairsOf map[Source]int
	bytesOf map[Source]int64
}

// pairEntry is one pair.
type pairEntry struct {
	key, id  string
	by       Source
	texts    [4]pairText
	deadline      // when it is over; at is -1 then
	renewing bool // its time is being written
}

// pairText is who holds how many bytes for a text.
type pairText struct {
	by    Source
	bytes int64
}

// pairEntryBytes is about what an entry takes in memory.
const pairEntryBytes = 512

// pairPlace is what a source holds while it writes.
type pairPlace struct {
	source Source
	pairs  int
	bytes  int64
}

func (b *pairBooks) init() {
	b.byKey, b.byID = make(map[string]*pairEntry), make(map[string]*pairEntry)
	b.pairsOf, b.bytesOf = make(map[Source]int), make(map[Source]int64)
}

// add enters a record, which lasts so long behind its last touch.
func (b *pairBooks) add(key string, rec *pairRecord, lasts time.Duration) {
	e := &pairEntry{key: key, id: rec.ID, by: rec.By, deadline: deadline{due: rec.Touched + int64(lasts/time.Second)}}
	for i, side := range rec.Sides {
		e.texts[2*i] = pairText{side.MessageBy, textSize(side.Message)}
		e.texts[2*i+1] = pairText{side.BootstrapBy, textSize(side.Bootstrap)}
	}
	b.byKey[key], b.byID[e.id] = e, e
	heap.Push(&b.due, e)
	b.count(e, 1)
}

// drop forgets a record.
func (b *pairBooks) drop(key string) {
	e := b.byKey[key]
	if e == nil {
		return
	}
	delete(b.byKey, key)
	if e.at >= 0 {
		heap.Remove(&b.due, e.at)
		b.end(e)
	}
}

// advance ends the pairs whose time is over.
func (b *pairBooks) advance(now time.Time) {
	for len(b.due) > 0 && b.due[0].due <= now.Unix() {
		e := heap.Pop(&b.due).(*pairEntry)
		b.end(e)
		b.leaving = append(b.leaving, e.key)
	}
}

// end counts a pair out that was live.
func (b *pairBooks) end(e *pairEntry) {
	e.at = -1
	if b.byID[e.id] == e {
		delete(b.byID, e.id)
	}
	b.count(e, -1)
}

// count counts a pair in (1) or out (-1).
func (b *pairBooks) count(e *pairEntry, sign int) {
	b.hold(e.by, sign, 0)
	for _, t := range e.texts {
		b.hold(t.by, 0, int64(sign)*t.bytes)
	}
}

// hold counts what a source holds.
func (b *pairBooks) hold(source Source, pairs int, bytes int64) {
	b.bytes += bytes
	if source == 0 {
		return
	}
	if b.pairsOf[source] += pairs; b.pairsOf[source] == 0 {
		delete(b.pairsOf, source)
	}
	if b.bytesOf[source] += bytes; b.bytesOf[source] == 0 {
		delete(b.bytesOf, source)
	}
}
