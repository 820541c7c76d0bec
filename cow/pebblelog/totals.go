package pebblelog

import (
	"encoding/binary"
	"sync"
	"sync/atomic"

	"github.com/cockroachdb/pebble/v2"

	"cowrelay/cow"
)

// counted are the totals that Put and Count add to. They stand under a key of their
// own, so that Commit, which every poster waits for, shares no lock with them.
//
// Each batch that counts holds the sums, not the difference. So the batches must
// stand in the log in the order of their sums: order is held from the sum to the
// log. It is not held during the sync, so many batches share one.
type counted struct {
	order sync.Mutex // held by whoever writes sums

	mu      sync.Mutex
	handed  cow.Totals // the sums with what was given to Put or Count so far; guarded by mu
	durable cow.Totals // what Totals shows; guarded by mu

	// unwritten: Count has added what no batch holds yet. Count sets it after
	// handed. A writer clears it before it reads handed.
	unwritten atomic.Bool
}

// Count implements cow.Records.
func (l *Log) Count(add cow.Totals) error {
	c := &l.counted
	c.mu.Lock()
	c.handed, c.durable = c.handed.Add(add), c.durable.Add(add)
	c.mu.Unlock()
	c.unwritten.Store(true)
	return nil
}

// applyCounted is apply for a batch that adds to the totals.
func (l *Log) applyCounted(b *pebble.Batch, add cow.Totals) {
	c := &l.counted
	c.order.Lock()
	c.unwritten.Store(false)
	c.mu.Lock()
	c.handed = c.handed.Add(add)
	sums := c.handed
	c.mu.Unlock()
	must(b.Set(metaCounted, appendTotals(nil, sums), nil))
	start := l.begin(b)
	c.order.Unlock()
	l.finish(b, start)
	c.mu.Lock()
	c.durable = c.durable.Add(add)
	c.mu.Unlock()
}

// writeCounted writes what Count has added and no batch holds.
func (l *Log) writeCounted() {
	if !l.counted.unwritten.Load() {
		return
	}
	b := l.db.NewBatch()
	defer b.Close()
	l.applyCounted(b, cow.Totals{})
}

func appendTotals(v []byte, t cow.Totals) []byte {
	v = appendPair(v, t.SlotAllocations, t.EventsPosted)
	v = appendPair(v, t.HandleClaims, t.HandleFirstClaims)
	return binary.AppendUvarint(v, t.PairOpens)
}

// decodeTotals reads the value of metaCounted.
func decodeTotals(v []byte) (t cow.Totals, err error) {
	for _, to := range []*uint64{&t.SlotAllocations, &t.EventsPosted, &t.HandleClaims, &t.HandleFirstClaims, &t.PairOpens} {
		x, n := binary.Uvarint(v)
		if n <= 0 {
			return cow.Totals{}, errDecode
		}
		*to, v = x, v[n:]
	}
	if len(v) != 0 {
		return cow.Totals{}, errDecode
	}
	return t, nil
}
