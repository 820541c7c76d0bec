package retention

import (
	"context"
	"errors"
	"log/slog"
	"runtime/pprof"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"cowrelay/cow"
)

// Policy says what ends when. A zero time or number stands for never.
type Policy struct {
	IdleSlot   time.Duration // of a slot that nobody has posted to, pulled or streamed
	UnusedSlot time.Duration // of a slot that nobody ever has
	Event      time.Duration // of an event
	Ephemeral  time.Duration // of an event of an ephemeral kind that stands in front of its slot
	KeepEvents uint64        // events that a slot keeps, the newest
	KeepBytes  uint64        // bytes of events that a slot keeps, the newest, but one event at least
}

// The rules that follow from the age of a generation.
const (
	ruleEvent = iota
	ruleUnused
	ruleIdle
	rules
)

func (p Policy) after(rule int) time.Duration {
	return [rules]time.Duration{p.Event, p.UnusedSlot, p.IdleSlot}[rule]
}

// Options are those of Start.
type Options struct {
	Policy
	Now func() time.Time // the machine's time; default time.Now
	// Before is how many relays that share the log act before this one: it waits for each
	// of them, and then does what they have left. It is called by the sweeper's goroutine.
	// Default: none.
	Before func() int
	Logger *slog.Logger
}

// Sweeper applies a policy to all slots of a store. Start makes it and Close ends it. It
// has one goroutine, and workers acts under way at most.
type Sweeper struct {
	Policy
	store   *cow.Store
	records cow.Records
	log     *slog.Logger
	clock   *clock
	grain   time.Duration // between two generations
	every   time.Duration // between two sweeps
	parts   []part        // of the generations that are stored
	own     []string      // keys of those that this process wrote
	written time.Time     // when the last generation was due
	noted   time.Time     // when the clock was written last
	unwatch func()        // set by begin
	mayTrim bool          // the journal lets events leave, as of this turn
	before  func() int    // of Options
	late    int           // what before said, as of this turn
	full    map[cow.ID]fullSlot
	ownSlots
	ephemeral ephemeral
	stop      chan struct{}
	once      sync.Once // of stop
	wg        sync.WaitGroup
}

const (
	workers = 4
	// A generation is written this often in the shortest time of the policy: so that
	// nothing stays longer than by an eighth, and a relay has few.
	grains   = 8
	mostWait = time.Minute
	leastGap = time.Second
	mostGap  = 24 * time.Hour
	// slack is the part of what a slot keeps by which it may grow before its oldest events
	// leave. Else each event would cost an act of its own.
	slack = 16
)

// Start begins to sweep. The store must be open until Close returns.
func Start(store *cow.Store, o Options) *Sweeper {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Before == nil {
		o.Before = func() int { return 0 }
	}
	s := &Sweeper{Policy: o.Policy, store: store, records: store.Records(), log: o.Logger, before: o.Before, clock: newClock(o.Now), grain: mostGap, every: mostWait, stop: make(chan struct{})}
	for rule := range rules {
		if d := s.after(rule); d > 0 {
			s.grain = min(s.grain, max(d/grains, leastGap))
		}
	}
	s.every = max(min(s.grain/2, mostWait), leastGap)
	if s.Ephemeral > 0 {
		s.every = min(s.every, s.ephemeralGrain())
	}
	s.wg.Go(func() {
		pprof.Do(context.Background(), pprof.Labels("relay", "retention"), func(context.Context) { s.run() })
	})
	return s
}

// Stop has the sweeper begin nothing more. It may be called again.
func (s *Sweeper) Stop() { s.once.Do(func() { close(s.stop) }) }

// Close ends the sweeper. An act under way is waited for, or ends with its store.
func (s *Sweeper) Close() {
	s.Stop()
	s.wg.Wait()
}

func (s *Sweeper) run() {
	tick, own := time.NewTicker(s.every), time.NewTicker(ownEvery)
	defer tick.Stop()
	defer own.Stop()
	defer func() {
		if s.unwatch != nil {
			s.unwatch()
		}
	}()
	for {
		due := false
		select {
		case <-tick.C:
			due = true
		case <-own.C:
		case <-s.stop:
			return
		}
		if s.unwatch == nil {
			if err := s.begin(); err != nil {
				s.log.Warn("retention can't begin: it is tried again", "error", err)
				continue
			}
		}
		if own := s.ownSlots.any(); !own && (!due || s.Policy == (Policy{})) {
			continue
		}
		if err := s.turn(due); err != nil && !errors.Is(err, cow.ErrClosed) {
			s.log.Warn("a sweep has ended early: the next one goes on", "error", err)
		}
	}
}

