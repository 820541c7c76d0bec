package pebblelog

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"runtime/debug"
	"slices"
	"time"

	"github.com/cockroachdb/pebble/v2"

	"cowrelay/cow"
)

// pointDeletes is how many events of a slot are deleted one by one. Most slots that
// are removed are small. Point deletes vanish in ordinary compactions, while range
// deletes slow reads down (see flush.go).
const pointDeletes = 64

// Commit implements cow.Journal: one batch and, in mode Always, one sync for
// all groups. Each group becomes one of these:
//
//   - Stored.
//   - Conflict: the slot has another version, does not exist or, for OpCreate,
//     exists.
//   - Refused: the group contradicts itself, which is a programming error.
//
// It never becomes Unknown: when the write or the sync fails, Options.Fatal is
// called and Commit does not return.
//
// Commit never reads the store, since every poster waits for it.
//
// The version of a slot is its count of events. A touch ignores the version: the
// time of a pull is true whatever was appended since.
func (l *Log) Commit(groups []cow.Group) {
	if len(groups) == 0 {
		return
	}
	b := l.batch
	b.Reset()
	totals := l.committedTotals()
	before := totals
	var rangeDeletes uint64
	l.sortBySlot(groups)
	for _, i := range l.order {
		g := &groups[i]
		g.Outcome, g.NewVersion, g.Err = cow.Unknown, 0, nil
		h := l.heads.lookup(g.Slot)
		was := h
		switch g.Op {
		case cow.OpAppend:
			if err := checkAppend(g, h); err != nil {
				g.Outcome, g.Err = cow.Refused, err
				continue
			}
			if !h.exists || g.Version != h.count {
				g.Outcome = cow.Conflict
				continue
			}
			addEvents(b, g)
			h.count, h.bytes = g.Count, g.Bytes
			totals.EventsPosted += uint64(len(g.Events))
		case cow.OpCreate:
			if h.exists {
				g.Outcome = cow.Conflict
				continue
			}
			op := b.SetDeferred(slotKeyLen, len(g.Token))
			putSlotKey(op.Key, g.Slot, partToken)
			copy(op.Value, g.Token[:])
			op.Finish()
			addCounts(b, g.Slot, 0, 0)
			h = head{exists: true}
			totals.SlotAllocations++
		case cow.OpRemove:
			if !h.exists || g.Version != h.count {
				g.Outcome = cow.Conflict
				continue
			}
			if l.addRemove(b, g.Slot, h.count) {
				rangeDeletes++
			}
			h = head{}
		case cow.OpTouch:
			if !h.exists {
				g.Outcome = cow.Conflict
				continue
			}
			var v [2 * binary.MaxVarintLen64]byte
			k := slotKey(g.Slot, partPulled)
			must(b.Set(k[:], appendPulled(v[:0], g.PulledAt, g.StreamedAt), nil))
		default:
			g.Outcome, g.Err = cow.Refused, fmt.Errorf("BUG: unknown operation %d", g.Op)
			continue
		}
		// The group is in the batch now. It becomes Stored, or the process ends.
		g.NewVersion = h.count
		l.heads.set(g.Slot, h)
		l.before = append(l.before, pending{slot: g.Slot, exists: was.exists, count: was.count})
	}
	if b.Empty() {
		return
	}
	l.markPending()
	for _, i := range l.order {
		if g := &groups[i]; g.Op == cow.OpAppend && g.Outcome == cow.Unknown {
			if h := l.heads.lookup(g.Slot); h.exists {
				addCounts(b, g.Slot, h.count, h.bytes)
			}
		}
	}
	if totals != before {
		var v [2 * binary.MaxVarintLen64]byte
		must(b.Set(metaTotals, appendPair(v[:0], totals.SlotAllocations, totals.EventsPosted), nil))
	}
	if l.counted.unwritten.Load() {
		l.applyCounted(b, cow.Totals{})
	} else {
		l.apply(b)
	}
	l.totalsMu.Lock()
	l.totals = totals
	l.totalsMu.Unlock()
	l.mu.Lock()
	clear(l.pending)
	l.mu.Unlock()
	for i := range groups {
		if groups[i].Outcome == cow.Unknown {
			groups[i].Outcome = cow.Stored
		}
	}
	l.flusher.add(rangeDeletes)
}

// checkAppend finds a group that contradicts itself, or a head that does not belong
// to its version. No other writer can have caused that.
func checkAppend(g *cow.Group, h head) error {
	var bytes uint64
	for i := range g.Events {
		bytes += uint64(len(g.Events[i].JSON))
	}
	n := uint64(len(g.Events))
	switch {
	case n == 0:
		return errors.New("BUG: append without events")
	case g.First != g.Version:
		return fmt.Errorf("BUG: append at position %d was decided on version %d", g.First, g.Version)
	case g.Count != g.First+n:
		return fmt.Errorf("BUG: append of %d events at position %d says that the slot then has %d", n, g.First, g.Count)
	case h.exists && g.Version == h.count && g.Bytes != h.bytes+bytes:
		return fmt.Errorf("BUG: append of %d bytes behind %d says that the slot then has %d", bytes, h.bytes, g.Bytes)
	}
	return nil
}

