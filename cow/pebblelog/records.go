package pebblelog

import (
	"encoding/binary"
	"errors"
	"hash/maphash"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/cockroachdb/pebble/v2"

	"cowrelay/cow"
)

// records decides compare-and-set. Each key belongs to one of a fixed number of
// mutexes. It is held from the read of the old version until the new one is durable
// and its watchers were called. So puts of one key are decided one after the other,
// while puts of different keys share a sync. There are many mutexes, as two keys
// that have the same one don't share (profiles/2026-11-29-claim).
type records struct {
	seed    maphash.Seed
	stripes [1024]sync.Mutex

	// version is the last one given out. Its high bits count the opens of the
	// store. So no version ever comes back, not even if a record is deleted and
	// made again after a restart.
	version atomic.Uint64

	mu       sync.Mutex                 // held to change watchers
	watchers atomic.Pointer[[]*watcher] // copied for each change: update stores, tell loads
}

// epochShift leaves 40 bits for the writes between two opens.
const epochShift = 40

type watcher struct {
	prefix  string
	changed func(key string, value []byte, version uint64)
}

func (r *records) stripe(key string) *sync.Mutex {
	return &r.stripes[maphash.String(r.seed, key)%uint64(len(r.stripes))]
}

// kindOf is what an error says of a record's key. What stands behind the slash may
// let in anybody who knows it, as the token of an invite does.
func kindOf(key string) string {
	kind, _, _ := strings.Cut(key, "/")
	return kind
}

func recordKey(key string) []byte {
	return append([]byte{familyRecord}, key...)
}

// Value implements cow.Records. The value is the caller's.
func (l *Log) Value(key string) ([]byte, uint64, error) {
	v, closer, err := l.db.Get(recordKey(key))
	if errors.Is(err, pebble.ErrNotFound) {
		return nil, 0, cow.ErrNoRecord
	}
	if err != nil {
		return nil, 0, l.corrupt(err, "a record of %q can't be read", kindOf(key))
	}
	defer closer.Close()
	value, version, err := decodeRecord(v)
	if err != nil {
		return nil, 0, l.corrupt(err, "a record of %q", kindOf(key))
	}
	return append([]byte{}, value...), version, nil
}

// versionOf is Value without the value.
func (l *Log) versionOf(key string) (uint64, error) {
	v, closer, err := l.db.Get(recordKey(key))
	if errors.Is(err, pebble.ErrNotFound) {
		return 0, cow.ErrNoRecord
	}
	if err != nil {
		return 0, l.corrupt(err, "a record of %q can't be read", kindOf(key))
	}
	defer closer.Close()
	_, version, err := decodeRecord(v)
	if err != nil {
		return 0, l.corrupt(err, "a record of %q", kindOf(key))
	}
	return version, nil
}

// Put implements cow.Records.
func (l *Log) Put(key string, value []byte, expected uint64, count cow.Totals) (uint64, error) {
	return l.swap(key, value, expected, false, count)
}

// Delete implements cow.Records.
func (l *Log) Delete(key string, expected uint64) error {
	_, err := l.swap(key, nil, expected, true, cow.Totals{})
	return err
}

func (l *Log) swap(key string, value []byte, expected uint64, remove bool, count cow.Totals) (uint64, error) {
	m := l.records.stripe(key)
	m.Lock()
	defer m.Unlock()
	version, err := l.versionOf(key)
	if err != nil && !errors.Is(err, cow.ErrNoRecord) {
		return 0, err
	}
	// A record that is not there has version 0. To delete it is a conflict too.
	if version != expected || remove && version == 0 {
		return 0, cow.ErrConflict
	}
	b := l.db.NewBatch()
	version = 0
	if remove {
		must(b.Delete(recordKey(key), nil))
	} else {
		version = l.records.version.Add(1)
		v := binary.BigEndian.AppendUint64(make([]byte, 0, 8+len(value)), version)
		must(b.Set(recordKey(key), append(v, value...), nil))
	}
	if count != (cow.Totals{}) {
		l.applyCounted(b, count)
	} else {
		l.apply(b)
	}
	b.Close()
	l.records.tell(key, value, version)
	return version, nil
}

// List implements cow.Records. The value is the caller's.
func (l *Log) List(prefix string, yield func(key string, value []byte, version uint64) error) error {
	start := recordKey(prefix)
	it, err := l.db.NewIter(&pebble.IterOptions{LowerBound: start, UpperBound: prefixEnd(start)})
	if err != nil {
		return l.corrupt(err, "records can't be read")
	}
	defer it.Close()
	for ok := it.First(); ok; ok = it.Next() {
		key := string(it.Key()[1:])
		v, err := it.ValueAndErr()
		if err != nil {
			return l.corrupt(err, "a record of %q can't be read", kindOf(key))
		}
		value, version, err := decodeRecord(v)
		if err != nil {
			return l.corrupt(err, "a record of %q", kindOf(key))
		}
		if err := yield(key, append([]byte{}, value...), version); err != nil {
			return err
		}
	}
	if err := it.Error(); err != nil {
		return l.corrupt(err, "records can't be read")
	}
	return nil
}

// Watch implements cow.Records. The goroutine that puts or deletes calls changed
// before it returns. The calls for one key come in order. changed must be fast, must
// not write to the value, and must not put or delete. A call of changed that runs
// while stop is called may still finish.
func (l *Log) Watch(prefix string, changed func(key string, value []byte, version uint64)) (stop func()) {
	w := &watcher{prefix, changed}
	r := &l.records
	update := func(change func([]*watcher) []*watcher) {
		r.mu.Lock()
		defer r.mu.Unlock()
		var old []*watcher
		if p := r.watchers.Load(); p != nil {
			old = *p
		}
		list := change(slices.Clone(old))
		r.watchers.Store(&list)
	}
	update(func(list []*watcher) []*watcher { return append(list, w) })
	return func() {
		update(func(list []*watcher) []*watcher {
			return slices.DeleteFunc(list, func(o *watcher) bool { return o == w })
		})
	}
}

func (r *records) tell(key string, value []byte, version uint64) {
	p := r.watchers.Load()
	if p == nil {
		return
	}
	for _, w := range *p {
		if strings.HasPrefix(key, w.prefix) {
			w.changed(key, slices.Clone(value), version)
		}
	}
}