func (s *Sweeper) begin() error {
	held, err := s.clock.since(s.records)
	if err != nil {
		return err
	}
	if held {
		s.log.Warn("the clock is far ahead of when the relay was last seen: nothing ends for an hour, in case it is wrong")
	}
	if err := s.refresh(); err != nil {
		return err
	}
	s.unwatch, err = s.follow()
	return err
}

// turn does what is due: of the lifetimes of slots, and of the policy if due is set.
func (s *Sweeper) turn(due bool) error {
	if s.clock.leapt() {
		s.log.Warn("the clock was set ahead: nothing ends for an hour, in case it is wrong")
		if err := s.forgetOwn(); err != nil {
			return err
		}
		for class := range classes {
			if err := s.forgetParts(class, func(p ownPart) bool { return p.mine }); err != nil {
				return err
			}
		}
	}
	s.look()
	s.late = s.before()
	now := s.clock.now()
	if err := s.sweepOwn(now); err != nil || !due {
		return err
	}
	if err := s.sweepEphemeral(time.Now()); err != nil {
		return err
	}
	return s.sweep(now)
}

// look finds out whether events may leave. In a fleet they may not until all relays can
// read that: they wait, and slots end meanwhile.
func (s *Sweeper) look() {
	s.mayTrim = s.store.MayTrim()
	held := !s.mayTrim && (s.Event > 0 || s.Ephemeral > 0 || s.KeepEvents > 0 || s.KeepBytes > 0 || s.ownSlots.any())
	switch was := s.store.Stats().TrimsHeld.Swap(held); {
	case held && !was:
		s.log.Warn("no event leaves, as relays of the fleet may be too old to read that: when all are new enough, allow it with cowrelay admin fleet upgrade")
	case was && !held:
		s.log.Info("events may leave now")
	}
}

// sweep does once what the policy asks for now.
func (s *Sweeper) sweep(now time.Time) error {
	stats := s.store.Stats()
	if now.Sub(s.noted) >= mostWait || now.Before(s.noted) {
		if err := s.clock.write(s.records); err != nil {
			return err
		}
		s.noted = now
	}
	if err := s.keep(); err != nil {
		return err
	}
	if s.Event > 0 || s.UnusedSlot > 0 || s.IdleSlot > 0 {
		if now.Sub(s.written) >= s.grain || now.Before(s.written) {
			if err := s.refresh(); err != nil {
				return err
			}
			if err := s.forgetFuture(now); err != nil {
				return err
			}
			if err := s.write(now); err != nil {
				return err
			}
			s.written = now
		}
		if s.clock.believed() {
			if err := s.expire(now); err != nil {
				return err
			}
		}
	}
	stats.SweptAt.Store(now.Unix())
	stats.SweepBehind.Store(int64(max(s.behind(now), s.ownBehind(now), s.ephemeralBehind()).Seconds()))
	return nil
}

// behind is for how long something should have ended that has not.
func (s *Sweeper) behind(now time.Time) (d time.Duration) {
	for i := range s.parts {
		for rule := range rules {
			if after := s.after(rule); after > 0 && !s.parts[i].done[rule] {
				d = max(d, now.Sub(s.parts[i].at)-after)
			}
		}
	}
	return d
}

// keep has the oldest events of slots leave that hold more than they may.
func (s *Sweeper) keep() error {
	if s.KeepEvents == 0 && s.KeepBytes == 0 || !s.mayTrim {
		return nil
	}
	a := s.newActs()
	full := make(map[cow.ID]fullSlot)
	defer func() { s.full = full }()
	for slot := range s.store.All {
		first, end := slot.Positions()
		tooMany := s.KeepEvents > 0 && end-first > s.KeepEvents+s.KeepEvents/slack
		tooLong := s.KeepBytes > 0 && slot.Bytes() > s.KeepBytes+s.KeepBytes/slack && end-first > 1
		if !tooMany && !tooLong || !s.turnFor(slot.ID(), first, full) {
			continue
		}
		if !a.do(func() error {
			to := first
			if tooMany {
				to = end - s.KeepEvents
			}
			if tooLong {
				pos, err := s.store.Within(slot, s.KeepBytes)
				if err != nil {
					return err
				}
				to = max(to, pos)
			}
			return s.trim(slot, to)
		}) {
			break
		}
	}
	return a.wait("event-keep")
}

// expire applies the rules to the generations that are old enough, the oldest first.
func (s *Sweeper) expire(now time.Time) error {
	slices.SortFunc(s.parts, func(a, b part) int { return a.at.Compare(b.at) })
	for i := range s.parts {
		p := &s.parts[i]
		over := true // nothing can follow from it any more
		for rule := range rules {
			after := s.after(rule)
			switch {
			case after == 0 || p.done[rule]:
			case now.Sub(p.at) < after+s.lateness(s.every), rule == ruleEvent && !s.mayTrim:
				over = false
			default:
				if err := s.apply(p, rule, now); err != nil {
					return err
				}
				p.done[rule] = true
			}
		}
		if over {
			if err := s.drop(p.key); err != nil {
				return err
			}
		}
		select {
		case <-s.stop:
			return nil
		default:
		}
	}
	s.parts = slices.DeleteFunc(s.parts, func(p part) bool {
		for rule := range rules {
			if s.after(rule) > 0 && !p.done[rule] {
				return false
			}
		}
		return true
	})
	return nil
}

