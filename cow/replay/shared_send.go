package replay

import (
	"context"
	"encoding/binary"
	"fmt"
	"runtime/pprof"
	"sync"
	"sync/atomic"
	"time"

	"cowrelay/cow"
)

const (
	// sends is how many sends of the sender may be pending at once. What comes
	// meanwhile waits and shares the next entry.
	sends = 2
	// resendPause is how long the resender rests after each time.
	resendPause = 50 * time.Millisecond
)

// pending is an entry that was sent and not yet seen.
type pending struct {
	number  uint64 // of its producer
	entry   []byte // changed by renumber alone, once it is pending
	format  byte   // of entry
	sent    []sent
	counted cow.Totals
	barrier *barrier     // or nil
	commit  *commitWait  // of the groups in sent, or nil
	turn    bool         // the last entry of a send of the sender
	at      time.Time    // when it was sent first
	users   atomic.Int32 // of entry: the list, and who sends it
}

var pendings = sync.Pool{New: func() any { return new(pending) }}

// unuse gives the entry back when nobody reads it any more.
func (p *pending) unuse() {
	if p.users.Add(-1) == 0 {
		clear(p.sent)
		*p = pending{entry: p.entry[:0], sent: p.sent[:0]}
		if cap(p.entry) > 2<<20 {
			p.entry = nil
		}
		pendings.Put(p)
	}
}

// task starts a goroutine that end waits for.
func (j *SharedJournal) task(label string, f func()) {
	j.tasks.Go(func() {
		pprof.Do(context.Background(), pprof.Labels("relay", label), func(context.Context) { f() })
	})
}

// sendLoop makes entries of records and barriers that no Commit takes along.
func (j *SharedJournal) sendLoop() {
	for {
		select {
		case <-j.stopWait:
			return
		case <-j.wake:
		}
		for j.waits() {
			select {
			case <-j.stopWait:
				return
			case j.turns <- struct{}{}:
			}
			if !j.send(nil, nil, true) {
				<-j.turns
			}
		}
	}
}

// waits says whether a record or a barrier waits for an entry.
func (j *SharedJournal) waits() bool {
	j.queueMu.Lock()
	n := len(j.queue)
	j.queueMu.Unlock()
	j.mu.Lock()
	defer j.mu.Unlock()
	return n > 0 || j.waiting != nil
}

// send makes entries of groups and of all records and barriers that wait, and hands
// them to the log. It says whether there was anything to send.
func (j *SharedJournal) send(groups []cow.Group, w *commitWait, turn bool) bool {
	p := packer{groups: groups, records: j.takeQueue(nil), limit: j.limit, allowed: j.Allowed}
	var last *pending
	for {
		e := pendings.Get().(*pending)
		var size int
		e.sent, size = p.next(e.sent)
		if len(e.sent) == 0 && (last != nil || !j.barrierWaits()) {
			pendings.Put(e)
			break
		}
		if last != nil {
			j.hand(last)
		}
		if cap(e.entry) < size {
			e.entry = make([]byte, 0, size+size/4)
		}
		e.counted = j.backlog.takeCounted()
		e.entry, e.format = appendOps(e.entry[:entryHead], e.sent, e.counted), formatOf(e.sent)
		e.commit = w
		last = e
		if len(e.sent) == 0 {
			break
		}
	}
	if last == nil {
		return false
	}
	last.turn = turn
	j.hand(last)
	return true
}

func (j *SharedJournal) barrierWaits() bool {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.waiting != nil
}

// hand sends an entry whose ops are written, in parts if it is longer than the log
// takes. It first waits for room, unless Stop was called. It does so without sendMu,
// which the resender needs to make room.
func (j *SharedJournal) hand(e *pending) {
	if err := skim(e.entry[entryHead:]); err != nil {
		j.die(fmt.Errorf("BUG: an entry of this relay can't be read: %w", err))
	}
	j.mu.Lock()
	for int64(j.bytes) >= j.opts.PendingBytes && !j.stopped {
		j.room.Wait()
	}
	j.mu.Unlock()
	j.sendMu.Lock()
	defer j.sendMu.Unlock()
	ops, whole := e.entry[entryHead:], true
	for most := j.log.Limit() - entryHead - entryChecksum; len(ops) > most; {
		part := &pending{entry: make([]byte, entryHead, j.log.Limit())}
		n := most - 1
		part.entry, part.format = append(append(part.entry, opPart), ops[:n]...), e.format
		ops, whole = ops[n:], false
		j.handOne(part)
	}
	if !whole {
		e.entry = append(e.entry[:entryHead], ops...)
	}
	j.handOne(e)
}

