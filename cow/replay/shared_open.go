package replay

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"
)

// OpenShared makes a journal of a log that many relays share and the store of this one.
// It reads the heads of all slots and the versions of all records from the store, and
// brings the store up to where the log ends when it is called. Then it rests until Feed
// or Commit is called: no other write is seen before.
//
//	store                        log            what happens
//	of no log                    empty          it begins with what the store has
//	empty                        not empty      replayed from its first entry on
//	of this log                  any            replayed from where the store stands
//	of no log, with data         not empty      ErrForeignData
//	of another log               any            ErrOtherLog
//	behind what the log has      not empty      ErrTrimmed
//	ahead of the log             any            ErrLost
//
// If two relays begin an empty log at once, one is first. The other goes on from there
// if its store is empty, else it gets ErrForeignData.
//
// OpenShared waits for a log that can't be reached until ctx ends. Close closes log and
// store. After an error the caller has to. Options.Fatal may be called before OpenShared
// returns.
func OpenShared(ctx context.Context, log SharedLog, store MemberStore, opts Options) (*SharedJournal, error) {
	j := newShared(log, store, opts)
	if err := j.readState(); err != nil {
		return nil, err
	}
	if err := j.readFormat(); err != nil {
		return nil, err
	}
	m, err := j.member()
	if err != nil {
		return nil, err
	}
	first, last, err := j.ends(ctx, m)
	if err != nil {
		return nil, err
	}
	if m, err = j.join(store, m, first, last); err != nil {
		return nil, err
	}
	s, o := j.state, &j.opening
	if m.Base > s.seq {
		return nil, fmt.Errorf("%w: the store stands at entry %d, its log begins behind entry %d", ErrCorrupt, s.seq, m.Base)
	}
	j.base = m.Base
	o.from, o.data = s.seq-m.Base, s.seq > 0
	o.target = max(last, 1)
	s.chain = &chain{id: log.ID(), base: m.Base}
	s.chain.start(o.from, m.Digest)
	for _, p := range m.Producers {
		s.producers[p.ID] = produced{p.Number, p.Seq, p.Part}
	}
	j.applied, j.digest = o.from, m.Digest
	j.appliedLog.Store(o.from)
	raise(&j.head, last)
	if o.from >= o.target {
		close(o.done)
	}
	j.startApplier()
	j.task("replay-follow", j.followLoop)
	j.task("replay-send", j.sendLoop)
	j.task("replay-resend", j.resendLoop)
	j.task("replay-ask", j.askLoop)
	if last == 0 {
		e := &pending{}
		e.entry = appendGenesis(make([]byte, entryHead, 128), genesis{log: log.ID(), data: o.data, base: m.Base, digest: m.Digest})
		j.hand(e)
	}
	select {
	case <-o.done:
		j.replayed = o.target - min(o.from, o.target)
		return j, nil
	case err = <-o.failed:
	case <-ctx.Done():
		err = fmt.Errorf("%w: the store has entry %d of the shared log, which ends with entry %d", context.Cause(ctx), j.appliedLog.Load(), o.target)
	}
	j.end()
	return nil, err
}

func newShared(log SharedLog, store Store, opts Options) *SharedJournal {
	j := &SharedJournal{
		log: log, producer: newProducer(), turns: make(chan struct{}, sends),
		released: make(chan struct{}), wake: make(chan struct{}, 1), again: make(chan struct{}, 1), stopWait: make(chan struct{}),
		opening: opening{done: make(chan struct{}), failed: make(chan error, 1)},
	}
	j.init(store, opts, min(log.Limit(), MaxEntry))
	j.room = sync.NewCond(&j.mu)
	j.feed.init(j.opts.FeedBytes)
	j.release = sync.OnceFunc(func() { close(j.released) })
	j.ctx, j.cancel = context.WithCancel(context.Background())
	return j
}

// How often a log that can't be reached, or says that it lacks entries, is asked again.
const (
	askPause = time.Second
	lostAsks = 5
)

// ends asks for the ends of the log until there is an answer that may be true.
func (j *SharedJournal) ends(ctx context.Context, m Member) (first, last uint64, err error) {
	short := 0
	for {
		if first, last, err = j.log.Ends(ctx); err == nil {
			if m.Log != j.log.ID() || j.state.seq <= m.Base+last {
				return first, last, nil
			}
			// A server that was away may answer before it has caught up.
			if short++; short == lostAsks {
				return 0, 0, fmt.Errorf("%w: this relay has applied entry %d, the log ends with entry %d", ErrLost, j.state.seq-m.Base, last)
			}
		}
		if errors.Is(err, ErrLost) || errors.Is(err, ErrTrimmed) {
			return 0, 0, err
		}
		if err != nil {
			j.opts.Logger.Warn("the shared log can't be reached: it is asked again", "error", err)
		}
		select {
		case <-ctx.Done():
			return 0, 0, errors.Join(context.Cause(ctx), err)
		case <-time.After(askPause):
		}
	}
}

// join says where a store begins to follow the log, or why it can't.
func (j *SharedJournal) join(store MemberStore, m Member, first, last uint64) (Member, error) {
	seq, id := j.state.seq, j.log.ID()
	switch {
	case m.Log == id:
	case m.Log != (LogID{}):
		return m, fmt.Errorf("%w: the store is of log %x, this is log %x", ErrOtherLog, m.Log, id)
	case last == 0:
		var random [8]byte
		rand.Read(random[:])
		m = Member{Log: id, Base: seq, Digest: binary.BigEndian.Uint64(random[:])}
		if err := store.JoinLog(id, m.Digest); err != nil {
			return m, err
		}
		j.opening.joined = true
	case seq > 0:
		return m, ErrForeignData
	default:
		m = Member{}
	}
	if seq >= m.Base && seq-m.Base+1 < first {
		return m, fmt.Errorf("%w: this relay needs entry %d, the oldest one is %d", ErrTrimmed, seq-m.Base+1, first)
	}
	return m, nil
}

// raise sets a number that only goes up.
func raise(to *atomic.Uint64, n uint64) {
	for {
		old := to.Load()
		if n <= old || to.CompareAndSwap(old, n) {
			return
		}
	}
}
