package replay

import (
	"fmt"
	"sync"
	"sync/atomic"

	"cowrelay/cow"
)

// machine is what every journal has: the state that the entries of its log make, what
// reads see of it, and the applier that brings it into the store. In the field's words
// it is a replicated state machine. It does not know how entries come into the log.
type machine struct {
	reads
	opts  Options
	limit int // how long an entry of more than one op may be, in bytes

	// Owned by the goroutine that applies entries: the holder of the turn on one
	// machine, the follower of a shared log.
	state *State

	queueMu sync.Mutex
	queue   []*recordOp // that wait for an entry; guarded by queueMu
	ops     sync.Pool   // of *recordOp

	watchers watchers

	// trimLog lets the log forget entries up to a number. nil: that is not for the
	// journal to say.
	trimLog func(seq uint64) error

	dead      atomic.Bool           // Fatal was called: set by die, read before anything is acknowledged
	lastError atomic.Pointer[error] // what die was called with
	stop      chan struct{}         // closed: the applier ends
	wg        sync.WaitGroup        // of the applier
	counters
}

// init makes a machine ready for readState.
func (m *machine) init(store Store, opts Options, limit int) {
	opts.ensureDefaults()
	m.store, m.opts, m.limit = store, opts, limit
	m.state, m.stop, m.ops.New = newState(), make(chan struct{}), newRecordOp
	m.state.newest = opts.Newest
	m.backlog.init(opts.Backlog, batchBytes)
}

// sent is an op of an entry: of a group or of a record.
type sent struct {
	group  *cow.Group
	record *recordOp
}

// answer tells who waits for an op what became of it.
func (s *sent) answer(res *result) {
	switch {
	case s.group != nil:
		s.group.Outcome, s.group.NewVersion, s.group.Err = res.outcome, res.version, res.err
	case res.outcome == cow.Stored:
		s.record.answer(res.version, nil)
	default:
		s.record.answer(0, cow.ErrConflict)
	}
}

// take applies an entry that the log gives. show must follow.
func (m *machine) take(seq uint64, entry []byte) (c *chunk, h header, counts bool, err error) {
	c = m.backlog.begin(len(entry))
	start := len(c.buf)
	c.buf = append(c.buf, entry...)
	h, counts, err = m.state.replay(seq, c.buf[start:], &c.fx)
	return c, h, counts, err
}

// show lets readers see what the newest entry did, and tells the watchers. counted is
// what the entry holds of Count. The groups are what it did to slots. They are valid
// until done.
func (m *machine) show(c *chunk, seq uint64, counted cow.Totals) (groups []Group, done func()) {
	groups, records, done := m.backlog.publish(c, seq, m.state.totals, counted)
	for i := range records {
		m.watchers.tell(&records[i])
	}
	return groups, done
}

// die ends the process, because what is durable can't be known any more. It never
// returns, not even if Options.Fatal does: then each caller that waits for the log
// or the store waits for ever, and nothing is acknowledged.
func (m *machine) die(err error) {
	if m.dead.CompareAndSwap(false, true) {
		m.lastError.Store(&err)
		go m.opts.Fatal(err)
	}
	select {}
}

// readState reads from the store what decides about entries.
func (m *machine) readState() error {
	v, err := m.store.View()
	if err != nil {
		return err
	}
	defer v.Close()
	s := m.state
	s.seq = v.Applied()
	if s.totals, err = v.Totals(); err != nil {
		return err
	}
	err = v.Slots(func(r cow.SlotRecord) error {
		if !Plausible(r) {
			return fmt.Errorf("%w: the store says that slot %s has %d bytes of events at positions %d to %d", ErrCorrupt, r.Slot, r.Bytes, r.First, r.Count)
		}
		s.heads[r.Slot] = counts{first: uint32(r.First), count: uint32(r.Count), bytes: uint32(r.Bytes)}
		return nil
	})
	if err != nil {
		return err
	}
	err = v.Versions(func(key []byte, version uint64) error {
		s.versions[recordIDOf(key)] = version
		return nil
	})
	if err != nil {
		return err
	}
	b := &m.backlog
	b.applied, b.last, b.totals = s.seq, s.seq, s.totals
	return nil
}

// member reads to which shared log the store belongs.
func (m *machine) member() (Member, error) {
	v, err := m.store.View()
	if err != nil {
		return Member{}, err
	}
	defer v.Close()
	return v.Member()
}
