package act

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"cowrelay/bench/fleet/call"
	"cowrelay/bench/fleet/check"
)

// Config says how many act, and how fast.
type Config struct {
	Seed    uint64
	Slots   int // that all share; the last third has events without ids
	Actors  int
	Readers int           // that read by streams, beside two of each large slot
	Large   int           // further slots that all share, with events so large that the oldest leave
	Think   time.Duration // the longest pause between two acts of an actor
}

// Defaults returns a load that two cores can serve beside relays and servers.
func Defaults(seed uint64) Config {
	return Config{Seed: seed, Slots: 5, Large: 2, Actors: 14, Readers: 5, Think: 25 * time.Millisecond}
}

// A Load is a round's clients. Setup makes what they share; Run starts them.
type Load struct {
	cfg    Config
	c      *call.Client
	slots  []call.Slot
	agents []call.Agent // three nicks, of which each has two agents
	homes  []call.Slot  // of the agents
	marks  atomic.Int64 // makes keys unique
	name   string       // begins every key of the round

	invites atomic.Pointer[invite]

	mu     sync.Mutex
	recent [][]call.Event // mu; of each slot, events to post again and to pull behind

	readers []*reader
	stop    chan struct{} // closed when actors shall end
	actors  sync.WaitGroup
	follow  context.CancelFunc // ends streams
	streams sync.WaitGroup
}

type invite struct {
	token string
	uses  int
}

// New returns a round's clients.
func New(cfg Config, c *call.Client) *Load {
	return &Load{
		cfg: cfg, c: c, name: fmt.Sprintf("%x-%x", cfg.Seed, time.Now().UnixNano()&0xffffff),
		recent: make([][]call.Event, cfg.Slots+cfg.Large), stop: make(chan struct{}),
	}
}

// random returns a source of its own for one part of the load.
func (l *Load) random(part uint64) *rand.Rand { return rand.New(rand.NewPCG(l.cfg.Seed, part)) }

// relay picks a relay.
func (l *Load) relay(r *rand.Rand) int { return r.IntN(len(l.c.Relays)) }

// Setup makes the slots, and the agents' homes.
func (l *Load) Setup(ctx context.Context) error {
	r := l.random(1 << 40)
	allocate := func() (call.Slot, error) {
		s, k := l.c.Allocate(ctx, l.relay(r))
		if k.Status != 201 || s.ID == "" {
			return s, fmt.Errorf("no slot: status %d %s", k.Status, k.Text)
		}
		return s, nil
	}
	for range l.cfg.Slots + l.cfg.Large {
		s, err := allocate()
		if err != nil {
			return err
		}
		l.slots = append(l.slots, s)
	}
	for n := range 6 {
		nick := fmt.Sprintf("n%x-%d", time.Now().UnixNano()&0xffffffffff, n/2)
		if n%2 == 1 {
			nick = l.agents[n-1].Nick
		}
		s, err := allocate()
		if err != nil {
			return err
		}
		l.agents = append(l.agents, call.NewAgent(nick, fmt.Sprint(l.name, n)))
		l.homes = append(l.homes, s)
	}
	return l.newInvite(ctx, r)
}

func (l *Load) newInvite(ctx context.Context, r *rand.Rand) error {
	uses := 1 + r.IntN(6)
	token, err := l.c.Invite(ctx, l.relay(r), uses, l.mark())
	if err == nil {
		l.invites.Store(&invite{token, uses})
	}
	return err
}

func (l *Load) mark() string { return fmt.Sprintf("%s-%d", l.name, l.marks.Add(1)) }

// Run starts all clients.
func (l *Load) Run(ctx context.Context) {
	for n := range l.cfg.Actors {
		r := l.random(uint64(n))
		l.actors.Go(func() {
			for {
				l.one(ctx, r)
				select {
				case <-l.stop:
					return
				case <-ctx.Done():
					return
				case <-time.After(time.Duration(r.Int64N(int64(l.cfg.Think)))):
				}
			}
		})
	}
	ctx, l.follow = context.WithCancel(ctx)
	for n := range l.cfg.Readers + 2*l.cfg.Large {
		slot := n % l.cfg.Slots
		if n >= l.cfg.Readers {
			slot = l.cfg.Slots + (n-l.cfg.Readers)/2
		}
		rd := &reader{load: l, slot: slot, r: l.random(uint64(1000 + n))}
		rd.positions = !l.hasIDs(rd.slot) || n%2 == 0
		l.readers = append(l.readers, rd)
		l.streams.Go(func() { rd.run(ctx) })
	}
}

// hasIDs says whether all events of a slot have ids.
func (l *Load) hasIDs(slot int) bool { return slot < l.cfg.Slots-l.cfg.Slots/3 || l.large(slot) }

