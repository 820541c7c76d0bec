package pebblestore

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/cockroachdb/pebble/v2"

	"cowrelay/cow"
	"cowrelay/cow/replay"
)

// Kinds of faults. Programs read these texts: do not change them.
const (
	FaultMissing    = "missing"    // positions that are not there, with others behind them (I2)
	FaultRepeated   = "repeated"   // a position that stands in two values (I2)
	FaultCount      = "count"      // the record's count is not that of the events (I2)
	FaultBytes      = "bytes"      // the record's bytes are not those of the events
	FaultDuplicate  = "duplicate"  // an event_id that an earlier event of the slot has too (I5)
	FaultIndex      = "index"      // the stored offset of an id is not where the id stands
	FaultEvent      = "event"      // an event that the door would refuse, or change (I8)
	FaultOrphan     = "orphan"     // events of a slot that has no record
	FaultRecord     = "record"     // a record, of a slot or another, that does not decode
	FaultKey        = "key"        // a key that this program does not write
	FaultTotals     = "totals"     // the totals or the store's own numbers don't fit
	FaultUnreadable = "unreadable" // the disk fails, or a checksum
)

// Fault is one thing that is wrong with a store.
type Fault struct {
	Kind     string
	Slot     cow.ID // zero: of no slot
	Position int64  // -1: of no position
	What     string // the rest, in words
}

// String is what an operator reads.
func (f Fault) String() string {
	var where string
	if f.Slot != (cow.ID{}) {
		where = "slot " + f.Slot.String() + " "
	}
	if f.Position >= 0 {
		where += fmt.Sprintf("position %d ", f.Position)
	}
	return f.Kind + ": " + where + f.What
}

// Report counts what Verify looked at, and the faults that it found.
type Report struct {
	Slots, Events, Bytes, Records, Faults uint64
}

// VerifyOptions of Verify.
type VerifyOptions struct {
	// Fault is called for each fault. Those of the slots come in the order of
	// their keys, and so do those of the records and of the rest.
	Fault func(Fault)
	// Progress is called now and then. Default none.
	Progress func(Report)
}

// Verify looks at every key of the store:
//
//   - the positions of each slot are gap-free from 0, and its record counts the
//     events and their bytes as they are (I2);
//   - an event_id occurs once in a slot (I5);
//   - each event would pass the door, as the very bytes that are stored (I8);
//   - the stored offset of an event's id is where the id stands. A load builds its
//     index of ids from these offsets, and there is no other on disk;
//   - no event is without a slot, each record decodes and comes from an entry that
//     was applied, each key is one that this program writes in the store's format,
//     and the totals fit.
//
// It looks at the store as it is when Verify is called, and goes on behind a fault.
// It keeps 8 bytes in memory for each id of the slot that it looks at. The error is ctx's, or says that the
// store's own numbers can't be read.
func (s *Store) Verify(ctx context.Context, o VerifyOptions) (Report, error) {
	view, err := s.view()
	if err != nil {
		return Report{}, err
	}
	defer view.Close()
	v := &verifier{view: view, ctx: ctx, o: o}
	for _, look := range []func() error{v.families, v.meta, v.slots, v.records, v.totals} {
		if err := look(); err != nil {
			return v.report, err
		}
	}
	return v.report, nil
}

// verifier is the state of one Verify.
type verifier struct {
	view   *view
	ctx    context.Context
	o      VerifyOptions
	report Report
	told   uint64 // bytes at the last call of Progress
	door   door
	ids    idSet
}

func (v *verifier) fault(kind string, slot cow.ID, pos int64, format string, args ...any) {
	v.report.Faults++
	if v.o.Fault != nil {
		v.o.Fault(Fault{kind, slot, pos, fmt.Sprintf(format, args...)})
	}
}

// progress is called for each event and each slot.
func (v *verifier) progress() error {
	if v.report.Bytes-v.told >= 1<<20 || v.report.Slots%1024 == 0 {
		v.told = v.report.Bytes
		if v.o.Progress != nil {
			v.o.Progress(v.report)
		}
		return v.ctx.Err()
	}
	return nil
}

// iterate opens an iterator over a family of keys. If it can't, that is a fault, and
// it returns nil.
func (v *verifier) iterate(family byte) *pebble.Iterator {
	it, err := v.view.snapshot.NewIter(&pebble.IterOptions{LowerBound: []byte{family}, UpperBound: []byte{family + 1}})
	if err != nil {
		v.fault(FaultUnreadable, cow.ID{}, -1, "the keys of family %q can't be read: %v", family, nameFile(err))
		return nil
	}
	return it
}

