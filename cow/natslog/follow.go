package natslog

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go"

	"cowrelay/cow/replay"
)

const (
	// heartbeat is how often a consumer says that it is there.
	heartbeat = 500 * time.Millisecond
	// silence is how long a consumer may say nothing until Follow fetches once. After
	// as long again it takes another consumer.
	silence = 3 * heartbeat / 2
	// behindFor is how long Follow may be behind the leader without an entry.
	behindFor = 1500 * time.Millisecond
	// consumerIdle is how long the server keeps a consumer that nobody listens to.
	consumerIdle = 10 * time.Second
	// minPatience and maxPatience are for an answer. A question may go to a server that
	// is gone, and another one answers the next. On a busy machine answers take longer.
	minPatience = 500 * time.Millisecond
	maxPatience = 8 * time.Second
	// minPause and maxPause are between two consumers, if the first had no entry.
	minPause = 50 * time.Millisecond
	maxPause = 500 * time.Millisecond
)

// final is an error that ends Follow.
type final struct{ error }

// follower is one call of Follow.
type follower struct {
	l        *Log
	yield    func(uint64, []byte) error
	next     uint64 // number of the entry to yield next
	pause    time.Duration
	patience time.Duration
	missing  time.Time // since when the log seems to lack entry next; zero if it does not
	dropped  bool      // the last session ended as it was sent more than may wait
}

// Follow calls yield for each entry from number from on.
func (l *Log) Follow(ctx context.Context, from uint64, yield func(seq uint64, entry []byte) error) error {
	l.mu.Lock()
	if l.closed {
		l.mu.Unlock()
		return errClosed
	}
	l.wg.Add(1)
	l.mu.Unlock()
	defer l.wg.Done()
	stop, both := l.within(ctx)
	defer stop()
	f := &follower{l: l, yield: yield, next: max(from, 1), patience: minPatience}
	l.raise(f.next - 1)
	for {
		err := f.session(both)
		var end final
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case l.ctx.Err() != nil:
			return errClosed
		case errors.As(err, &end):
			return end.error
		}
		if fault := l.fault.Load(); fault != nil {
			return *fault
		}
		if l.noteError(err) {
			l.o.Logger.Debug("following the log is interrupted", "next", f.next, "reason", err)
		}
		if f.pause > 0 {
			select {
			case <-time.After(f.pause):
			case <-both.Done():
			}
		}
		f.pause = min(max(2*f.pause, minPause), maxPause)
		f.patience = min(f.patience*5/4, maxPatience)
	}
}

// raise notes a number that the log is known to have reached.
func (l *Log) raise(seq uint64) {
	for {
		old := l.high.Load()
		if old >= seq || l.high.CompareAndSwap(old, seq) {
			break
		}
	}
	for {
		old := l.head.Load()
		if old >= seq || l.head.CompareAndSwap(old, seq) {
			return
		}
	}
}

// session reads through one consumer until something is wrong with it. While it waits for
// one, it fetches.
func (f *follower) session(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	if f.dropped {
		f.dropped = false
		if err := f.catchUp(ctx); err != nil {
			return err
		}
	}
	begun := make(chan error, 1)
	c := &consumer{l: f.l, from: f.next, patience: f.patience}
	f.l.run("natslog-begin", func() { begun <- c.begin(ctx) })
	defer c.end()
	wait := fetchAfter
	for {
		t := time.NewTimer(wait)
		select {
		case err := <-begun:
			t.Stop()
			if err != nil {
				return err
			}
			return f.read(ctx, c.sub)
		case <-t.C:
			if err := f.fetch(ctx); err != nil {
				cancel()
				<-begun
				return err
			}
			wait = fetchEvery
		}
	}
}

// hold keeps a subscription until the connection breaks. It is false without one.
func (l *Log) hold(sub *nats.Subscription) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.connected {
		return false
	}
	if l.subs == nil {
		l.subs = make(map[*nats.Subscription]struct{})
	}
	l.subs[sub] = struct{}{}
	return true
}

func (l *Log) release(sub *nats.Subscription) {
	l.mu.Lock()
	delete(l.subs, sub)
	l.mu.Unlock()
}

