package replay

import (
	"crypto/sha256"
	"errors"
	"fmt"

	"cowrelay/cow"
	"cowrelay/cow/event"
)

// State is what decides about the ops of an entry. It follows from the log alone.
// It belongs to one goroutine at a time.
type State struct {
	heads     map[cow.ID]counts   // of every slot
	versions  map[recordID]uint64 // of every record
	totals    cow.Totals
	seq       uint64              // of the newest entry that was applied
	producers map[uint64]produced // by producer
	results   []result            // of the newest entry's ops, without counts
	chain     *chain              // of a log that relays share; nil on one machine
	forgot    uint64              // the producer that was forgotten last; 0: none was
	newest    byte                // the newest format of entries that it takes; 0: that of the program
}

// produced is what a producer has brought into the log: the number of its newest
// entry, where that stands, and ops that belong to its next one. part never changes.
type produced struct {
	number, seq uint64
	part        []byte
}

// counts is what a slot has. A slot takes some 40 bytes in the map, without a pointer,
// so collections don't read it. That is why the counts are 32 bits wide: MaxPosition
// and MaxSlotBytes bound them.
type counts struct {
	first uint32 // position of the oldest event
	count uint32 // position behind the newest
	bytes uint32 // of the events between
}

// recordID stands for the key of a record. A record takes some 40 bytes in the map,
// without a pointer, however long its key is. It is cut from a cryptographic hash, so
// that nobody can make two keys that have the same.
type recordID [16]byte

func recordIDOf[T string | []byte](key T) recordID {
	sum := sha256.Sum256([]byte(key))
	return recordID(sum[:16])
}

func newState() *State {
	return &State{heads: make(map[cow.ID]counts), versions: make(map[recordID]uint64), producers: make(map[uint64]produced)}
}

// result is what became of an op.
type result struct {
	outcome cow.Outcome // Stored, Conflict or Refused
	version uint64      // of the slot or the record, if Stored
	err     error       // if Refused
}

// effects are what entries did, in their order. An op that does not hold has no
// effect.
type effects struct {
	groups  []Group
	records []Record
	events  []event.Event // of the groups

	// Of a shared log.
	digest    uint64     // behind the newest entry
	producers []Producer // that changed, one of each
	apart     int64      // bytes that the effects point into and that are no part of an entry
}

// errGap: an entry of a producer is missing.
var errGap = errors.New("replay: an entry is missing")

// begin says whether an entry counts. One that counts must be given to apply next.
//
// A producer whose entries lie all before what the store has applied is not known
// any more. Its next entry tells its number. On one machine that loses nothing: the
// numbers of the log have no gaps either. A log with more than one producer must
// keep the numbers in the store.
func (s *State) begin(h header, seq uint64, fx *effects) (bool, error) {
	if seq != s.seq+1 {
		return false, fmt.Errorf("%w: behind entry %d of the log comes entry %d", errGap, s.seq, seq)
	}
	if s.chain != nil {
		return s.beginShared(h, seq, fx)
	}
	s.seq = seq
	p, known := s.producers[h.producer]
	switch last := p.number; {
	case known && h.number <= last:
		return false, nil // sent twice
	case known && h.number > last+1:
		return false, fmt.Errorf("%w: behind number %d of its producer comes number %d in entry %d of the log", errGap, last, h.number, seq)
	}
	s.producers[h.producer] = produced{number: h.number, seq: seq}
	return true, nil
}

// apply does what the ops of an entry say, as far as they hold. It is the one way
// that a state changes: for entries of this process and for those that a start
// replays. After an error the state can't be used.
//
// A group holds if the slot exists and its version is the group's; an append must
// also leave the slot with the bytes that it says. A slot is created if it does not
// exist. A touch holds if the slot exists: the time of a pull is true whatever was
// appended since. A trim holds if the slot's oldest event is the one that it was decided
// on, so of two that were decided at once one holds. It does not stand in the way of an
// append, nor an append of it. A record is put or deleted if its version is the expected one,
// where 0 stands for no record; what is not there can't be deleted.
func (s *State) apply(r *reader, fx *effects) error {
	s.results = s.results[:0]
	records := uint64(0)
	for len(r.b) > 0 && r.err == nil {
		res := result{outcome: cow.Conflict}
		switch kind := r.byte(); kind {
		case opAppend:
			res = s.append(r, fx)
		case opCreate, opCreateOwned:
			g := Group{Op: cow.OpCreate, Slot: r.slot(), Token: r.token()}
			if kind == opCreateOwned {
				g.Owner = r.token()
			}
			if _, ok := s.heads[g.Slot]; !ok && r.err == nil {
				s.heads[g.Slot] = counts{}
				s.totals.SlotAllocations++
				fx.groups = append(fx.groups, g)
				res = result{outcome: cow.Stored}
			}
		case opRemove:
			g := Group{Op: cow.OpRemove, Slot: r.slot()}
			version := r.uvarint()
			if h, ok := s.heads[g.Slot]; ok && uint64(h.count) == version && r.err == nil {
				delete(s.heads, g.Slot)
				g.Count = version
				fx.groups = append(fx.groups, g)
				res = result{outcome: cow.Stored}
			}
		case opTouch:
			g := Group{Op: cow.OpTouch, Slot: r.slot(), PulledAt: r.varint(), StreamedAt: r.varint()}
			if h, ok := s.heads[g.Slot]; ok && r.err == nil {
				fx.groups = append(fx.groups, g)
				res = result{outcome: cow.Stored, version: uint64(h.count)}
			}
		case opTrim:
			res = s.trim(r, fx)
		case opPut, opDelete:
			if records++; records > maxRecords {
				r.fail("it has too many records")
				break
			}
			res = s.record(r, kind, s.seq<<versionBits|records, fx)
		case opGenesis:
			res = s.genesis(r)
		case opCount:
			if t := r.totals(); r.err == nil {
				s.totals = s.totals.Add(t)
			}
			continue
		default:
			r.fail(fmt.Sprintf("it has an op of unknown kind %d", kind))
		}
		s.results = append(s.results, res)
	}
	return r.err
}

