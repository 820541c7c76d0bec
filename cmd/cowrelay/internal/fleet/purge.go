package fleet

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"time"

	"cowrelay/cow"
)

// marksKey is the record of when the log had which entry. The log itself does not
// tell. It is in the log, so that all relays know, and a restart loses nothing.
const marksKey = "fleet/marks"

// mark says that the log had an entry at a time.
type mark struct {
	At  int64  `json:"at"` // Unix seconds
	Seq uint64 `json:"seq"`
}

// marksOfKeep is how many marks there are for the time that entries are kept.
const marksOfKeep = 72

// purger is the relay that purges the log: of those that live, the one whose name
// comes first. Two that hold themselves for it do no harm: to purge twice is to purge
// once.
func (b *Book) purger(now time.Time) (name string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for n, m := range b.members {
		if b.live(m, now) && (name == "" || n < name) {
			name = n
		}
	}
	return name
}

// Before is how many relays that live have a name that comes before this one's. It is
// for work that one of them does and the next one takes over.
func (b *Book) Before() (n int) {
	now := time.Now()
	b.mu.Lock()
	defer b.mu.Unlock()
	for name, m := range b.members {
		if name < b.opts.Name && b.live(m, now) {
			n++
		}
	}
	return n
}

// held is up to which entry at least two relays that live keep everything over a
// crash. With fewer than two it is 0: then the log is the second copy.
func (b *Book) held(now time.Time) uint64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	var list []uint64
	for _, m := range b.members {
		if b.live(m, now) {
			list = append(list, m.Durable)
		}
	}
	if len(list) < 2 {
		return 0
	}
	slices.Sort(list)
	return list[len(list)-2]
}

// purge drops what two relays hold, and is older than Options.Keep, if this relay is
// the one to do it.
func (b *Book) purge(ctx context.Context) {
	now := time.Now()
	if b.purger(now) != b.opts.Name || b.opts.Journal.Health().Away > 0 {
		return
	}
	old, err := b.old(now)
	if err != nil {
		b.opts.Logger.Debug("how old the log is could not be noted", "error", err)
		return
	}
	to := min(old, b.held(now))
	if to <= b.purged.Load() {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, b.opts.Every)
	defer cancel()
	if err := b.opts.Log.Purge(ctx, to); err != nil {
		b.opts.Logger.Warn("the log could not be purged: the next try comes soon", "to", to, "error", err)
		return
	}
	b.purged.Store(to)
	b.opts.Logger.Info("the log was purged of what two relays hold", "to", to, "older_than", b.opts.Keep.String())
}

// old is the newest entry that is known to be older than Options.Keep, 0 if none is.
// It notes where the log is now, when that is due.
func (b *Book) old(now time.Time) (seq uint64, err error) {
	var marks []mark
	text, version, err := b.opts.Journal.Value(marksKey)
	switch {
	case errors.Is(err, cow.ErrNoRecord):
	case err != nil:
		return 0, err
	default:
		if err := json.Unmarshal(text, &marks); err != nil {
			marks = nil // written by a program that knows better: begin anew
		}
	}
	before := now.Add(-b.opts.Keep).Unix()
	last := 0
	for i, m := range marks {
		if m.At <= before {
			seq, last = m.Seq, i
		}
	}
	if n := len(marks); n > 0 && now.Sub(time.Unix(marks[n-1].At, 0)) < b.markEvery() {
		return seq, nil
	}
	marks = append(marks[last:], mark{now.Unix(), b.opts.Journal.Health().Applied})
	marks = marks[max(len(marks)-2*marksOfKeep, 0):]
	if text, err = json.Marshal(marks); err != nil {
		return 0, err
	}
	if _, err = b.opts.Journal.Put(marksKey, text, version, cow.Totals{}); errors.Is(err, cow.ErrConflict) {
		err = nil // another relay noted it
	}
	return seq, err
}
