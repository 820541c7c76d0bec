package rendezvous

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"runtime/pprof"
	"sync"
	"time"

	"cowrelay/cow"
)

// sharedPairs are the pairs of relays that share their records: the two sides may
// talk to different relays. Each pair is a record under the hash of its code, and
// compare-and-set decides who comes first. Memory knows which pairs there are and
// whose they are, and follows the records.
//
// A pair is idle while no relay writes its record. A look does so too, when the last
// write was renewEvery ago: so a pair that is looked at stays, and one that nobody
// touches is gone after idle, or up to renewEvery later.
type sharedPairs struct {
	env sharedPairsEnv

	mu    sync.Mutex // guards the books
	books pairBooks

	renew chan string // keys of records whose time is to be written; a full one drops
	stop  chan struct{}
	ended sync.WaitGroup
	halt  func() // ends the watch
}

// sharedPairsEnv is what shared pairs need.
type sharedPairsEnv struct {
	records cow.Records
	gate    func() (done func(), err error)
	away    func() time.Duration // for how long the log can't be reached
	now     func() time.Time
	most    int           // pairs at once
	bytes   int64         // of their texts
	idle    time.Duration // after which a pair is gone
	charge  func(int64)   // counts bytes of memory on a budget
	log     *slog.Logger
}

const (
	pairPrefix     = "pair/"
	pairRenewals   = 1024 // that wait
	mostRenewEvery = 30 * time.Second
)

// pairKey is the key of the record of a code. The code may be long.
func pairKey(code string) string {
	sum := sha256.Sum256([]byte(code))
	return pairPrefix + hex.EncodeToString(sum[:])
}

func (e *sharedPairsEnv) renewEvery() time.Duration { return min(e.idle/10, mostRenewEvery) }

// over says whether a pair that was touched then is gone.
func (e *sharedPairsEnv) over(touched int64) bool {
	return e.now().Sub(time.Unix(touched, 0)) >= e.idle+e.renewEvery()
}

func openSharedPairs(env sharedPairsEnv) (*sharedPairs, error) {
	p := &sharedPairs{env: env, renew: make(chan string, pairRenewals), stop: make(chan struct{})}
	p.books.init()
	changed := make(map[string]bool) // while the records are read; nil behind that; guarded by mu
	p.halt = env.records.Watch(pairPrefix, func(key string, value []byte, version uint64) {
		p.mu.Lock()
		defer p.mu.Unlock()
		if changed != nil {
			changed[key] = true
		}
		p.note(key, value, version != 0)
	})
	err := env.records.List(pairPrefix, func(key string, value []byte, _ uint64) error {
		p.mu.Lock()
		defer p.mu.Unlock()
		if !changed[key] {
			p.note(key, value, true)
		}
		return nil
	})
	if err != nil {
		p.halt()
		return nil, fmt.Errorf("cannot read the pairs: %w", err)
	}
	p.mu.Lock()
	changed = nil
	p.mu.Unlock()
	p.run("pair-sweeps", p.sweeps)
	p.run("pair-renewals", p.renewals)
	return p, nil
}

func (p *sharedPairs) run(label string, f func()) {
	p.ended.Go(func() {
		pprof.Do(context.Background(), pprof.Labels("cow", label), func(context.Context) { f() })
	})
}

// close ends what the pairs do by themselves. The records stay.
func (p *sharedPairs) close() {
	close(p.stop)
	p.ended.Wait()
	p.halt()
	p.mu.Lock()
	defer p.mu.Unlock()
	p.env.charge(-int64(len(p.books.byKey)) * pairEntryBytes)
}

// note keeps memory in step with a record. mu is held.
func (p *sharedPairs) note(key string, value []byte, there bool) {
	before := len(p.books.byKey)
	p.books.drop(key)
	if there {
		rec, err := decodePair(value)
		if err != nil { // nobody can use it, so it is dropped when its time is over
			p.env.log.Error("the record of a pair can't be read", "err", err)
			rec = &pairRecord{Touched: p.env.now().Unix()}
		}
		p.books.add(key, rec, p.env.idle+p.env.renewEvery())
	}
	p.env.charge(int64(len(p.books.byKey)-before) * pairEntryBytes)
}

