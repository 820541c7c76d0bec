package replay

import (
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"cowrelay/cow"
)

// Journal is a journal and a set of records made of a log and a store. Open makes
// it. It must not be copied. Methods may be called concurrently, with two
// exceptions: one Commit runs at a time, and Close runs beside no other call.
//
// Every write is made by a cycle: one entry, for all that waits. One cycle runs at a
// time. It holds the turn.
type Journal struct {
	reads
	log  Log
	opts Options

	turn chan struct{} // a cycle runs while it holds one
	// committing: a Commit waits for the turn and will take all of the queue along.
	// Commit sets it before it waits and clears it when it has the turn. Who leads
	// the queue reads it with the turn in hand.
	committing atomic.Bool

	// Owned by the holder of the turn.
	state    *State
	producer uint64
	number   uint64 // of this producer's newest entry
	sent     []sent // the ops of the entry under way
	taken    []*recordOp

	queueMu sync.Mutex
	queue   []*recordOp // that wait for a cycle; guarded by queueMu

	watchers watchers

	dead      atomic.Bool           // Fatal was called: set by die, read before anything is acknowledged
	lastError atomic.Pointer[error] // what die was called with
	stop      chan struct{}
	wg        sync.WaitGroup
	counters
}

// sent is an op of an entry: of a group or of a record.
type sent struct {
	group  *cow.Group
	record *recordOp
}

var (
	_ cow.Journal = (*Journal)(nil)
	_ cow.Records = (*Journal)(nil)
)

// Options of Open. The zero value means the defaults.
type Options struct {
	// Logger gets what an operator should know. Default slog.Default().
	Logger *slog.Logger
	// Fatal is called once, on a goroutine of its own, when the log or the store
	// failed: what is durable is unknown then. It should end the process. From then
	// on every call that waits for either waits for ever, and nothing is
	// acknowledged. Default: log what failed and what to do, Exit(1).
	Fatal func(error)
	// Exit ends the process for the default Fatal. Default os.Exit.
	Exit func(code int)
	// Observe is called after each write to the log with the time it took and the
	// bytes of its entry. It must be fast and must not call the Journal. Default
	// none.
	Observe func(took time.Duration, bytes int)
	// Backlog bounds in bytes what may wait in memory for the store. Commits wait
	// beyond it. Default 64 MiB.
	Backlog int64
	// Progress is called now and then while Open replays the log: so many entries
	// of so many. Default none.
	Progress func(done, all uint64)
}

// Defaults of Options, and how entries become batches.
const (
	DefaultBacklog = 64 << 20
	batchBytes     = 1 << 20                // of the entries that a batch is made of
	batchDelay     = 500 * time.Millisecond // that an entry waits for others at most
)

func (o *Options) ensureDefaults() {
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	if o.Exit == nil {
		o.Exit = os.Exit
	}
	if o.Fatal == nil {
		o.Fatal = exit(o.Logger, o.Exit)
	}
	if o.Backlog <= 0 {
		o.Backlog = DefaultBacklog
	}
}

func newJournal(log Log, store Store, opts Options) *Journal {
	opts.ensureDefaults()
	j := &Journal{log: log, opts: opts, turn: make(chan struct{}, 1), state: newState(), stop: make(chan struct{})}
	j.store = store
	j.backlog.init(opts.Backlog, batchBytes)
	var random [8]byte
	rand.Read(random[:])
	j.producer = binary.BigEndian.Uint64(random[:])
	return j
}

// Commit implements cow.Journal: one entry, with all records that wait, and one
// write to the log. Each group becomes one of these:
//
//   - Stored.
//   - Conflict: the slot has another version, does not exist or, for OpCreate,
//     exists.
//   - Refused: the group contradicts itself, which is a programming error.
//
// It never becomes Unknown: when the log fails, Options.Fatal is called and Commit
// does not return. The version of a slot is its count of events.
//
// Commit never reads the store, since every poster waits for it. It waits for the
// store alone when the backlog is full.
func (j *Journal) Commit(groups []cow.Group) {
	if len(groups) == 0 {
		return
	}
	j.committing.Store(true)
	j.turn <- struct{}{}
	j.committing.Store(false)
	j.cycle(groups)
	<-j.turn
}