// own applies an entry that this process has just written.
func (s *State) own(h header, seq uint64, entry []byte, fx *effects) error {
	counts, err := s.begin(h, seq, fx)
	if err == nil && !counts {
		err = errors.New("BUG: an own entry does not count")
	}
	if err != nil {
		return err
	}
	r := reader{b: entry[entryHead : len(entry)-entryChecksum]}
	return s.apply(&r, fx)
}

// replay applies an entry that is read from the log, and says whether it counts.
func (s *State) replay(seq uint64, entry []byte, fx *effects) (h header, counts bool, err error) {
	h, r, err := openEntry(entry)
	if err != nil {
		return h, false, err
	}
	if newest := s.reads(); h.format > newest {
		return h, false, errNewer("an entry", int(h.format), int(newest))
	}
	s.results = s.results[:0]
	if counts, err = s.begin(h, seq, fx); err != nil {
		return h, false, err
	}
	if counts {
		if s.chain != nil {
			r.b, err = s.join(h, r.b, fx)
		}
		if err == nil {
			err = s.apply(&r, fx)
		}
	}
	if s.chain != nil {
		fx.digest = s.chain.add(s.seq, checksumOf(entry), counts, s.results)
	}
	return h, counts, err
}

func (s *State) append(r *reader, fx *effects) result {
	g := Group{Op: cow.OpAppend, Slot: r.slot()}
	version, bytes := r.uvarint(), r.uvarint()
	r.mark()
	at := len(fx.events)
	fx.events = r.events(fx.events)
	h, ok := s.heads[g.Slot]
	if r.err != nil || !ok || uint64(h.count) != version {
		fx.events = fx.events[:at]
		return result{outcome: cow.Conflict}
	}
	g.Events = fx.events[at:len(fx.events):len(fx.events)]
	g.First, g.Oldest, g.Count, g.Bytes = version, uint64(h.first), version+uint64(len(g.Events)), uint64(h.bytes)
	for i := range g.Events {
		g.Bytes += uint64(len(g.Events[i].JSON))
	}
	switch {
	case g.Bytes < bytes && h.first > 0: // it was decided before a trim that stands before it
	case g.Bytes != bytes:
		return result{outcome: cow.Refused, err: fmt.Errorf("BUG: append of %d bytes behind %d says that the slot then has %d", g.Bytes-uint64(h.bytes), h.bytes, bytes)}
	case bytes > cow.MaxSlotBytes:
		return result{outcome: cow.Refused, err: fmt.Errorf("BUG: append to %d bytes, a slot has at most %d", bytes, cow.MaxSlotBytes)}
	case g.Count > cow.MaxPosition:
		return result{outcome: cow.Refused, err: fmt.Errorf("BUG: append up to position %d, a slot has positions up to %d", g.Count, cow.MaxPosition)}
	}
	s.heads[g.Slot] = counts{first: h.first, count: uint32(g.Count), bytes: uint32(g.Bytes)}
	s.totals.EventsPosted += uint64(len(g.Events))
	fx.groups = append(fx.groups, g)
	return result{outcome: cow.Stored, version: g.Count}
}

func (s *State) trim(r *reader, fx *effects) result {
	g := Group{Op: cow.OpTrim, Slot: r.slot(), First: r.uvarint(), Oldest: r.uvarint(), Gone: r.uvarint()}
	h, ok := s.heads[g.Slot]
	if r.err != nil || !ok || uint64(h.first) != g.First {
		return result{outcome: cow.Conflict}
	}
	count, bytes := uint64(h.count), uint64(h.bytes)
	// An event has minEvent bytes at least, so no bytes are left if no event is.
	if g.Oldest <= g.First || g.Oldest > count || g.Gone > bytes || (g.Oldest == count) != (g.Gone == bytes) {
		return result{outcome: cow.Refused, err: fmt.Errorf("BUG: a trim of %d bytes to position %d of a slot with %d bytes at positions %d to %d", g.Gone, g.Oldest, bytes, h.first, count)}
	}
	g.Count, g.Bytes = count, bytes-g.Gone
	s.heads[g.Slot] = counts{first: uint32(g.Oldest), count: h.count, bytes: uint32(g.Bytes)}
	fx.groups = append(fx.groups, g)
	return result{outcome: cow.Stored, version: count}
}

func (s *State) record(r *reader, kind byte, version uint64, fx *effects) result {
	expected := r.uvarint()
	key := r.take(r.uvarint())
	var value []byte
	var count cow.Totals
	if kind == opPut {
		value, count = r.take(r.uvarint()), r.totals()
	}
	id := recordIDOf(key)
	if r.err != nil || s.versions[id] != expected || kind == opDelete && expected == 0 {
		return result{outcome: cow.Conflict}
	}
	rec := Record{Key: string(key)}
	if kind == opDelete {
		delete(s.versions, id)
	} else {
		rec.Value, rec.Version = value, version
		s.versions[id] = version
		s.totals = s.totals.Add(count)
	}
	fx.records = append(fx.records, rec)
	return result{outcome: cow.Stored, version: rec.Version}
}