// read takes what the consumer delivers.
func (f *follower) read(ctx context.Context, sub *nats.Subscription) error {
	l := f.l
	var delivered uint64 // number of the consumer's newest delivery
	var behind time.Time // since when the leader is known to have entry next
	late := false        // that it has said nothing for a while
	for {
		m, err := sub.NextMsg(silence)
		switch {
		case err == nil:
			late = false
		case errors.Is(err, nats.ErrSlowConsumer):
			// The server sends up to 32 MiB ahead, whatever may wait here. What came before
			// the first that was dropped is still to be taken.
			f.dropped = true
			continue
		case !errors.Is(err, nats.ErrTimeout):
			return err
		case late:
			return errors.New("natslog: a consumer says nothing any more")
		default:
			late = true
			if err := f.fetch(ctx); err != nil {
				return err
			}
			continue
		}
		if len(m.Header) > 0 && m.Header.Get("Status") != "" {
			if err := f.control(m, delivered); err != nil {
				return err
			}
			f.pause, f.patience = 0, minPatience
			if fault := l.fault.Load(); fault != nil {
				return final{*fault}
			}
			switch {
			case l.head.Load() < f.next:
				behind = time.Time{}
			case behind.IsZero():
				behind = time.Now()
			case time.Since(behind) > behindFor:
				return errors.New("natslog: a consumer is behind the stream's leader")
			}
			continue
		}
		seq, number, ok := numbers(m.Reply)
		if !ok {
			continue // somebody else sent to our inbox
		}
		if number != delivered+1 {
			return errors.New("natslog: a delivery is missing")
		}
		delivered, behind, f.pause, f.patience = number, time.Time{}, 0, minPatience
		switch {
		case seq < f.next: // it was fetched meanwhile
		case seq > f.next:
			return f.gap(seq)
		default:
			if err := f.take(m.Data); err != nil {
				return err
			}
		}
	}
}

// take yields the next entry.
func (f *follower) take(entry []byte) error {
	l, now := f.l, time.Now()
	f.missing = time.Time{}
	l.entryAt.Store(now.UnixNano())
	l.stuckUntil.Store(0)
	l.hear(now)
	l.raise(f.next)
	if err := f.yield(f.next, entry); err != nil {
		return final{err}
	}
	f.next++
	return nil
}

// gap judges an entry that is not the next one. The consumer missed nothing, so its
// server lacks what is between. That server may be behind, so others are asked first.
func (f *follower) gap(seq uint64) error {
	now := time.Now()
	if f.missing.IsZero() {
		f.missing = now
	}
	err := fmt.Errorf("the log has entry %d where entry %d has to be", seq, f.next)
	if now.Sub(f.missing) > f.l.o.Confirm {
		return final{fmt.Errorf("%w: %w", replay.ErrLost, err)}
	}
	return err
}

// control takes a heartbeat, or a question whether all was taken until here.
func (f *follower) control(m *nats.Msg, delivered uint64) error {
	if m.Header.Get("Status") != "100" {
		return fmt.Errorf("natslog: a consumer says %s %s", m.Header.Get("Status"), m.Header.Get("Description"))
	}
	answer := m.Reply
	if answer == "" {
		// A heartbeat tells what the consumer has sent before it. If it waits for an
		// answer, it says so.
		if last := m.Header.Get("Nats-Last-Consumer"); last != "" && last != strconv.FormatUint(delivered, 10) {
			return errors.New("natslog: the last delivery is missing")
		}
		answer = m.Header.Get("Nats-Consumer-Stalled")
	}
	if answer == "" {
		return nil
	}
	return f.l.nc.Publish(answer, nil)
}

// numbers reads what the server puts into the reply subject of a delivery:
//
//	$JS.ACK.<stream>.<consumer>.<times>.<stream seq>.<consumer seq>.<time>.<pending>
//	$JS.ACK.<domain>.<account>.<stream>.<consumer>.<times>.<stream seq>.<consumer seq>.<time>.<pending>[.<random>]
func numbers(reply string) (seq, number uint64, ok bool) {
	rest, ok := strings.CutPrefix(reply, "$JS.ACK.")
	if !ok {
		return 0, 0, false
	}
	var parts [10]string
	n := 0
	for n < len(parts) {
		part, after, more := strings.Cut(rest, ".")
		parts[n] = part
		n++
		if !more {
			break
		}
		rest = after
	}
	at := 3
	switch {
	case n == 7:
	case n >= 9:
		at = 5
	default:
		return 0, 0, false
	}
	seq, err1 := strconv.ParseUint(parts[at], 10, 64)
	number, err2 := strconv.ParseUint(parts[at+1], 10, 64)
	return seq, number, err1 == nil && err2 == nil
}
