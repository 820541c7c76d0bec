package pebblestore

import (
	"bytes"
	"context"
	"errors"
	"io"
	"strings"

	"github.com/cockroachdb/pebble/v2"

	"cowrelay/cow"
	"cowrelay/cow/replay"
)

// view is a replay.View of one moment.
type view struct {
	s        *Store
	snapshot pebble.Reader
	point
}

// View implements replay.Store.
func (s *Store) View() (replay.View, error) { return s.view() }

func (s *Store) view() (v *view, err error) {
	at, err := pin(s.db)
	if err != nil {
		return nil, s.corrupt(err, "the store can't be read")
	}
	v = &view{s: s, snapshot: at}
	if v.point, err = s.readPoint(v.snapshot); err != nil {
		v.snapshot.Close()
		return nil, err
	}
	return v, nil
}

// Applied implements replay.View.
func (v *view) Applied() uint64 { return v.seq }

// Totals implements replay.View.
func (v *view) Totals() (cow.Totals, error) { return v.totals, nil }

// Close implements replay.View.
func (v *view) Close() error { return v.snapshot.Close() }

// Slots implements replay.View with one scan over the records of all slots. It reads
// no event.
func (v *view) Slots(yield func(cow.SlotRecord) error) error {
	it, err := v.snapshot.NewIter(&pebble.IterOptions{LowerBound: []byte{familySlot}, UpperBound: []byte{familySlot + 1}})
	if err != nil {
		return v.s.corrupt(err, "the slots can't be read")
	}
	defer it.Close()
	const counts, token = 1, 2
	var r cow.SlotRecord
	var any bool
	var parts int
	emit := func() error {
		if !any {
			return nil
		}
		if parts != counts|token {
			return v.s.corrupt(nil, "the record of slot %s is incomplete", r.Slot)
		}
		if !replay.Plausible(r) {
			return v.s.corrupt(nil, "the record of slot %s says %d bytes of events at positions %d to %d", r.Slot, r.Bytes, r.First, r.Count)
		}
		return yield(r)
	}
	for ok := it.First(); ok; ok = it.Next() {
		k := it.Key()
		if len(k) != slotKeyLen {
			return v.s.corrupt(nil, "unknown key %x", k)
		}
		slot := cow.ID(k[1 : slotKeyLen-1])
		if !any || slot != r.Slot {
			if err := emit(); err != nil {
				return err
			}
			r, any, parts = cow.SlotRecord{Slot: slot}, true, 0
		}
		value, err := it.ValueAndErr()
		if err != nil {
			return v.s.corrupt(err, "the record of slot %s can't be read", slot)
		}
		switch k[slotKeyLen-1] {
		case partCounts:
			r.First, r.Count, r.Bytes, err = decodeCounts(value)
			r.Version = r.Count
			parts |= counts
		case partPulled:
			r.PulledAt, r.StreamedAt, err = decodePulled(value)
		case partToken:
			r.Token, r.Owner, err = decodeTokens(value)
			parts |= token
		default:
			return v.s.corrupt(nil, "unknown key %x", k)
		}
		if err != nil {
			return v.s.corrupt(err, "the record of slot %s", slot)
		}
	}
	if err := it.Error(); err != nil {
		return v.s.corrupt(err, "the slots can't be read")
	}
	return emit()
}

// kindOf is what an error says of a record's key. What stands behind the slash may
// let in anybody who knows it, as the token of an invite does.
func kindOf(key string) string {
	kind, _, _ := strings.Cut(key, "/")
	return kind
}

func putRecordKey(k []byte, key string) {
	k[0] = familyRecord
	copy(k[1:], key)
}

func recordKey(key string) []byte {
	return append([]byte{familyRecord}, key...)
}

// Value implements replay.Store.
func (s *Store) Value(key string) ([]byte, uint64, error) {
	v, closer, err := s.db.Get(recordKey(key))
	if errors.Is(err, pebble.ErrNotFound) {
		return nil, 0, cow.ErrNoRecord
	}
	if err != nil {
		return nil, 0, s.corrupt(err, "a record of %q can't be read", kindOf(key))
	}
	defer closer.Close()
	value, version, err := decodeRecord(v)
	if err != nil {
		return nil, 0, s.corrupt(err, "a record of %q", kindOf(key))
	}
	return append([]byte{}, value...), version, nil
}

// List implements replay.View.
func (v *view) List(prefix string, yield func(key string, value []byte, version uint64) error) error {
	return v.records(recordKey(prefix), func(key, value []byte, version uint64) error {
		return yield(string(key), append([]byte{}, value...), version)
	})
}

// Versions implements replay.View.
func (v *view) Versions(yield func(key []byte, version uint64) error) error {
	return v.records([]byte{familyRecord}, func(key, _ []byte, version uint64) error { return yield(key, version) })
}

// records yields the records whose store keys start with start. Key and value are
// valid during the call.
func (v *view) records(start []byte, yield func(key, value []byte, version uint64) error) error {
	it, err := v.snapshot.NewIter(&pebble.IterOptions{LowerBound: start, UpperBound: prefixEnd(start)})
	if err != nil {
		return v.s.corrupt(err, "records can't be read")
	}
	defer it.Close()
	for ok := it.First(); ok; ok = it.Next() {
		key := it.Key()[1:]
		raw, err := it.ValueAndErr()
		if err != nil {
			return v.s.corrupt(err, "a record of %q can't be read", kindOf(string(key)))
		}
		value, version, err := decodeRecord(raw)
		if err != nil {
			return v.s.corrupt(err, "a record of %q", kindOf(string(key)))
		}
		if err := yield(key, value, version); err != nil {
			return err
		}
	}
	if err := it.Error(); err != nil {
		return v.s.corrupt(err, "records can't be read")
	}
	return nil
}

// pinned is the store as it was at one moment. It does the work of a
// pebble.Snapshot, on an iterator whose clones all see what it saw.
//
// A snapshot is not used because closing one may look for a compaction to run. That
// waits for Pebble's manifest, and so for a disk that hangs: then no load would end,
// although the disk can be read.
//
// As of a snapshot, many goroutines may use it at once, until Close.
type pinned struct{ base *pebble.Iterator }

var _ pebble.Reader = pinned{}

func pin(db *pebble.DB) (pinned, error) {
	base, err := db.NewIter(nil)
	return pinned{base}, err
}

// Get implements pebble.Reader.
func (p pinned) Get(key []byte) (value []byte, closer io.Closer, err error) {
	it, err := p.NewIter(&pebble.IterOptions{LowerBound: key})
	if err != nil {
		return nil, nil, err
	}
	if !it.SeekGE(key) || !bytes.Equal(it.Key(), key) {
		err = it.Error()
		if err == nil {
			err = pebble.ErrNotFound
		}
	} else if value, err = it.ValueAndErr(); err == nil {
		return value, it, nil
	}
	it.Close() // says nothing that err does not
	return nil, nil, err
}

// NewIter implements pebble.Reader.
func (p pinned) NewIter(o *pebble.IterOptions) (*pebble.Iterator, error) {
	return p.NewIterWithContext(context.Background(), o)
}

// NewIterWithContext implements pebble.Reader.
func (p pinned) NewIterWithContext(ctx context.Context, o *pebble.IterOptions) (*pebble.Iterator, error) {
	if o == nil {
		o = new(pebble.IterOptions)
	}
	return p.base.CloneWithContext(ctx, pebble.CloneOptions{IterOptions: o})
}

// Close implements pebble.Reader.
func (p pinned) Close() error { return p.base.Close() }
