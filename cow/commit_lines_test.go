package cow_test

import (
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"

	"cowrelay/cow"
)

// postLines posts events as lines.
func (f *fixture) postLines(slot *cow.Slot, events ...string) (stored, duplicates int, next uint64, err error) {
	p := f.NewPost()
	defer p.Release()
	if err := p.AcceptLines([]byte(strings.Join(events, "\n"))); err != nil {
		return 0, 0, 0, err
	}
	return p.CommitLines(slot)
}

func (f *fixture) mustLines(slot *cow.Slot, stored, duplicates int, next uint64, events ...string) {
	f.Helper()
	s, d, n, err := f.postLines(slot, events...)
	if err != nil || s != stored || d != duplicates || n != next {
		f.Fatalf("a post of %d events: %d stored, %d duplicates, next %d, error %v; want %d, %d, %d", len(events), s, d, n, err, stored, duplicates, next)
	}
}

// I5: ids that stand in several chunks that are not in memory, also when memory is so
// short that a chunk leaves again while the next one is loaded. Each chunk is loaded
// once.
func TestLines_I5_DuplicatesInManyEvictedChunks(t *testing.T) {
	f := open(t, cow.Options{})
	slot := f.slot()
	const n = 2000
	f.fill(slot, 0, n)
	f.EvictChunks(slot)
	before := f.Stats().ChunkLoads.Load()
	f.m.OnLoad(func(cow.ID, uint64) error {
		f.EvictChunks(slot) // those before this one leave again
		return nil
	})
	lines := []string{ev("new 1")}
	for pos := uint64(0); pos < n; pos += 97 {
		lines = append(lines, payload(slot.ID(), pos))
	}
	lines = append(lines, ev("new 2"), lines[3])
	f.mustLines(slot, 2, len(lines)-2, n+2, lines...)
	if loads := f.Stats().ChunkLoads.Load() - before; loads < 3 || loads > 10 {
		t.Errorf("%d chunks were loaded; the slot has some 5", loads)
	}
	f.m.OnLoad(nil)
	f.Cool(slot)
	f.mustLines(slot, 0, len(lines), n+2, lines...)
	f = f.restart()
	slot = f.Slot(slot.ID())
	f.mustLines(slot, 1, len(lines), n+3, append(lines, ev("new 3"))...)
}

// Of many posters of the same ids in posts of many and of one, one stores each. What a
// post stores stands side by side in front of the position that it is told, and a stream
// shows it in that order.
func TestLines_I5_OneOfManyPostersStores(t *testing.T) {
	f := open(t, cow.Options{})
	slot := f.slot()
	const ids, rounds = 60, 40
	type told struct {
		first, next uint64
		ids         []string // that the post had
	}
	var stored, own atomic.Int64
	answers := make(chan told, 4*rounds)
	var tasks []func()
	for w := range 4 {
		tasks = append(tasks, func() {
			for r := range rounds {
				var events []string
				for i := range 9 {
					events = append(events, ev(fmt.Sprintf("shared %d", (r*7+i*w)%ids)), ev(fmt.Sprintf("own %d %d %d", w, r, i)))
				}
				s, d, next, err := f.postLines(slot, events...)
				if err != nil || s+d != 18 || s < 9 {
					t.Errorf("%d stored, %d duplicates, error %v", s, d, err)
					return
				}
				stored.Add(int64(s))
				own.Add(9)
				answers <- told{next - uint64(s), next, events}
			}
		}, func() {
			for r := range rounds {
				dup, err := f.post(slot, ev(fmt.Sprintf("shared %d", (r*5+w)%ids)))
				if err != nil {
					t.Error(err)
				} else if !dup {
					stored.Add(1)
				}
			}
		})
	}
	all(tasks...)
	close(answers)
	if n := int64(slot.Count()); n != stored.Load() || n > own.Load()+ids {
		t.Fatalf("I5: the slot has %d events, %d were told stored, there are %d ids", n, stored.Load(), own.Load()+ids)
	}
	text := f.page(slot, "", 1<<20)
	events := strings.Split(strings.Trim(text, "[]"), ",")
	seen := make(map[string]bool)
	for _, e := range events {
		if seen[e] {
			t.Fatalf("I5: %s is there twice", e)
		}
		seen[e] = true
	}
	for k := range answers {
		rest := k.ids
		for _, e := range events[k.first:k.next] {
			for len(rest) > 0 && rest[0] != e {
				rest = rest[1:]
			}
			if len(rest) == 0 {
				t.Fatalf("[%d, %d) of the slot is %q, which are not events of %q in their order", k.first, k.next, events[k.first:k.next], k.ids)
			}
		}
	}
}

// A reader sees all of a post or nothing of it, while it is posted and after a restart.
func TestLines_I4_AllOrNothing(t *testing.T) {
	f := open(t, cow.Options{})
	slot := f.slot()
	entered, release := f.m.Hold()
	defer release()
	done := make(chan error, 1)
	go func() {
		_, _, _, err := f.postLines(slot, ev("a"), ev("b"), ev("c"))
		done <- err
	}()
	<-entered
	if got := f.page(slot, "", 10); got != "[]" {
		t.Fatalf("I4: before it is durable, a reader gets %s", got)
	}
	release()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	f.holds(slot, ev("a"), ev("b"), ev("c"))
	if _, _, _, err := f.postLines(slot, ev("d"), "{", ev("e")); err == nil || !strings.Contains(err.Error(), "(line=2, ") {
		t.Fatalf("a broken line: %v", err)
	}
	f.holds(slot, ev("a"), ev("b"), ev("c"))
	if err := f.Remove(slot); err != nil {
		t.Fatal(err)
	}
	if _, _, _, err := f.postLines(slot, ev("d")); !errors.Is(err, cow.ErrNoSlot) {
		t.Fatalf("a post to a slot that is gone: %v", err)
	}
}
