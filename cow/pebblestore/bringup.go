package pebblestore

import (
	"encoding/binary"

	"github.com/cockroachdb/pebble/v2"

	"cowrelay/cow"
)

// A store of format 1 differs in three things. It had Pebble's own log. Each event
// had a value of its own, which this program reads as well. And it kept its totals
// under two keys, and the number of its opens, from which it made the versions of
// records. So nothing needs to be written again but the store's own numbers.
//
// Pebble brings what its log holds into tables when it opens the store. Until the
// numbers of format 2 are durable, which takes one write, the store is whole in
// format 1. So a crash costs nothing at any step.

// firstSeq makes the number of the entry that a store of format 1 has applied, from
// how often it was opened. A version of a record had that count in its highest 24
// bits. A version that belongs to an entry has its number in the highest 52 bits. So
// it is above all that were given out.
func firstSeq(opens uint64) uint64 { return (opens + 1) << (epochShift - seqShift) }

const (
	epochShift = 40 // in a version of a record of format 1
	seqShift   = 12 // in a version of a record
)

// readPoint1 reads where a store of format 1 stands.
func (s *Store) readPoint1(r pebble.Reader) (point, error) {
	opens, err := s.meta(r, metaEpoch)
	if err != nil {
		return point{}, err
	}
	var posted, counted cow.Totals
	if _, err = s.read(r, metaTotals, func(v []byte) (err error) {
		posted.SlotAllocations, posted.EventsPosted, err = decodePair(v)
		return err
	}); err != nil {
		return point{}, err
	}
	if _, err = s.read(r, metaCounted, func(v []byte) (err error) {
		counted, err = decodeTotals(v)
		return err
	}); err != nil {
		return point{}, err
	}
	return point{format: 1, seq: firstSeq(opens), totals: posted.Add(counted)}, nil
}

// bringUp makes format 2 of a store that stands at p: one of format 1, or an empty
// one.
func (s *Store) bringUp(p point) error {
	if p.format == 1 {
		s.opts.Logger.Info("the store gets a new format: older programs can't open it then", "folder", s.dir, "from", p.format, "to", formatVersion)
	}
	return s.set(func(b *pebble.Batch) {
		must(b.Set(metaFormat, binary.AppendUvarint(nil, formatVersion), nil))
		must(b.Set(metaApplied, appendApplied(nil, p.seq, p.totals), nil))
		for _, k := range [][]byte{metaEpoch, metaTotals, metaCounted} {
			must(b.Delete(k, nil))
		}
	})
}
