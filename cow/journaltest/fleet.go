package journaltest

import (
	"bytes"
	"context"
	"slices"
	"sync"
	"time"

	"cowrelay/cow"
)

// Fleet is a log in memory that the journals of several relays share. NewFleet makes
// it, Join makes a journal. All methods may be called concurrently.
//
// Each journal holds a replica of everything and applies the log in its order, so all
// decide alike. A test may hold a journal back, or cut it off.
type Fleet struct {
	mu   sync.Mutex
	cond sync.Cond // on mu: something has changed
	log  []*fleetEntry
	// delay is how long an entry takes from the log to the relays.
	delay time.Duration
}

// fleetEntry is one entry of the log: the groups of a commit, a record's change, or
// nothing. It never changes but for its results.
type fleetEntry struct {
	by     *Member
	due    time.Time // when relays hear of it
	groups []cow.Group
	record *fleetRecord

	// Of the one who sent it; guarded by Fleet.mu, and final when done.
	done    bool
	results []cow.Group
	version uint64
	err     error
}

type fleetRecord struct {
	key      string
	value    []byte
	expected uint64
	remove   bool
	count    cow.Totals
}

// Member is the journal of one relay: cow.Journal, cow.Records and cow.Shared. Of the
// methods of Memory those that fail or hold its own commits mean nothing here.
type Member struct {
	*Memory
	fleet    *Fleet
	patience time.Duration
	done     sync.WaitGroup

	// Guarded by Fleet.mu.
	applied   int
	held      int
	unsent    int       // holds of HoldSends
	awaySince time.Time // zero: the log can be reached
	closed    bool
	sent      int // entries that this journal has sent
}

var (
	_ cow.Journal = (*Member)(nil)
	_ cow.Records = (*Member)(nil)
	_ cow.Shared  = (*Member)(nil)
)

// NewFleet returns an empty log.
func NewFleet() *Fleet {
	f := new(Fleet)
	f.cond.L = &f.mu
	return f
}

// Join returns the journal of another relay, which begins at the oldest entry. Its
// Put gives up after the patience.
func (f *Fleet) Join(patience time.Duration) *Member {
	m := &Member{Memory: NewMemory(), fleet: f, patience: patience}
	m.done.Go(m.follow)
	return m
}

// SetDelay has entries take so long from the log to the relays.
func (f *Fleet) SetDelay(d time.Duration) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.delay = d
}

// Len returns how many entries the log has.
func (f *Fleet) Len() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.log)
}

// follow applies the log until Close.
func (m *Member) follow() {
	f := m.fleet
	f.mu.Lock()
	defer f.mu.Unlock()
	for {
		for !m.closed && (m.applied == len(f.log) || m.held > 0 || !m.awaySince.IsZero()) {
			f.cond.Wait()
		}
		if m.closed {
			return
		}
		e := f.log[m.applied]
		f.mu.Unlock()
		time.Sleep(time.Until(e.due))
		groups := slices.Clone(e.groups)
		m.apply(groups, e.by == m)
		var version uint64
		var err error
		if r := e.record; r != nil {
			if r.remove {
				err = m.Memory.Delete(r.key, r.expected)
			} else {
				version, err = m.Memory.Put(r.key, r.value, r.expected, r.count)
			}
		}
		f.mu.Lock()
		m.applied++
		if e.by == m {
			e.done, e.results, e.version, e.err = true, groups, version, err
		}
		f.cond.Broadcast()
	}
}

// apply decides groups as the log has them.
func (m *Member) apply(groups []cow.Group, own bool) {
	m.Memory.mu.Lock()
	defer m.Memory.mu.Unlock()
	for i := range groups {
		g := &groups[i]
		g.Outcome, g.NewVersion, g.Err = cow.Conflict, 0, nil
		if version, ok := m.actLocked(g, own); ok {
			g.Outcome, g.NewVersion = cow.Stored, version
		}
	}
}

// send puts an entry into the log, when that can be reached. False: the journal was
// closed, or ctx ended.
func (m *Member) send(ctx context.Context, e *fleetEntry) bool {
	f := m.fleet
	defer context.AfterFunc(ctx, f.wake)()
	f.mu.Lock()
	defer f.mu.Unlock()
	for !m.closed && ctx.Err() == nil && (m.unsent > 0 || !m.awaySince.IsZero()) {
		f.cond.Wait()
	}
	if m.closed || ctx.Err() != nil {
		return false
	}
	m.sent++
	e.due = time.Now().Add(f.delay)
	f.log = append(f.log, e)
	f.cond.Broadcast()
	return true
}

// wait waits until an entry is applied here.
func (m *Member) wait(ctx context.Context, e *fleetEntry) bool {
	f := m.fleet
	defer context.AfterFunc(ctx, f.wake)()
	f.mu.Lock()
	defer f.mu.Unlock()
	for !e.done && !m.closed && ctx.Err() == nil {
		f.cond.Wait()
	}
	return e.done
}

func (f *Fleet) wake() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.cond.Broadcast()
}