// handOne numbers an entry, makes it pending and sends it. The caller holds sendMu.
func (j *SharedJournal) handOne(e *pending) {
	j.number++
	e.number = j.number
	j.mu.Lock()
	// What is sent from here on comes after all that called Barrier by now.
	e.barrier, j.waiting = j.waiting, nil
	h := header{producer: j.producer, number: e.number, applied: j.applied, digest: j.digest}
	j.mu.Unlock()
	e.entry = appendChecksum(e.putHead(h), 0)
	e.at = time.Now()
	e.users.Store(2)
	j.mu.Lock()
	if e.commit != nil {
		e.commit.left++
	}
	if len(j.pending) == 0 {
		j.movedLocked()
	}
	j.pending = append(j.pending, e)
	j.bytes += len(e.entry)
	stopped := j.stopped
	j.mu.Unlock()
	j.entries.Add(1)
	if !stopped {
		j.sendOne(e)
	}
	e.unuse()
}

// movedLocked notes that what is pending moves. The caller holds mu.
func (j *SharedJournal) movedLocked() {
	j.moved = time.Now()
	j.stuck.Store(j.moved.UnixNano())
}

// putHead writes the header in front of the ops, and returns both.
func (p *pending) putHead(h header) []byte {
	h.format = p.format
	appendHead(p.entry[:0], h)
	return p.entry
}

func (j *SharedJournal) sendOne(e *pending) {
	if err := j.log.Send(e.entry); err != nil {
		signal(j.again) // it was certainly not sent
	}
}

// resendLoop sends again what is pending when the log had trouble, when an entry
// was seen to come too early, and when nothing came for a while.
func (j *SharedJournal) resendLoop() {
	tick := time.NewTicker(j.opts.ResendAfter / 4)
	defer tick.Stop()
	pause := time.NewTimer(0)
	defer pause.Stop()
	wait := j.opts.ResendAfter // grows while nothing comes
	for {
		late := false
		select {
		case <-j.stopWait:
			return
		case <-j.log.Trouble():
		case <-j.again:
		case <-tick.C:
			late = true
		}
		j.renumber()
		j.mu.Lock()
		stuck := time.Since(j.moved)
		n := len(j.pending)
		j.mu.Unlock()
		switch {
		case n == 0:
			wait = j.opts.ResendAfter
			continue
		case !late:
		case stuck < j.opts.ResendAfter:
			wait = j.opts.ResendAfter
			continue
		case stuck < wait:
			continue
		default:
			wait = stuck + min(stuck, 2*j.opts.ResendAfter)
		}
		j.resend()
		pause.Reset(resendPause)
		select {
		case <-j.stopWait:
			return
		case <-pause.C:
		}
	}
}

// resend sends all that is pending, in order.
func (j *SharedJournal) resend() {
	j.sendMu.Lock()
	defer j.sendMu.Unlock()
	j.mu.Lock()
	list := append([]*pending(nil), j.pending...)
	for _, e := range list {
		e.users.Add(1)
	}
	j.mu.Unlock()
	for _, e := range list {
		j.sendOne(e)
		e.unuse()
	}
	j.resent.Add(uint64(len(list)))
}

// renumber gives what is pending to a new producer: the log has forgotten this one, as
// so many others wrote since, and takes nothing more of it.
//
// Nothing can count twice by that. An entry of a producer that is not known counts if
// its number is 1. The producer was known, so its number 1 is not pending.
func (j *SharedJournal) renumber() {
	j.sendMu.Lock() // nobody reads the entries to send them
	defer j.sendMu.Unlock()
	j.mu.Lock()
	defer j.mu.Unlock()
	if !j.forgotten {
		return
	}
	j.forgotten = false
	j.producer, j.number = newProducer(), 0
	for _, e := range j.pending {
		j.number++
		e.number = j.number
		h := header{producer: j.producer, number: e.number, applied: binary.BigEndian.Uint64(e.entry[17:]), digest: binary.BigEndian.Uint64(e.entry[25:])}
		ops := e.putHead(h)
		e.entry = appendChecksum(ops[:len(ops)-entryChecksum], 0)
	}
}
