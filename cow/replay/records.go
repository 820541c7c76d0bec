package replay

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"cowrelay/cow"
)

// recordOp is a put or a delete that waits for a cycle. The caller owns it before it
// is queued and after done; in between the cycle does.
type recordOp struct {
	key      string
	value    []byte
	expected uint64
	remove   bool
	count    cow.Totals

	version uint64
	err     error
	done    chan struct{} // gets one value when version and err are set
}

func newRecordOp() any { return &recordOp{done: make(chan struct{}, 1)} }

func (op *recordOp) answer(version uint64, err error) {
	op.version, op.err = version, err
	op.done <- struct{}{}
}

// Put implements cow.Records.
func (j *Journal) Put(key string, value []byte, expected uint64, count cow.Totals) (uint64, error) {
	if err := checkRecord(key, value); err != nil {
		return 0, err
	}
	return j.swap(key, value, expected, false, count)
}

// checkRecord finds a record that no entry has room for.
func checkRecord(key string, value []byte) error {
	if n := recordSize(key, value); n > MaxEntry-spare {
		return fmt.Errorf("cannot store a record of %q: %d bytes, an entry has at most %d", kindOf(key), n, MaxEntry)
	}
	return nil
}

// Delete implements cow.Records.
func (j *Journal) Delete(key string, expected uint64) error {
	_, err := j.swap(key, nil, expected, true, cow.Totals{})
	return err
}

// swap queues an op and waits until a cycle has answered it. Whoever finds the queue
// empty leads: it takes the turn and runs a cycle for all that wait by then. So in a
// queue that is not empty the first one waits for the turn, or a Commit will take
// the whole queue along.
func (j *Journal) swap(key string, value []byte, expected uint64, remove bool, count cow.Totals) (uint64, error) {
	op := j.ops.Get().(*recordOp)
	op.key, op.value, op.expected, op.remove, op.count = key, value, expected, remove, count
	j.queueMu.Lock()
	j.queue = append(j.queue, op)
	leads := len(j.queue) == 1
	j.queueMu.Unlock()
	if leads {
		j.lead(op)
	} else {
		<-op.done
	}
	version, err := op.version, op.err
	*op = recordOp{done: op.done}
	j.ops.Put(op)
	return version, err
}

// lead returns when the op that made the queue is answered.
func (j *Journal) lead(op *recordOp) {
	select {
	case <-op.done: // a Commit or another leader took it along
		return
	case j.turn <- struct{}{}:
	}
	// A Commit that waits takes the queue along as soon as it has the turn. So posts
	// don't wait for a cycle of records alone.
	if !j.committing.Load() {
		j.cycle(nil)
	}
	<-j.turn
	<-op.done
}

// takeQueue returns all that waits. room is an empty list that is used again.
func (m *machine) takeQueue(room []*recordOp) (taken []*recordOp) {
	m.queueMu.Lock()
	taken, m.queue = m.queue, room
	m.queueMu.Unlock()
	return taken
}

// conflicts says whether an op can't hold.
func (s *State) conflicts(op *recordOp) bool {
	return s.versions[recordIDOf(op.key)] != op.expected || op.remove && op.expected == 0
}

// Count implements cow.Records.
func (m *machine) Count(add cow.Totals) error {
	b := &m.backlog
	b.mu.Lock()
	defer b.mu.Unlock()
	b.counted, b.unsent = b.counted.Add(add), b.unsent.Add(add)
	return nil
}

// kindOf is what an error says of a record's key. What stands behind the slash may
// let in anybody who knows it, as the token of an invite does.
func kindOf(key string) string {
	kind, _, _ := strings.Cut(key, "/")
	return kind
}

// watchers are those that want to know of changed records.
type watchers struct {
	mu   sync.Mutex                 // held to change list
	list atomic.Pointer[[]*watcher] // copied for each change: update stores, tell loads
}

type watcher struct {
	prefix  string
	changed func(key string, value []byte, version uint64)
}

// Watch implements cow.Records. A cycle calls changed before the put or delete
// returns. The calls come in the order of the log. changed must be fast: commits
// wait for it. It must not write to the value, and must not put or delete. A call of
// changed that runs while stop is called may still finish.
func (m *machine) Watch(prefix string, changed func(key string, value []byte, version uint64)) (stop func()) {
	w := &watcher{prefix, changed}
	m.watchers.update(func(list []*watcher) []*watcher { return append(list, w) })
	return func() {
		m.watchers.update(func(list []*watcher) []*watcher {
			return slices.DeleteFunc(list, func(o *watcher) bool { return o == w })
		})
	}
}

func (ws *watchers) update(change func([]*watcher) []*watcher) {
	ws.mu.Lock()
	defer ws.mu.Unlock()
	var old []*watcher
	if p := ws.list.Load(); p != nil {
		old = *p
	}
	list := change(slices.Clone(old))
	ws.list.Store(&list)
}

func (ws *watchers) tell(r *Record) {
	p := ws.list.Load()
	if p == nil {
		return
	}
	for _, w := range *p {
		if strings.HasPrefix(r.Key, w.prefix) {
			w.changed(r.Key, slices.Clone(r.Value), r.Version)
		}
	}
}
