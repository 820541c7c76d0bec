package stats

import (
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"cowrelay/cow"
)

func TestMerge(t *testing.T) {
	const now = 1_800_000_000
	store := make(map[string][]byte)
	value := func(key string) ([]byte, uint64, error) {
		if v, ok := store[key]; ok {
			return v, 1, nil
		}
		return nil, 0, cow.ErrNoRecord
	}
	writes := 0
	put := func(key string, v []byte, expected uint64) error {
		if _, ok := store[key]; ok != (expected == 1) {
			t.Errorf("%s: expected version %d", key, expected)
		}
		writes++
		store[key] = v
		return nil
	}
	add := func(m *Merge, from, to, by int64) {
		for ts := from; ts <= to; ts += by {
			if err := m.Add(fmt.Appendf(nil, `{"events_posted_total":%d,"ts":%d,"slots_active":3,"new":[1]}`, ts%1000, ts)); err != nil {
				t.Fatalf("%d: %v", ts, err)
			}
		}
	}
	m := NewMerge(time.Unix(now, 0))
	add(m, now-3600, now, 60)
	if n, there, err := m.Save(value, nil); n != 61 || there != 0 || err != nil || writes != 0 {
		t.Errorf("without writing: %d %d %v", n, there, err)
	}
	if n, there, err := m.Save(value, put); n != 61 || there != 0 || err != nil {
		t.Errorf("%d %d %v", n, there, err)
	}
	m = NewMerge(time.Unix(now, 0))
	add(m, now-3600, now, 30)
	if n, there, err := m.Save(value, put); n != 60 || there != 61 || err != nil {
		t.Errorf("%d %d %v", n, there, err)
	}
	before := writes
	if n, there, err := m.Save(value, put); n != 0 || there != 121 || err != nil || writes != before {
		t.Errorf("again: %d %d %v", n, there, err)
	}
	for line, want := range map[string]error{
		``: ErrNoRow, `{}`: ErrNoRow, `7`: ErrNoRow, `{"ts":"1"}`: ErrNoRow, `{"ts":1.5}`: ErrNoRow, `{"ts":1}`: ErrOldRow,
		fmt.Sprintf(`{"ts":%d}`, now+1): ErrFuture, fmt.Sprintf(`{"ts":%d,"slots_active":-1}`, now): ErrNoRow,
		"{\"ts\":1800000000,\"x\":\"\xff\"}": ErrNoRow, strings.Repeat("[", 20000): ErrNoRow,
	} {
		if err := m.Add([]byte(line)); !errors.Is(err, want) {
			t.Errorf("%.40q: %v, want %v", line, err, want)
		}
	}
	// A relay reads it as its own.
	h := openHistory(listed{values: store}, historyPrefix, func() error { return nil }, slog.New(slog.DiscardHandler))
	if got := (*h.timeline.Load()).len(); got != 121 || h.skipped.Load() != 0 {
		t.Errorf("the history has %d rows, %d records can't be read", got, h.skipped.Load())
	}
}

// listed is records that can only be listed.
type listed struct {
	cow.Records
	values map[string][]byte
}

func (l listed) List(_ string, yield func(string, []byte, uint64) error) error {
	for _, key := range slices.Sorted(maps.Keys(l.values)) {
		if err := yield(key, l.values[key], 1); err != nil {
			return err
		}
	}
	return nil
}