// large says whether a slot has large events. What has left can be stored again, so each of
// them is posted once.
func (l *Load) large(slot int) bool { return slot >= l.cfg.Slots }

// one does one act.
func (l *Load) one(ctx context.Context, r *rand.Rand) {
	relay, slot := l.relay(r), r.IntN(len(l.slots))
	switch p := r.IntN(100); {
	case p < 38:
		l.post(ctx, r, relay, slot)
	case p < 46:
		l.batch(ctx, r, relay, slot)
	case p < 66:
		l.pull(ctx, r, relay, slot)
	case p < 78:
		l.claim(ctx, r, relay)
	case p < 86:
		l.use(ctx, r, relay)
	case p < 91:
		l.health(ctx, r, relay, slot)
	case p < 94:
		l.token(ctx, r, slot)
	case p < 96:
		l.rotate(ctx, r)
	case p < 97:
		l.block(ctx, r)
	case p < 98:
		l.pair(ctx, r)
	default:
		l.life(ctx, r)
	}
}

// event makes a new event.
func (l *Load) event(r *rand.Rand, slot int) call.Event {
	mark := l.mark()
	pad := fmt.Sprintf("%0*d", 10+r.IntN(300), 7)
	if l.large(slot) {
		pad = fmt.Sprintf("%0*d", 8000+r.IntN(8000), 7)
	}
	if l.hasIDs(slot) || r.IntN(2) == 0 {
		return call.Event{Key: mark, ID: mark, Text: fmt.Sprintf(`{"event_id":%q,"pad":%q}`, mark, pad)}
	}
	return call.Event{Key: mark, Text: fmt.Sprintf(`{"mark":%q,"pad":%q}`, mark, pad)}
}

// again returns an event with an id that was posted before, perhaps with another
// text.
func (l *Load) again(r *rand.Rand, slot int) (call.Event, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	list := l.recent[slot]
	if len(list) == 0 {
		return call.Event{}, false
	}
	e := list[r.IntN(len(list))]
	if r.IntN(4) == 0 {
		e.Text = fmt.Sprintf(`{"event_id":%q,"other":%d}`, e.ID, r.IntN(1000))
	}
	return e, true
}