// Commit implements cow.Journal.
func (m *Member) Commit(groups []cow.Group) {
	copied := slices.Clone(groups)
	for i := range copied {
		copied[i].Events = copyAppend(cow.Append{Events: copied[i].Events}).Events
	}
	e := &fleetEntry{by: m, groups: copied}
	ctx := context.Background()
	if !m.send(ctx, e) || !m.wait(ctx, e) {
		for i := range groups {
			groups[i].Outcome = cow.Unknown
		}
		return
	}
	for i := range groups {
		g, to := &e.results[i], &groups[i]
		to.Outcome, to.NewVersion, to.Err = g.Outcome, g.NewVersion, g.Err
	}
}

// Put implements cow.Records.
func (m *Member) Put(key string, value []byte, expected uint64, count cow.Totals) (uint64, error) {
	return m.swap(&fleetRecord{key: key, value: append([]byte{}, value...), expected: expected, count: count})
}

// Delete implements cow.Records.
func (m *Member) Delete(key string, expected uint64) error {
	_, err := m.swap(&fleetRecord{key: key, expected: expected, remove: true})
	return err
}

func (m *Member) swap(r *fleetRecord) (uint64, error) {
	ctx, cancel := context.WithTimeout(context.Background(), m.patience)
	defer cancel()
	e := &fleetEntry{by: m, record: r}
	if !m.send(ctx, e) || !m.wait(ctx, e) {
		return 0, cow.ErrAway
	}
	m.fleet.mu.Lock()
	defer m.fleet.mu.Unlock()
	return e.version, e.err
}

// Barrier implements cow.Shared.
func (m *Member) Barrier(ctx context.Context) error {
	e := &fleetEntry{by: m}
	if !m.send(ctx, e) || !m.wait(ctx, e) || !m.waitFeed(ctx) {
		if err := ctx.Err(); err != nil {
			return err
		}
		return cow.ErrAway
	}
	return nil
}

// Health implements cow.Shared.
func (m *Member) Health() cow.Health {
	f := m.fleet
	f.mu.Lock()
	defer f.mu.Unlock()
	h := cow.Health{Applied: uint64(m.applied), Head: uint64(len(f.log))}
	if !m.awaySince.IsZero() {
		h.Away = max(1, time.Since(m.awaySince))
	}
	return h
}

// Fleet returns the log.
func (m *Member) Fleet() *Fleet { return m.fleet }

// Sent returns how many entries this journal has sent.
func (m *Member) Sent() int {
	m.fleet.mu.Lock()
	defer m.fleet.mu.Unlock()
	return m.sent
}

// HoldBack has the journal apply nothing until release is called.
func (m *Member) HoldBack() (release func()) { return m.hold(&m.held) }

// HoldSends has nothing that this journal sends come into the log until release is
// called. It goes on to apply what others send.
func (m *Member) HoldSends() (release func()) { return m.hold(&m.unsent) }

func (m *Member) hold(count *int) (release func()) {
	m.fleet.mu.Lock()
	defer m.fleet.mu.Unlock()
	*count++
	return sync.OnceFunc(func() {
		m.fleet.mu.Lock()
		defer m.fleet.mu.Unlock()
		*count--
		m.fleet.cond.Broadcast()
	})
}

// CutOff has the journal reach the log no more, for so long already, until back is
// called.
func (m *Member) CutOff(since time.Duration) (back func()) {
	m.fleet.mu.Lock()
	defer m.fleet.mu.Unlock()
	m.awaySince = time.Now().Add(-since)
	return sync.OnceFunc(func() {
		m.fleet.mu.Lock()
		defer m.fleet.mu.Unlock()
		m.awaySince = time.Time{}
		m.fleet.cond.Broadcast()
	})
}

// WaitApplied returns when the journal has applied all that the log has.
func (m *Member) WaitApplied() {
	f := m.fleet
	f.mu.Lock()
	defer f.mu.Unlock()
	for end := len(f.log); m.applied < end && !m.closed; {
		f.cond.Wait()
	}
}

// Close implements cow.Journal. A Commit that waits is answered Unknown.
func (m *Member) Close() error {
	m.fleet.mu.Lock()
	m.closed = true
	m.fleet.cond.Broadcast()
	m.fleet.mu.Unlock()
	m.done.Wait()
	return m.Memory.Close()
}

// Same says whether two journals that have applied the same entries hold the same.
func (m *Member) Same(o *Member) bool {
	m.Memory.mu.Lock()
	defer m.Memory.mu.Unlock()
	o.Memory.mu.Lock()
	defer o.Memory.mu.Unlock()
	if len(m.slots) != len(o.slots) || m.sequence != o.sequence || m.totals != o.totals {
		return false
	}
	for id, s := range m.slots {
		other := o.slots[id]
		if other == nil || s.version != other.version || s.count != other.count || len(s.appends) != len(other.appends) {
			return false
		}
		for i, a := range s.appends {
			for j, e := range a.Events {
				if !bytes.Equal(e.JSON, other.appends[i].Events[j].JSON) {
					return false
				}
			}
		}
	}
	m.memRecords.mu.Lock()
	defer m.memRecords.mu.Unlock()
	o.memRecords.mu.Lock()
	defer o.memRecords.mu.Unlock()
	if len(m.records) != len(o.records) || m.counted != o.counted {
		return false
	}
	for key, r := range m.records {
		if other, ok := o.records[key]; !ok || other.version != r.version || !bytes.Equal(other.value, r.value) {
			return false
		}
	}
	return true
}