// change writes a pair as f makes it of what is recorded, nil if there is none. f may
// be called again, and must not keep what it is given. If it returns nil, the record
// is dropped.
func (p *sharedPairs) change(gate func() (func(), error), key string, f func(was *pairRecord) (next *pairRecord, count cow.Totals, err error)) error {
	done, err := gate()
	if err != nil {
		return err
	}
	defer done()
	for {
		value, version, err := p.env.records.Value(key)
		var was *pairRecord
		switch {
		case errors.Is(err, cow.ErrNoRecord):
			version = 0
		case err != nil:
			return err
		default:
			if was, err = decodePair(value); err != nil || p.env.over(was.Touched) {
				was = nil
			}
		}
		next, count, err := f(was)
		switch {
		case err != nil:
			return err
		case next == nil && version == 0:
			return nil
		case next == nil:
			err = p.env.records.Delete(key, version)
		default:
			_, err = p.env.records.Put(key, next.encode(), version, count)
		}
		if !errors.Is(err, cow.ErrConflict) {
			return err
		}
	}
}

func (p *sharedPairs) toDrop() (done func(), err error) { return toDrop(p.env.gate) }

// open is Pairs.Open.
func (p *sharedPairs) open(source Source, code, message string, role Role) (id string, err error) {
	key, made := pairKey(code), false
	var held *pairPlace
	defer func() { p.release(held) }()
	err = p.change(p.env.gate, key, func(was *pairRecord) (*pairRecord, cow.Totals, error) {
		p.release(held)
		held = nil
		var count cow.Totals
		if made = was == nil; made {
			was = &pairRecord{ID: newPairID(), By: source}
			count.PairOpens = 1
		}
		if was.Sides[role].Message != nil {
			return nil, count, ErrRoleTaken
		}
		var err error
		if held, err = p.reserve(source, made, textSize(&message)); err != nil {
			return nil, count, err
		}
		was.Sides[role].Message, was.Sides[role].MessageBy = &message, source
		was.Touched, id = p.env.now().Unix(), was.ID
		return was, count, nil
	})
	if err != nil {
		return "", err
	}
	if made {
		p.mu.Lock()
		p.books.opened++
		p.mu.Unlock()
	}
	return id, nil
}

// bootstrap is Pairs.Bootstrap.
func (p *sharedPairs) bootstrap(source Source, id, sealed string, role Role) error {
	key, ok := p.keyOf(id)
	if !ok {
		return ErrNoPair
	}
	var held *pairPlace
	defer func() { p.release(held) }()
	return p.change(p.env.gate, key, func(was *pairRecord) (*pairRecord, cow.Totals, error) {
		p.release(held)
		held = nil
		if was == nil || was.ID != id {
			return nil, cow.Totals{}, ErrNoPair
		}
		side := &was.Sides[role]
		var err error
		if held, err = p.reserve(source, false, textSize(&sealed)-textSize(side.Bootstrap)); err != nil {
			return nil, cow.Totals{}, err
		}
		side.Bootstrap, side.BootstrapBy = &sealed, source
		was.Touched = p.env.now().Unix()
		return was, cow.Totals{}, nil
	})
}

// look is Pairs.Look.
func (p *sharedPairs) look(id string, as Role) (message, bootstrap *string, err error) {
	key, ok := p.keyOf(id)
	if !ok {
		return nil, nil, ErrNoPair
	}
	value, _, err := p.env.records.Value(key)
	if errors.Is(err, cow.ErrNoRecord) {
		return nil, nil, ErrNoPair
	}
	if err != nil {
		return nil, nil, err
	}
	rec, err := decodePair(value)
	if err != nil || rec.ID != id || p.env.over(rec.Touched) {
		return nil, nil, ErrNoPair
	}
	if p.env.now().Sub(time.Unix(rec.Touched, 0)) >= p.env.renewEvery() && p.renews(key) {
		select {
		case p.renew <- key:
		default: // the next look asks again
			p.renewed(key)
		}
	}
	there := rec.Sides[as.other()]
	return there.Message, there.Bootstrap, nil
}

// abandon is Pairs.Abandon.
func (p *sharedPairs) abandon(code string) (there bool, err error) {
	err = p.change(p.toDrop, pairKey(code), func(was *pairRecord) (*pairRecord, cow.Totals, error) {
		there = was != nil
		return nil, cow.Totals{}, nil
	})
	return there, err
}

// keyOf returns the key of the record of a pair that is not over.
func (p *sharedPairs) keyOf(id string) (key string, ok bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.books.advance(p.env.now())
	e := p.books.byID[id]
	if e == nil {
		return "", false
	}
	return e.key, true
}

func (p *sharedPairs) len() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.books.advance(p.env.now())
	return len(p.books.byID)
}

func (p *sharedPairs) opened() uint64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.books.opened
}