// apply applies a rule to all slots that a part of a generation names.
func (s *Sweeper) apply(p *part, rule int, now time.Time) error {
	value, _, err := s.records.Value(p.key)
	if errors.Is(err, cow.ErrNoRecord) { // another relay has done all of it
		return nil
	}
	if err != nil {
		return err
	}
	a := s.newActs()
	if err := entries(value, func(e entry) {
		slot := s.store.Slot(e.slot)
		if slot == nil {
			return
		}
		again := func() { slot.Note(0) } // the next generation is to name it
		switch rule {
		case ruleEvent:
			if first, _ := slot.Positions(); first < e.end {
				a.do(func() error { return s.trim(slot, e.end) })
			}
		case ruleUnused:
			if e.end == 0 && slot.LastUse() == (cow.Use{}) {
				a.do(func() error { return s.remove(slot, cow.Use{}, &s.store.Stats().SlotsUnused, again) })
			}
		case ruleIdle:
			switch last := slot.LastUse(); {
			case last.End != e.end: // a later generation names it
			case now.Sub(time.Unix(last.ReadAt, 0)) < s.IdleSlot:
				again()
			default:
				a.do(func() error { return s.remove(slot, last, &s.store.Stats().SlotsIdle, again) })
			}
		}
	}); err != nil {
		s.log.Error("a list of when events came can't be read: what it names stays longer", "record", p.key)
	}
	return a.wait([rules]string{"event-ttl", "unused-slot-ttl", "slot-idle-ttl"}[rule])
}

func (s *Sweeper) trim(slot *cow.Slot, to uint64) error {
	_, _, err := s.store.Trim(slot, to)
	return notConflict(err)
}

// notConflict is nil where another relay has trimmed the slot too.
func notConflict(err error) error {
	if errors.Is(err, cow.ErrConflict) {
		return nil
	}
	return err
}

// remove ends a slot, unless it was used since last was its use. Then it calls again.
func (s *Sweeper) remove(slot *cow.Slot, last cow.Use, count *atomic.Uint64, again func()) error {
	err := s.store.RemoveUnused(slot, last)
	switch {
	case errors.Is(err, cow.ErrConflict):
		again()
		s.store.Stats().SlotsSpared.Add(1)
		return nil
	case err == nil:
		count.Add(1)
	}
	return err
}

// acts are acts on many slots, a few at a time: so they share syncs, and posts go on
// beside them.
type acts struct {
	s     *Sweeper
	wg    sync.WaitGroup
	turns chan struct{}
	mu    sync.Mutex
	err   error // the first; guarded by mu
	n     int
	looks bool      // an act may find that there is nothing to do
	was   [2]uint64 // events and bytes that had left
}

func (s *Sweeper) newActs() *acts {
	st := s.store.Stats()
	return &acts{s: s, turns: make(chan struct{}, workers), was: [2]uint64{st.EventsTrimmed.Load(), st.BytesTrimmed.Load()}}
}

// do begins an act when another has ended. False: there is no point in going on.
func (a *acts) do(act func() error) bool {
	select {
	case a.turns <- struct{}{}:
	case <-a.s.stop:
		return false
	}
	a.mu.Lock()
	failed := a.err != nil
	a.mu.Unlock()
	if failed {
		<-a.turns
		return false
	}
	a.n++
	a.wg.Go(func() {
		defer func() { <-a.turns }()
		if err := act(); err != nil && !errors.Is(err, cow.ErrNoSlot) {
			a.mu.Lock()
			a.err = errors.Join(a.err, err)
			a.mu.Unlock()
		}
	})
	return true
}

// wait returns when all acts have ended, and their errors. It says in the log what they
// did. Acts that looked, and had nothing to do, are no news.
func (a *acts) wait(why string) error {
	a.wg.Wait()
	select {
	case <-a.s.stop:
		a.err = errors.Join(a.err, cow.ErrClosed)
	default:
	}
	st := a.s.store.Stats()
	if events := st.EventsTrimmed.Load() - a.was[0]; a.n > 0 && (events > 0 || !a.looks || a.err != nil) {
		a.s.log.Info("retention", "by", why, "slots", a.n, "events", events, "bytes", st.BytesTrimmed.Load()-a.was[1], "error", a.err)
	}
	return a.err
}