// cycle writes groups and the records that wait, and answers both. The caller holds
// the turn.
func (j *Journal) cycle(groups []cow.Group) {
	j.takeQueue()
	ops := j.taken
	for {
		size := entryHead + 1 + totalsSize + entryChecksum
		records := 0
		j.sent = j.sent[:0]
		for ; len(groups) > 0; groups = groups[1:] {
			g := &groups[0]
			g.Outcome, g.NewVersion, g.Err = cow.Unknown, 0, nil
			n, err := checkGroup(g)
			if err != nil {
				g.Outcome, g.Err = cow.Refused, err
				continue
			}
			if len(j.sent) > 0 && size+n > MaxEntry {
				break
			}
			size += n
			j.sent = append(j.sent, sent{group: g})
		}
		for ; len(ops) > 0; ops = ops[1:] {
			op := ops[0]
			if j.conflicts(op) {
				op.answer(0, cow.ErrConflict)
				continue
			}
			n := recordSize(op.key, op.value)
			if len(j.sent) > 0 && size+n > MaxEntry || records == maxRecords {
				break
			}
			size += n
			records++
			j.sent = append(j.sent, sent{record: op})
		}
		if len(j.sent) == 0 {
			break
		}
		j.write(size)
		clear(j.sent)
	}
	clear(j.taken)
	j.taken = j.taken[:0]
}

// checkGroup finds a group that contradicts itself. No other writer can have caused
// that. It returns how long the group's op is at most.
func checkGroup(g *cow.Group) (size int, err error) {
	switch n := uint64(len(g.Events)); {
	case g.Op < cow.OpAppend || g.Op > cow.OpTouch:
		return 0, fmt.Errorf("BUG: unknown operation %d", g.Op)
	case g.Op != cow.OpAppend:
	case n == 0:
		return 0, errors.New("BUG: append without events")
	case g.First != g.Version:
		return 0, fmt.Errorf("BUG: append at position %d was decided on version %d", g.First, g.Version)
	case g.Count != g.First+n:
		return 0, fmt.Errorf("BUG: append of %d events at position %d says that the slot then has %d", n, g.First, g.Count)
	}
	size = groupSize(g)
	if size > MaxEntry-1024 {
		return 0, fmt.Errorf("BUG: a group of %d bytes, an entry has at most %d", size, MaxEntry)
	}
	return size, nil
}

// write makes an entry of j.sent, which has at most size bytes. It writes the entry
// to the log, applies it, shows it and answers.
//
// The order of the steps keeps I3 and I4: nothing of an entry reaches the state, the
// backlog or a watcher before the log has it, and nothing is answered before readers
// can see it.
func (j *Journal) write(size int) {
	c, counted := j.backlog.begin(size)
	start := len(c.buf)
	j.number++
	b := appendHead(c.buf, header{producer: j.producer, number: j.number})
	for _, s := range j.sent {
		switch {
		case s.group != nil:
			b = appendGroup(b, s.group)
		case s.record.remove:
			b = appendDelete(b, s.record.key, s.record.expected)
		default:
			b = appendPut(b, s.record.key, s.record.value, s.record.expected, s.record.count)
		}
	}
	if counted != (cow.Totals{}) {
		b = appendCount(b, counted)
	}
	b = appendChecksum(b, start)
	c.buf = b
	seq := j.append(b[start:])

	if err := j.state.own(header{producer: j.producer, number: j.number}, seq, b[start:], &c.fx); err != nil {
		j.die(err)
	}
	records, done := j.backlog.publish(c, seq, j.state.totals, counted)
	for i := range records {
		j.watchers.tell(&records[i])
	}
	done()
	j.entries.Add(1)
	for i, s := range j.sent {
		res := &j.state.results[i]
		switch {
		case s.group != nil:
			s.group.Outcome, s.group.NewVersion, s.group.Err = res.outcome, res.version, res.err
		case res.outcome == cow.Stored:
			s.record.answer(res.version, nil)
		default:
			s.record.answer(0, cow.ErrConflict)
		}
	}
}

// append gives an entry to the log and returns its number.
func (j *Journal) append(entry []byte) uint64 {
	if j.dead.Load() {
		select {}
	}
	start := time.Now()
	seq, err := j.log.Append(entry)
	if err != nil {
		j.die(fmt.Errorf("writing to the log failed: %w", err))
	}
	if j.dead.Load() { // the store failed meanwhile
		select {}
	}
	if j.opts.Observe != nil {
		j.opts.Observe(time.Since(start), len(entry))
	}
	return seq
}

// die ends the process, because what is durable can't be known any more. It never
// returns, not even if Options.Fatal does: then each caller that waits for the log
// or the store waits for ever, and nothing is acknowledged.
func (j *Journal) die(err error) {
	if j.dead.CompareAndSwap(false, true) {
		j.lastError.Store(&err)
		go j.opts.Fatal(err)
	}
	select {}
}

// exit is the default of Options.Fatal.
func exit(log *slog.Logger, end func(int)) func(error) {
	return func(err error) {
		do := "start again: what the log then holds is the truth, and posts that got no answer may be sent again; if it happens again, check the disk"
		if errors.Is(err, syscall.ENOSPC) {
			do = "make room on the disk, then start again: what the log then holds is the truth, and posts that got no answer may be sent again"
		}
		log.Error("the store failed, the process ends", "error", err, "do", do)
		end(1)
	}
}

// Feed returns at once: the log has one writer.
func (j *Journal) Feed(func(*cow.Append)) {}
