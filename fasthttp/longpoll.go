package fasthttp

import (
	"errors"
	"sync/atomic"
	"syscall"
	"time"

	"cowrelay/cow"
	"cowrelay/cow/share"
	"cowrelay/fasthttp/accept"
	"cowrelay/fasthttp/refusal"
	"cowrelay/fasthttp/stream"
)

// How a long poll ended; labels of its metric.
const (
	pollEvent  = iota // there was something to pull
	pollTime          // the time that its client gave was over
	pollClient        // the client left
	pollShare         // it gave way to a newer one of its client, which had its share
	pollCap           // it gave way to another client's, when there were as many as there may be
	pollDrain
	pollError
	pollEnds
)

var pollEndNames = [pollEnds]string{"event", "time", "client", "share", "cap", "drain", "error"}

// longPolls keeps the books of all pulls that wait.
type longPolls struct {
	books *share.Ledger[accept.Client]
	hangs *stream.Hangups // which clients have left
	ended [pollEnds]atomic.Uint64
	// Refused: none could give way, or the slot has as many as it may.
	refusedCap, refusedSlot atomic.Uint64
}

// waiting is how many wait now.
func (l *longPolls) waiting() int64 { return l.books.Used() }

// longPoll is a pull that waits: a subscriber that takes nothing, and only
// hears. Whoever ends it, the poll's own goroutine or another, takes it out of
// its slot and of the books at once, so that there is room for others before
// its client has its reply.
type longPoll struct {
	polls *longPolls
	sub   *cow.Subscriber
	place share.Holder[accept.Client]
	wake  chan struct{} // filled when there may be something, or it has ended
	ended atomic.Int32  // its reason, from 1; set before wake is filled: pairs with the Load behind the wait

	conn  syscall.RawConn // nil where the client can't be watched
	watch stream.Watch
}

// Wake implements cow.Waker.
func (p *longPoll) Wake(int64) {
	select {
	case p.wake <- struct{}{}:
	default:
	}
}

// HungUp implements stream.Leaver.
func (p *longPoll) HungUp() { p.end(pollClient) }

// end ends the poll for a counted reason, once.
func (p *longPoll) end(reason int) {
	if !p.ended.CompareAndSwap(0, int32(reason)+1) {
		return
	}
	p.sub.Close()
	p.polls.books.Give(&p.place)
	p.polls.ended[reason].Add(1)
	p.Wake(0)
}

// pollLeast is how long a poll waits that gives way. Where more clients of one
// address poll than it has places, they would else push each other out as fast
// as they can ask.
const pollLeast = time.Second

// await fills w as soon as there is something to pull. It leaves it empty after
// the time that the client gives, when the client leaves, when the relay drains,
// or when the poll has to give way to another.
func (r *Relay) await(req request, q pullQuery, w *cow.Window) error {
	start := time.Now()
	req.slot.MarkPulled(start)
	p, err := r.openPoll(req)
	if err != nil {
		return err
	}
	reason := pollError
	defer func() { r.closePoll(p, reason) }()
	timer := time.NewTimer(q.wait)
	defer timer.Stop()
	for over := false; ; {
		// Subscribed first, read second: nothing falls between.
		if err := r.store.Window(req.slot, q.since, q.limit, w); err != nil {
			return err
		}
		if w.Events() > 0 {
			reason = pollEvent
			return nil
		}
		if req.slot.Blocked() {
			return refusal.Blocked
		}
		if over {
			return nil
		}
		select {
		case <-p.wake:
			switch p.ended.Load() {
			case 0:
			case pollClient + 1:
				return nil
			default: // gave way
				timer.Reset(pollLeast - time.Since(start))
			}
		case <-timer.C:
			reason, over = pollTime, true
		case <-r.drain:
			reason = pollDrain
			return nil
		}
	}
}

// openPoll has the poll hear of its slot and counts it in. It is in the slot
// first, so that it has what end takes away before anybody can find it.
func (r *Relay) openPoll(req request) (*longPoll, error) {
	p := &longPoll{polls: &r.polls, wake: make(chan struct{}, 1)}
	p.place.Owner = p
	var err error
	if p.sub, err = r.streams.Subscribe(req.slot, false, nil, p); err != nil {
		if errors.Is(err, cow.ErrTooManyStreams) {
			r.polls.refusedSlot.Add(1)
		}
		return nil, err
	}
	if !r.countPoll(p, r.clientOf(req)) {
		p.sub.Close()
		r.polls.refusedCap.Add(1)
		return nil, refusal.ManyPolls
	}
	if req.conn != nil {
		if raw, err := req.conn.SyscallConn(); err == nil && r.polls.hangs.Watch(p, &p.watch, raw, false) {
			p.conn = raw
		}
	}
	return p, nil
}

func (r *Relay) closePoll(p *longPoll, reason int) {
	if p.conn != nil {
		r.polls.hangs.Unwatch(&p.watch, p.conn)
	}
	p.end(reason)
}

// countPoll counts a poll in. Where there are too many, the oldest gives way: of
// its own client if that has its share, else of the client that has the most.
// Its place is free as soon as it is ended, so nobody waits, and there are never
// more than there may be.
func (r *Relay) countPoll(p *longPoll, client accept.Client) bool {
	l := &r.polls
	for !l.books.Take(&p.place, client, 1) {
		var victim *share.Holder[accept.Client]
		reason := pollCap
		if l.books.Held(client) >= stream.ShareOf(r.live.Load().MaxWaiters) {
			reason, victim = pollShare, l.books.VictimOf(client, anyPoll)
		} else {
			victim = l.books.Victim(anyPoll)
		}
		if victim == nil {
			return false
		}
		victim.Owner.(*longPoll).end(reason)
	}
	return true
}

func anyPoll(*share.Holder[accept.Client]) bool { return true }
