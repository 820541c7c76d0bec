package pebblestore

import (
	"errors"
	"strings"

	"github.com/cockroachdb/pebble/v2"

	"cowrelay/cow"
)

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
