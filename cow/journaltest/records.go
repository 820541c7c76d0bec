package journaltest

import (
	"bytes"
	"slices"
	"strings"
	"sync"

	"cowrelay/cow"
)

// memRecords are the records of a Memory.
type memRecords struct {
	mu            sync.Mutex
	records       map[string]memRecord
	recordVersion uint64
	counted       cow.Totals
	watchers      []*memWatcher
}

type memRecord struct {
	value   []byte
	version uint64
}

type memWatcher struct {
	prefix  string
	changed func(key string, value []byte, version uint64)
}

// Value implements cow.Records.
func (m *memRecords) Value(key string) (value []byte, version uint64, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	r, ok := m.records[key]
	if !ok {
		return nil, 0, cow.ErrNoRecord
	}
	return bytes.Clone(r.value), r.version, nil
}

// Put implements cow.Records.
func (m *memRecords) Put(key string, value []byte, expected uint64, count cow.Totals) (version uint64, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.records[key].version != expected {
		return 0, cow.ErrConflict
	}
	m.counted = m.counted.Add(count)
	m.recordVersion += 7
	m.records[key] = memRecord{append([]byte{}, value...), m.recordVersion}
	m.tellLocked(key, value, m.recordVersion)
	return m.recordVersion, nil
}

// Count implements cow.Records.
func (m *memRecords) Count(add cow.Totals) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.counted = m.counted.Add(add)
	return nil
}

// countedTotals are what Put and Count have added.
func (m *memRecords) countedTotals() cow.Totals {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.counted
}

// Delete implements cow.Records.
func (m *memRecords) Delete(key string, expected uint64) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if r, ok := m.records[key]; !ok || r.version != expected {
		return cow.ErrConflict
	}
	delete(m.records, key)
	m.tellLocked(key, nil, 0)
	return nil
}

// List implements cow.Records.
func (m *memRecords) List(prefix string, yield func(key string, value []byte, version uint64) error) error {
	m.mu.Lock()
	type entry struct {
		key string
		memRecord
	}
	var list []entry
	for k, r := range m.records {
		if strings.HasPrefix(k, prefix) {
			list = append(list, entry{k, r})
		}
	}
	m.mu.Unlock()
	slices.SortFunc(list, func(a, b entry) int { return strings.Compare(a.key, b.key) })
	for _, e := range list {
		if err := yield(e.key, bytes.Clone(e.value), e.version); err != nil {
			return err
		}
	}
	return nil
}

// Watch implements cow.Records. changed is called while the records are
// locked: it must not call them.
func (m *memRecords) Watch(prefix string, changed func(key string, value []byte, version uint64)) (stop func()) {
	w := &memWatcher{prefix, changed}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.watchers = append(m.watchers, w)
	return func() {
		m.mu.Lock()
		defer m.mu.Unlock()
		m.watchers = slices.DeleteFunc(m.watchers, func(o *memWatcher) bool { return o == w })
	}
}

func (m *memRecords) tellLocked(key string, value []byte, version uint64) {
	for _, w := range m.watchers {
		if strings.HasPrefix(key, w.prefix) {
			w.changed(key, bytes.Clone(value), version)
		}
	}
}