// reserve holds a place for what a source is about to write, until it is released:
// what is written counts for itself then. One source may have a quarter of the pairs
// and half of the bytes. Source 0 is held by the totals only.
func (p *sharedPairs) reserve(source Source, made bool, bytes int64) (*pairPlace, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	b := &p.books
	b.advance(p.env.now())
	pairs := 0
	if made {
		pairs = 1
	}
	switch {
	case len(b.byID)+b.coming+pairs > p.env.most && made, b.bytes+bytes > p.env.bytes:
		return nil, ErrTooMany
	case source != 0 && (made && b.pairsOf[source] >= max(1, p.env.most/4) || b.bytesOf[source]+bytes > p.env.bytes/2):
		return nil, ErrShare
	}
	held := &pairPlace{source, pairs, bytes}
	b.coming += pairs
	b.hold(source, pairs, bytes)
	return held, nil
}

func (p *sharedPairs) release(held *pairPlace) {
	if held == nil {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.books.coming -= held.pairs
	p.books.hold(held.source, -held.pairs, -held.bytes)
}

// renews says whether nobody has asked yet for the time of a record to be written.
func (p *sharedPairs) renews(key string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	e := p.books.byKey[key]
	if e == nil || e.renewing {
		return false
	}
	e.renewing = true
	return true
}

func (p *sharedPairs) renewed(key string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if e := p.books.byKey[key]; e != nil {
		e.renewing = false
	}
}

// renewals writes the time of records that are looked at, until close. While the log
// is away it writes nothing.
func (p *sharedPairs) renewals() {
	for {
		select {
		case <-p.stop:
			return
		case key := <-p.renew:
			if p.env.away() == 0 {
				err := p.change(p.env.gate, key, func(was *pairRecord) (*pairRecord, cow.Totals, error) {
					if was == nil {
						return nil, cow.Totals{}, ErrNoPair
					}
					was.Touched = p.env.now().Unix()
					return was, cow.Totals{}, nil
				})
				if err != nil && !errors.Is(err, ErrNoPair) {
					p.env.log.Warn("the time of a pair can't be written; the next look tries again", "err", err)
				}
			}
			p.renewed(key)
		}
	}
}

// sweeps drops the records of pairs whose time is over, until close. All relays see
// the same pairs, so each waits for a random time: one of them is first, and the
// others hear of it.
func (p *sharedPairs) sweeps() {
	for {
		select {
		case <-p.stop:
			return
		case <-time.After(sweepEvery + rand.N(sweepEvery)):
		}
		if p.env.away() == 0 {
			p.sweep()
		}
	}
}

func (p *sharedPairs) sweep() {
	keys := make(chan string)
	var all sync.WaitGroup
	for range sweepers {
		all.Go(func() {
			for key := range keys {
				err := p.change(p.toDrop, key, func(was *pairRecord) (*pairRecord, cow.Totals, error) {
					if was != nil { // opened again
						return nil, cow.Totals{}, errNotOver
					}
					return nil, cow.Totals{}, nil
				})
				if err != nil && err != errNotOver {
					p.env.log.Warn("a pair can't be dropped; another sweep tries again", "err", err)
					p.mu.Lock()
					p.books.leaving = append(p.books.leaving, key)
					p.mu.Unlock()
				}
			}
		})
	}
	p.mu.Lock()
	p.books.advance(p.env.now())
	leaving := p.books.leaving
	p.books.leaving = nil
	p.mu.Unlock()
	for i, key := range leaving {
		select {
		case keys <- key:
			continue
		case <-p.stop:
		}
		p.mu.Lock()
		p.books.leaving = append(p.books.leaving, leaving[i:]...)
		p.mu.Unlock()
		break
	}
	close(keys)
	all.Wait()
}

var errNotOver = errors.New("rendezvous: the pair is not over")

// dropPairs drops the records of pairs that were left by relays that shared them: a
// relay that shares nothing has its pairs in memory, and clients open a pair again.
func dropPairs(records cow.Records) error {
	type record struct {
		key     string
		version uint64
	}
	var list []record
	err := records.List(pairPrefix, func(key string, _ []byte, version uint64) error {
		list = append(list, record{key, version})
		return nil
	})
	if err != nil {
		return fmt.Errorf("cannot read the pairs: %w", err)
	}
	var all sync.WaitGroup
	work := make(chan record)
	errs := make([]error, sweepers)
	for i := range sweepers {
		all.Go(func() {
			for r := range work {
				errs[i] = errors.Join(errs[i], records.Delete(r.key, r.version))
			}
		})
	}
	for _, r := range list {
		work <- r
	}
	close(work)
	all.Wait()
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("cannot drop the pairs that were shared: %w", err)
	}
	return nil
}
