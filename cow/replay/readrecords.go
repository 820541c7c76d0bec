package replay

import (
	"maps"
	"slices"
	"strings"

	"cowrelay/cow"
)

// Value implements cow.Records. The value is the caller's.
//
// A record that is not in the map is as the store has it: drop takes it out of the
// map when the store has it, never before.
func (r *reads) Value(key string) ([]byte, uint64, error) {
	if value, version, ok := r.backlog.value(key); ok {
		if version == 0 {
			return nil, 0, cow.ErrNoRecord
		}
		return value, version, nil
	}
	return r.store.Value(key)
}

// value returns what the backlog says of a record.
func (b *backlog) value(key string) (value []byte, version uint64, ok bool) {
	b.mu.RLock()
	defer b.mu.RUnlock()
	u, ok := b.records[key]
	if !ok || u.version == 0 {
		return nil, 0, ok
	}
	return append([]byte{}, u.value...), u.version, true // drop may use the chunk again behind the lock
}

// List implements cow.Records. The value is the caller's.
func (r *reads) List(prefix string, yield func(key string, value []byte, version uint64) error) error {
	spans, done := r.backlog.spans(nil)
	defer done()
	v, err := r.store.View()
	if err != nil {
		return err
	}
	defer v.Close()
	applied := v.Applied()
	newest := make(map[string]*Record)
	for _, s := range spans {
		if s.first <= applied {
			continue
		}
		for i := range s.records {
			if rec := &s.records[i]; strings.HasPrefix(rec.Key, prefix) {
				newest[rec.Key] = rec
			}
		}
	}
	keys := slices.Sorted(maps.Keys(newest))
	// before yields the records of the backlog whose key comes before key, or all.
	before := func(key string, all bool) error {
		for len(keys) > 0 && (all || keys[0] < key) {
			rec := newest[keys[0]]
			keys = keys[1:]
			if rec.Version == 0 {
				continue
			}
			if err := yield(rec.Key, append([]byte{}, rec.Value...), rec.Version); err != nil {
				return err
			}
		}
		return nil
	}
	err = v.List(prefix, func(key string, value []byte, version uint64) error {
		if err := before(key, false); err != nil {
			return err
		}
		if _, ok := newest[key]; ok {
			return nil // the next call of before yields it
		}
		return yield(key, value, version)
	})
	if err != nil {
		return err
	}
	return before("", true)
}