// families finds keys of families that this program does not know.
func (v *verifier) families() error {
	it, err := v.view.snapshot.NewIter(nil)
	if err != nil {
		v.fault(FaultUnreadable, cow.ID{}, -1, "the store can't be read: %v", nameFile(err))
		return nil
	}
	defer it.Close()
	for ok := it.First(); ok; {
		k := it.Key()
		if len(k) == 0 {
			v.fault(FaultKey, cow.ID{}, -1, "there is an empty key")
			ok = it.Next()
			continue
		}
		family := k[0]
		switch family {
		case familyEvent, familyMeta, familyRecord, familySlot:
		default:
			v.fault(FaultKey, cow.ID{}, -1, "unknown family of keys 0x%02x, the first is %x", family, k)
		}
		if family == 0xff {
			break
		}
		ok = it.SeekGE([]byte{family + 1})
	}
	if err := it.Error(); err != nil {
		v.fault(FaultUnreadable, cow.ID{}, -1, "the families of keys can't be read: %v", nameFile(err))
	}
	return nil
}

// meta looks at the store's own numbers.
func (v *verifier) meta() error {
	it := v.iterate(familyMeta)
	if it == nil {
		return nil
	}
	defer it.Close()
	var member, digest, producers bool
	for ok := it.First(); ok; ok = it.Next() {
		value, err := it.ValueAndErr()
		if err != nil {
			v.fault(FaultUnreadable, cow.ID{}, -1, "the key %s: %v", it.Key(), nameFile(err))
			continue
		}
		old := v.view.format == 1
		switch k := string(it.Key()); {
		case k == string(metaFormat), k == string(metaLogMade) && !old, k == string(metaEpoch) && old:
			_, err = decodeMeta(value)
		case k == string(metaMember) && !old:
			member = true
			_, _, err = decodeMember(value)
		case k == string(metaDigest) && !old:
			digest = true
			_, err = decodeDigest(value)
		case strings.HasPrefix(k, string(metaProducer)) && !old:
			producers = true
			var p replay.Producer
			if p, err = decodeProducer(it.Key(), value); err == nil && p.Seq > v.view.seq {
				v.fault(FaultTotals, cow.ID{}, -1, "a producer's newest entry is %d, the newest one that was applied is %d", p.Seq, v.view.seq)
			}
		case k == string(metaApplied) && !old:
			_, _, err = decodeApplied(value)
		case k == string(metaTotals) && old:
			_, _, err = decodePair(value)
		case k == string(metaCounted) && old:
			_, err = decodeTotals(value)
		default:
			v.fault(FaultKey, cow.ID{}, -1, "unknown key %q", k)
		}
		if err != nil {
			v.fault(FaultTotals, cow.ID{}, -1, "the key %q: %v", it.Key(), err)
		}
	}
	if member != digest || producers && !member {
		v.fault(FaultTotals, cow.ID{}, -1, "of what it must know of a shared log a part is missing")
	}
	if err := it.Error(); err != nil {
		v.fault(FaultUnreadable, cow.ID{}, -1, "the store's own numbers can't be read: %v", nameFile(err))
	}
	return nil
}

// records looks at the records that don't belong to slots.
func (v *verifier) records() error {
	newest := v.view.seq
	if v.view.format == 1 {
		newest-- // it is that of the next open
	}
	it := v.iterate(familyRecord)
	if it == nil {
		return nil
	}
	defer it.Close()
	for ok := it.First(); ok; ok = it.Next() {
		key := string(it.Key()[1:])
		raw, err := it.ValueAndErr()
		if err != nil {
			v.fault(FaultUnreadable, cow.ID{}, -1, "a record of %q: %v", kindOf(key), nameFile(err))
			continue
		}
		v.report.Records++
		value, version, err := decodeRecord(raw)
		switch {
		case err != nil:
			v.fault(FaultRecord, cow.ID{}, -1, "a record of %q: %v", kindOf(key), err)
		case version>>seqShift > newest:
			v.fault(FaultRecord, cow.ID{}, -1, "a record of %q has version %d, which is of entry %d; the newest one is %d", kindOf(key), version, version>>seqShift, newest)
		case strings.HasPrefix(key, healthPrefix):
			slot, isID := cow.ParseID(key[len(healthPrefix):])
			if !isID {
				v.fault(FaultRecord, cow.ID{}, -1, "a record of %q names no slot", kindOf(key))
			} else if !json.Valid(value) || value[0] != '{' {
				v.fault(FaultRecord, slot, -1, "the responder health record is no JSON object")
			}
		}
		if err := v.ctx.Err(); err != nil {
			return err
		}
	}
	if err := it.Error(); err != nil {
		v.fault(FaultUnreadable, cow.ID{}, -1, "the records can't be read: %v", nameFile(err))
	}
	return nil
}

// healthPrefix begins the keys of the records in which package cow keeps responder
// health.
const healthPrefix = "health/"

// totals compares the counts over the life of the store with what is left in it.
func (v *verifier) totals() error {
	t := v.view.totals
	if t.SlotAllocations < v.report.Slots || t.EventsPosted < v.report.Events {
		v.fault(FaultTotals, cow.ID{}, -1, "the totals say %d slots and %d events were ever stored, there are %d and %d",
			t.SlotAllocations, t.EventsPosted, v.report.Slots, v.report.Events)
	}
	return nil
}
