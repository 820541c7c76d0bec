package replay

import (
	"context"
	"errors"
	"fmt"
	"time"

	"cowrelay/cow"
)

// opening is a start up to where the log ended when it began. The follower works for it
// until then.
type opening struct {
	from, target uint64        // entries of the log; set before the follower starts
	data         bool          // the store holds something; set before the follower starts
	joined       bool          // the store was made one of this log by this start; set before the follower starts
	done         chan struct{} // closed by the follower, or before it starts: target is applied
	failed       chan error    // of the follower, before done
}

// followLoop takes what the log yields.
func (j *SharedJournal) followLoop() {
	o := &j.opening
	err := j.log.Follow(j.ctx, o.from+1, j.follow)
	if j.ctx.Err() != nil {
		return
	}
	if err == nil {
		err = errors.New("BUG: it ended without an error")
	}
	select {
	case <-o.done:
		j.die(fmt.Errorf("following the shared log failed: %w", err))
	default:
		o.failed <- err
	}
}

// follow takes entry n of the log: it decides, is shown, and is answered, in that
// order. That keeps I4, as in Journal.write.
//
// Between the end of OpenShared and Feed the follower rests. So what Slots gives in
// between is exactly what comes before the first call of Feed's function.
func (j *SharedJournal) follow(n uint64, entry []byte) error {
	o := &j.opening
	if n > o.target {
		select {
		case <-j.released:
		case <-j.ctx.Done():
			return j.ctx.Err()
		}
	}
	if n == 1 {
		if err := j.begin(entry); err != nil {
			return err
		}
	}
	seq := j.base + n
	c, h, counts, err := j.take(seq, entry)
	if err != nil {
		return fmt.Errorf("entry %d of the shared log: %w", n, err)
	}
	e, own, err := j.seenOwn(n, h, counts)
	if err != nil {
		return fmt.Errorf("entry %d of the shared log: %w", n, err)
	}
	var counted cow.Totals
	if e != nil {
		counted = e.counted
	}
	groups, done := j.show(c, seq, counted)
	if !own {
		j.feed.add(groups)
	}
	done()
	if err := j.readable(); err != nil { // this entry raised the format
		return err
	}
	j.appliedLog.Store(n)
	raise(&j.head, n)
	if e != nil {
		j.answer(e)
	}
	j.count(h, own, counts)
	if n <= o.target {
		if (n%1024 == 0 || n == o.target) && j.opts.Progress != nil {
			j.opts.Progress(n-o.from, o.target-o.from)
		}
		if n == o.target {
			close(o.done)
		}
	}
	return nil
}

// seenOwn notes that entry n is applied. If it is pending here, it takes it out.
func (j *SharedJournal) seenOwn(n uint64, h header, counts bool) (e *pending, own bool, err error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.applied, j.digest = n, j.state.chain.digest
	if j.state.forgot == j.producer {
		j.state.forgot, j.forgotten = 0, true
		signal(j.again)
	}
	if own = h.producer == j.producer; !own {
		return nil, false, nil
	}
	if !counts {
		if h.number > j.state.producers[h.producer].number {
			signal(j.again) // one before it is lost, or late
		}
		return nil, true, nil
	}
	if len(j.pending) == 0 || j.pending[0].number != h.number {
		return nil, true, fmt.Errorf("BUG: number %d of this relay is not pending", h.number)
	}
	e = j.pending[0]
	j.pending[0] = nil
	j.pending = j.pending[1:]
	j.bytes -= len(e.entry)
	j.movedLocked()
	if len(j.pending) == 0 {
		j.pending = nil
		j.stuck.Store(0)
	}
	j.room.Broadcast()
	return e, true, nil
}

// answer tells all who wait for an entry what became of it.
func (j *SharedJournal) answer(e *pending) {
	for i := range e.sent {
		if e.sent[i].record != nil {
			e.sent[i].answer(&j.state.results[i])
		}
	}
	if w := e.commit; w != nil {
		j.mu.Lock()
		if !w.given {
			for i := range e.sent {
				if e.sent[i].group != nil {
					e.sent[i].answer(&j.state.results[i])
				}
			}
		}
		w.less()
		j.mu.Unlock()
	}
	if e.barrier != nil {
		j.feed.pass(e.barrier)
	}
	if e.turn {
		<-j.turns
	}
	if j.opts.Observe != nil {
		j.opts.Observe(time.Since(e.at), len(e.entry))
	}
	e.unuse()
}

func (j *SharedJournal) count(h header, own, counts bool) {
	j.seen.Add(1)
	if own {
		j.own.Add(1)
	}
	if counts {
		return
	}
	j.ignored.Add(1)
	if h.number <= j.state.producers[h.producer].number {
		j.doubles.Add(1)
	}
}

// begin looks at the first entry of the log: it tells the digest that the chain begins
// with, and whether a store can begin there.
func (j *SharedJournal) begin(entry []byte) error {
	o, chain := &j.opening, j.state.chain
	g, err := genesisOf(chain.id, entry)
	if err != nil {
		return err
	}
	store := j.store.(MemberStore)
	switch {
	case g.digest == chain.digest && g.base == j.base:
		return nil // this relay wrote it
	case o.data:
		err = fmt.Errorf("%w: to make this relay a member, give it an empty folder", ErrForeignData)
	case g.data:
		err = fmt.Errorf("%w: it begins with the data of one relay, so another can't begin from nothing", ErrTrimmed)
	default:
		if err = store.JoinLog(chain.id, g.digest); err == nil {
			chain.start(0, g.digest)
			return nil
		}
	}
	if o.joined {
		err = errors.Join(err, store.LeaveLog())
	}
	return err
}

// askLoop asks the log for its end.
func (j *SharedJournal) askLoop() {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		select {
		case <-j.ctx.Done():
			return
		case <-tick.C:
		}
		ctx, cancel := context.WithTimeout(j.ctx, 5*time.Second)
		if _, last, err := j.log.Ends(ctx); err == nil {
			raise(&j.head, last)
		}
		cancel()
	}
}