// sortBySlot puts the groups in the order of their keys. Groups of one slot keep
// their order. A memtable is a skip list that looks for the place of a key from the
// place of the last one. That is near if all events of the batch come in order, and
// all counts behind them.
func (l *Log) sortBySlot(groups []cow.Group) {
	l.order = l.order[:0]
	for i := range groups {
		l.order = append(l.order, i)
	}
	slices.SortFunc(l.order, func(i, j int) int {
		return cmp.Or(bytes.Compare(groups[i].Slot[:], groups[j].Slot[:]), i-j)
	})
}

func addEvents(b *pebble.Batch, g *cow.Group) {
	for i := range g.Events {
		e := &g.Events[i]
		op := b.SetDeferred(eventKeyLen, uvarintLen(uint64(e.IDOff))+len(e.JSON))
		putEventKey(op.Key, g.Slot, g.First+uint64(i))
		appendEvent(op.Value[:0], *e)
		must(op.Finish())
	}
}

func addCounts(b *pebble.Batch, slot cow.ID, count, bytes uint64) {
	op := b.SetDeferred(slotKeyLen, uvarintLen(count)+uvarintLen(bytes))
	putSlotKey(op.Key, slot, partCounts)
	appendPair(op.Value[:0], count, bytes)
	must(op.Finish())
}

// addRemove deletes a slot. It reports whether that took a range delete.
func (l *Log) addRemove(b *pebble.Batch, slot cow.ID, count uint64) bool {
	for _, part := range [...]byte{partCounts, partPulled, partToken} {
		k := slotKey(slot, part)
		must(b.Delete(k[:], nil))
	}
	if count <= pointDeletes {
		for pos := range count {
			k := eventKey(slot, pos)
			must(b.Delete(k[:], nil))
		}
		return false
	}
	start, end := eventKey(slot, 0), eventsEnd(slot)
	must(b.DeleteRange(start[:], end[:], nil))
	return true
}

// markPending notes for loads how the slots of the batch were before it.
func (l *Log) markPending() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, p := range l.before {
		if _, ok := l.pending[p.slot]; !ok {
			l.pending[p.slot] = p
		}
	}
	l.before = l.before[:0]
}

// apply writes a batch to the log, and returns when it is as durable as the sync
// mode wants.
func (l *Log) apply(b *pebble.Batch) { l.finish(b, l.begin(b)) }

// begin gives a batch to the log, and returns when that was. finish must follow.
// Batches stand in the log in the order in which begin took them, and a crash keeps
// none without those before it.
func (l *Log) begin(b *pebble.Batch) (start time.Time) {
	start = time.Now()
	if l.opts.Sync == Always {
		l.hand(b, pebble.Sync)
	} else {
		l.hand(b, pebble.NoSync)
		l.dirty.Store(true)
	}
	return start
}

// finish returns when a batch that begin took is as durable as the sync mode wants.
func (l *Log) finish(b *pebble.Batch, start time.Time) {
	size := b.Len()
	if l.opts.Sync == Always {
		l.await(b)
	}
	if l.opts.Observe != nil {
		l.opts.Observe(time.Since(start), size)
	}
}

// write returns when the batch is written and, with Sync, synced.
func (l *Log) write(b *pebble.Batch, opts *pebble.WriteOptions) {
	l.hand(b, opts)
	if opts.Sync {
		l.await(b)
	}
}

// hand gives a batch to Pebble. With Sync, await must follow.
//
// A failed operation on the log file ends the process at once (see walFS). An error
// that Pebble finds comes back here. That is why hand does not call Apply with
// Sync: ApplyNoSyncWait and SyncWait wait as long, but return the error that Apply
// gives to Logger.Fatalf alone.
func (l *Log) hand(b *pebble.Batch, opts *pebble.WriteOptions) {
	if l.dead.Load() {
		select {}
	}
	defer l.noPanic()
	var err error
	if opts.Sync {
		err = l.db.ApplyNoSyncWait(b, opts)
	} else {
		err = l.db.Apply(b, opts)
	}
	if err != nil {
		l.die(fmt.Errorf("writing to the log failed: %w", err))
	}
}

// await returns when a batch that hand gave to Pebble is synced.
func (l *Log) await(b *pebble.Batch) {
	defer l.noPanic()
	if err := b.SyncWait(); err != nil {
		l.die(fmt.Errorf("syncing the log failed: %w", err))
	}
	l.syncs.Add(1)
}

// noPanic ends the process when Pebble panics. It must be deferred.
func (l *Log) noPanic() {
	if p := recover(); p != nil {
		if err, ok := p.(error); ok {
			l.die(fmt.Errorf("writing to the log panicked: %w", err))
		}
		l.die(fmt.Errorf("writing to the log panicked: %v\n%s", p, debug.Stack()))
	}
}

// must checks an error of building a batch. Only an indexed batch returns one.
func must(err error) {
	if err != nil {
		panic("BUG: " + err.Error())
	}
}