// remember keeps events for again.
func (l *Load) remember(r *rand.Rand, slot int, e call.Event) {
	if e.ID == "" {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	const most = 64
	if list := l.recent[slot]; len(list) < most {
		l.recent[slot] = append(list, e)
	} else {
		list[r.IntN(most)] = e
	}
}

func (l *Load) post(ctx context.Context, r *rand.Rand, relay, slot int) {
	e := l.event(r, slot)
	if l.large(slot) {
		l.remember(r, slot, e)
		l.c.Post(ctx, relay, l.slots[slot], e)
		return
	}
	if old, ok := l.again(r, slot); ok && r.IntN(5) == 0 {
		e = old
	}
	l.remember(r, slot, e) // before it is stored: others post it meanwhile
	k := l.c.Post(ctx, relay, l.slots[slot], e)
	// An agent sends again what was not answered, to any relay.
	for n := 0; n < 2 && (k.Outcome() == call.Unknown || k.Unsent) && e.ID != "" && ctx.Err() == nil; n++ {
		k = l.c.Post(ctx, l.relay(r), l.slots[slot], e)
	}
}

func (l *Load) batch(ctx context.Context, r *rand.Rand, relay, slot int) {
	if l.large(slot) {
		l.post(ctx, r, relay, slot)
		return
	}
	var es []call.Event
	for range 2 + r.IntN(20) {
		e := l.event(r, slot)
		if old, ok := l.again(r, slot); ok && r.IntN(12) == 0 {
			e = old
		}
		es = append(es, e)
	}
	l.c.Batch(ctx, relay, l.slots[slot], es)
	l.remember(r, slot, es[0])
}

func (l *Load) pull(ctx context.Context, r *rand.Rand, relay, slot int) {
	p := call.Page{From: int64(r.IntN(40)) * int64(r.IntN(10)), Limit: 1 + r.IntN(60), Consistent: r.IntN(2) == 0}
	if l.large(slot) {
		p.Limit = 1 + r.IntN(12)
	}
	if r.IntN(3) == 0 {
		if e, ok := l.again(r, slot); ok {
			p.From, p.Since = -1, e.ID
		}
	}
	l.c.Pull(ctx, relay, l.slots[slot], p)
}

// claim claims, unclaims or looks for a nick that two agents want.
func (l *Load) claim(ctx context.Context, r *rand.Rand, relay int) {
	n := r.IntN(len(l.agents))
	switch p := r.IntN(10); {
	case p < 6:
		l.c.Claim(ctx, relay, l.agents[n], l.homes[n])
	case p < 9:
		l.c.Unclaim(ctx, relay, l.agents[n], l.homes[n])
	default:
		l.c.Lookup(ctx, relay, l.agents[n].Nick)
	}
}

// use takes the invite that all share, and now and then makes a new one.
func (l *Load) use(ctx context.Context, r *rand.Rand, relay int) {
	if r.IntN(12) == 0 {
		_ = l.newInvite(ctx, r) // without it the last one goes on
	}
	in := l.invites.Load()
	l.c.Use(ctx, relay, in.token, in.uses)
}

// token makes a token, uses it on another relay, revokes it, and tries it on all
// relays.
func (l *Load) token(ctx context.Context, r *rand.Rand, slot int) {
	s := l.slots[slot]
	token, k := l.c.Make(ctx, l.relay(r), s)
	if k.Status != 201 {
		return
	}
	l.c.PostAs(ctx, l.relay(r), s, token, k.Key, l.event(r, slot))
	l.c.PullAs(ctx, l.relay(r), s, token, k.Key, call.Page{Limit: 1})
	if l.c.Revoke(ctx, l.relay(r), s, k.Key).Status != 204 {
		return
	}
	l.tryDead(ctx, func(relay int) { l.c.PullAs(ctx, relay, s, token, k.Key, call.Page{Limit: 1}) })
}

// rotate makes a slot, gives it another slot token, uses that on another relay, and
// tries the old one on all relays.
func (l *Load) rotate(ctx context.Context, r *rand.Rand) {
	s, k := l.c.Allocate(ctx, l.relay(r))
	if k.Status != 201 {
		return
	}
	old, number := s.Token, s.ID+"-0"
	l.c.PullAs(ctx, l.relay(r), s, old, number, call.Page{Limit: 1})
	token, k := l.c.Rotate(ctx, l.relay(r), s, number, s.ID+"-1")
	if k.Status != 201 {
		return
	}
	l.c.PostAs(ctx, l.relay(r), s, token, k.Key, l.event(r, 0))
	l.tryDead(ctx, func(relay int) {
		l.c.PullAs(ctx, relay, s, old, number, call.Page{Limit: 1})
		l.c.PullAs(ctx, relay, s, token, k.Key, call.Page{Limit: 1})
	})
}

// tryDead tries a token that is dead on all relays, at once and when all have to know.
func (l *Load) tryDead(ctx context.Context, try func(relay int)) {
	// Long enough for the checker's second, and a look before it.
	for _, pause := range []time.Duration{50 * time.Millisecond, 1010 * time.Millisecond} {
		select {
		case <-l.stop:
			return
		case <-ctx.Done():
			return
		case <-time.After(pause):
		}
		for relay := range l.c.Relays {
			try(relay)
		}
	}
}

// life makes a slot, uses it on other relays, and deletes it.
func (l *Load) life(ctx context.Context, r *rand.Rand) {
	s, k := l.c.Allocate(ctx, l.relay(r))
	if k.Status != 201 {
		return
	}
	for range 1 + r.IntN(4) {
		l.c.Post(ctx, l.relay(r), s, l.event(r, 0))
	}
	l.c.Pull(ctx, l.relay(r), s, call.Page{Limit: 10, Consistent: true})
	l.c.Delete(ctx, l.relay(r), s)
	for range 2 {
		l.c.Post(ctx, l.relay(r), s, l.event(r, 0))
		l.c.Pull(ctx, l.relay(r), s, call.Page{Limit: 10, Consistent: r.IntN(2) == 0})
	}
}

// Stop ends the actors. Streams go on.
func (l *Load) Stop() {
	close(l.stop)
	l.actors.Wait()
}

// Follow waits until each stream has brought as many events as its slot has, or, where
// events have left, its newest one, or d has passed. Then it ends the streams and returns
// what they brought.
func (l *Load) Follow(ctx context.Context, reads []check.Read, d time.Duration) []check.Trail {
	end := time.Now().Add(d)
	slots := map[string]*check.Read{}
	for i := range reads {
		slots[reads[i].Slot] = &reads[i]
	}
	for time.Now().Before(end) && ctx.Err() == nil {
		all := true
		for _, rd := range l.readers {
			s := slots[l.slots[rd.slot].ID]
			all = all && (s == nil || rd.has(s))
		}
		if all {
			break
		}
		time.Sleep(20 * time.Millisecond)
	}
	l.follow()
	l.streams.Wait()
	var trails []check.Trail
	for _, rd := range l.readers {
		trails = append(trails, check.Trail{Slot: l.slots[rd.slot].ID, Moves: rd.moves, Positions: rd.positions, Frames: rd.frames, Refused: rd.refused})
	}
	return trails
}

// Slots returns the slots that all share.
func (l *Load) Slots() []call.Slot { return l.slots }
