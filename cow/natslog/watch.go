package natslog

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"cowrelay/cow/replay"
)

const (
	tickEvery = 250 * time.Millisecond
	// askEvery is how long the log may be silent before its leader is asked.
	askEvery = time.Second
	// awayAfter is how long nothing may be heard before the log is away.
	awayAfter = 3 * time.Second
	// stuckFor is how long questions don't count after an entry was not answered. A
	// leader without the others answers questions, but takes no entry.
	stuckFor = 5 * time.Second
)

// doubt is what speaks for a loss, and since when.
type doubt struct {
	reason string
	since  time.Time
}

// hear notes that the log takes entries.
func (l *Log) hear(t time.Time) {
	now := t.UnixNano()
	for {
		old := l.heard.Load()
		if old >= now || l.heard.CompareAndSwap(old, now) {
			return
		}
	}
}

// Away is when the log was last heard of, if that is more than some seconds ago.
func (l *Log) Away() time.Time {
	t := time.Unix(0, l.heard.Load())
	if time.Since(t) < awayAfter {
		return time.Time{}
	}
	return t
}

// watch finds what was not answered, and asks the leader while nothing comes.
func (l *Log) watch() {
	tick := time.NewTicker(tickEvery)
	defer tick.Stop()
	asked := make(chan struct{}, 1)
	asked <- struct{}{}
	last, checked := time.Now(), time.Now()
	for {
		select {
		case <-tick.C:
		case <-l.ctx.Done():
			<-asked // what asks ends with the context
			return
		}
		now := time.Now()
		l.expire(now)
		if !l.o.TrustSync && now.Sub(checked) > l.o.CheckEvery {
			checked = now
			l.run("natslog-check", l.recheck)
		}
		if l.troubled.Swap(false) {
			l.signal()
		}
		if now.Sub(last) < askEvery || now.UnixNano()-l.entryAt.Load() < int64(askEvery) {
			continue
		}
		select {
		case <-asked:
			last = now
			l.run("natslog-ask", func() {
				_, _ = l.ask(l.ctx, askTimeout)
				asked <- struct{}{}
			})
		default: // the last one is not back
		}
	}
}

// expire gives up on entries that were not answered.
func (l *Log) expire(now time.Time) {
	late, stuck := 0, false
	l.mu.Lock()
	for _, p := range l.pending {
		switch age := now.Sub(p.at); {
		case age > answerTimeout:
			l.drop(p)
			l.refusal = ""
			late++
		case age > awayAfter:
			stuck = true
		}
	}
	l.mu.Unlock()
	if stuck || late > 0 {
		l.stuckUntil.Store(now.Add(stuckFor).UnixNano())
	}
	if late > 0 {
		l.unanswered.Add(uint64(late))
		l.noteError(fmt.Errorf("NATS did not answer %d entries within %v", late, answerTimeout))
		l.troubled.Store(true)
	}
}

// state is what the leader says of the stream.
type state struct {
	first, last uint64 // first is last+1 if there is none
}

var (
	errNoLeader = errors.New("natslog: the stream has no leader: too few of its servers can be reached")
	errSilent   = errors.New("natslog: the stream's leader does not answer")
)

// ask asks the stream's leader. It also judges whether the log is still the same.
func (l *Log) ask(ctx context.Context, within time.Duration) (state, error) {
	high := l.high.Load()
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	begun := time.Now()
	s, err := l.js.Stream(ctx, l.o.Stream)
	if err != nil {
		if errors.Is(err, jetstream.ErrStreamNotFound) {
			l.suspect("the stream " + l.o.Stream + " is gone")
		} else if ctx.Err() != nil {
			err = errSilent
		}
		return state{}, err
	}
	info := s.CachedInfo()
	if info.Cluster != nil && info.Cluster.Leader == "" {
		return state{}, errNoLeader
	}
	id, err := readID(info.Config.Metadata)
	if err != nil || id != l.id {
		l.lose(fmt.Errorf("%w: the stream %s was made anew: it has another ID", replay.ErrLost, l.o.Stream))
		return state{}, errors.New("natslog: another stream")
	}
	st := stateOf(info)
	if st.last < high {
		l.suspect(fmt.Sprintf("the stream %s ends at entry %d, and had entry %d", l.o.Stream, st.last, high))
		return st, errors.New("natslog: the stream's leader is behind")
	}
	l.mu.Lock()
	l.doubt = doubt{}
	l.mu.Unlock()
	if h := l.head.Load(); st.last > h {
		l.head.CompareAndSwap(h, st.last)
	}
	if begun.UnixNano() > l.stuckUntil.Load() {
		l.hear(begun)
	}
	return st, nil
}

func stateOf(info *jetstream.StreamInfo) state {
	st := state{info.State.FirstSeq, info.State.LastSeq}
	if info.State.Msgs == 0 {
		st.first = st.last + 1
	}
	return st
}

// suspect notes a sign of loss. If it stays, it is believed.
func (l *Log) suspect(reason string) {
	now := time.Now()
	l.mu.Lock()
	if l.doubt.reason == "" {
		l.doubt.since = now
	}
	l.doubt.reason = reason
	long := now.Sub(l.doubt.since) > l.o.Confirm
	l.mu.Unlock()
	l.noteError(errors.New(reason))
	if long {
		l.lose(fmt.Errorf("%w: %s", replay.ErrLost, reason))
	}
}

// lose ends Follow.
func (l *Log) lose(err error) {
	if l.fault.CompareAndSwap(nil, &err) {
		l.noteError(err)
		l.o.Logger.Error("the log is not the one that it was", "error", err)
	}
}

// Ends asks for the numbers of the oldest and the newest entry.
func (l *Log) Ends(ctx context.Context) (first, last uint64, err error) {
	stop, ctx := l.within(ctx)
	defer stop()
	st, err := l.ask(ctx, askTimeout)
	if err != nil {
		return 0, 0, err
	}
	return st.first, st.last, nil
}

// Purge drops entries up to seq. Asked twice it does nothing the second time: the
// server is given a number, not how many.
func (l *Log) Purge(ctx context.Context, seq uint64) error {
	stop, ctx := l.within(ctx)
	defer stop()
	st, err := l.ask(ctx, askTimeout)
	if err != nil {
		return err
	}
	// A number behind the end would leave a gap in front of the next entry.
	seq = min(seq, st.last)
	if seq < st.first {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, purgeTimeout)
	defer cancel()
	s, err := l.js.Stream(ctx, l.o.Stream)
	if err != nil {
		return err
	}
	return s.Purge(ctx, jetstream.WithPurgeSequence(seq+1))
}

// purgeTimeout is longer than that of a question: servers remove files.
const purgeTimeout = 30 * time.Second

// within is ctx that also ends with the log.
func (l *Log) within(ctx context.Context) (stop func(), both context.Context) {
	both, cancel := context.WithCancel(ctx)
	unhook := context.AfterFunc(l.ctx, cancel)
	return func() { unhook(); cancel() }, both
}
