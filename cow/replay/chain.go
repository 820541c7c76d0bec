package replay

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"

	"cowrelay/cow"
)

// What stops a relay of a shared log, or keeps it from starting. Callers test for
// these, and for ErrTrimmed and ErrLost.
var (
	// ErrShared: the store belongs to a shared log, so it can't have one of its own.
	ErrShared = errors.New("replay: the store belongs to a log that relays share")
	// ErrOtherLog: the store belongs to another shared log.
	ErrOtherLog = errors.New("replay: the store belongs to another shared log")
	// ErrForeignData: the store holds data that the log knows nothing of.
	ErrForeignData = errors.New("replay: the store holds data of its own, and the shared log has begun without it")
	// ErrDiverged: two relays made something else of the same log.
	ErrDiverged = errors.New("replay: two relays have come to different states")
	// ErrNotOurs: what stands in the log was not written by relays.
	ErrNotOurs = errors.New("replay: the log does not begin as a log of relays does")
)

// maxProducers is how many producers a state knows: the newest by what they wrote. It
// is a variable for tests alone.
var maxProducers = 1024

// digests is how many digests a relay keeps to compare with: those behind the newest
// entries.
const digests = 1 << 14

// chain is what a state keeps of a shared log. Each entry moves the digest on: by its
// checksum, and by what became of its ops. So relays that made the same of the log have
// the same digest. Each entry carries that of its producer, and all others compare.
//
// A digest finds faults, not forgers: whoever can write to the log is trusted.
type chain struct {
	id     LogID
	base   uint64 // entry n of the log is entry base+n of the store
	digest uint64
	from   uint64          // ring has the digests behind entries from on
	ring   [digests]uint64 // the digest behind entry n of the log is at n % digests
}

// start sets the chain to where a store stands, behind entry applied of the log.
func (c *chain) start(applied, digest uint64) {
	c.from, c.digest = applied, digest
	c.ring[applied%digests] = digest
}

// check compares the header of entry n of the log with what this relay had made of the
// log up to where the header says. What is too old to compare passes. So does a header
// from before the log began: that is of a relay that wanted to begin it.
func (c *chain) check(h header, n uint64) error {
	switch {
	case h.applied >= n:
		return fmt.Errorf("%w: entry %d of the log says that its relay had applied entry %d", errEntry, n, h.applied)
	case h.applied == 0, h.applied < c.from, h.applied+digests < n:
		return nil
	}
	if mine := c.ring[h.applied%digests]; mine != h.digest {
		return fmt.Errorf("%w: behind entry %d of the log this one has digest %016x, the one that wrote entry %d has %016x", ErrDiverged, h.applied, mine, n, h.digest)
	}
	return nil
}

// add moves the digest over the entry with number seq of the store.
func (c *chain) add(seq uint64, checksum uint32, counts bool, results []result) uint64 {
	d := c.digest ^ uint64(checksum)<<1
	if counts {
		d++
	}
	d = mix(d)
	for i := range results {
		d = mix(d ^ (results[i].version<<2 | uint64(results[i].outcome)))
	}
	c.digest = d
	c.ring[(seq-c.base)%digests] = d
	return d
}

// mix spreads each bit over all, as the end of SplitMix64 does.
func mix(x uint64) uint64 {
	x += 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

// beginShared says whether an entry of a shared log counts: if its number is its
// producer's last plus one. Any other is a repeat, or comes before one that was lost on
// its way; its producer sends that again. A producer that is not known begins with
// number 1.
func (s *State) beginShared(h header, seq uint64, fx *effects) (bool, error) {
	if err := s.chain.check(h, seq-s.chain.base); err != nil {
		return false, err
	}
	s.seq = seq
	p, known := s.producers[h.producer]
	if h.number != p.number+1 {
		return false, nil
	}
	if !known && len(s.producers) >= maxProducers {
		s.forgetOldest(fx)
	}
	s.producers[h.producer] = produced{h.number, seq, p.part}
	return true, nil
}

// join notes an entry that counts, and returns the ops that it is to apply: with those
// of the parts that came before it, or none if it is a part itself.
//
// An act that is longer than the log takes in one entry comes in parts. What they hold
// waits in the table of producers, in the store too, for the entry that ends them. So
// the act happens at one number of the log, as every other.
func (s *State) join(h header, ops []byte, fx *effects) ([]byte, error) {
	p := s.producers[h.producer]
	part := p.part
	p.part = nil
	switch {
	case len(ops) > 0 && ops[0] == opPart:
		if p.part, ops = slices.Concat(part, ops[1:]), nil; len(p.part) > MaxEntry {
			return nil, fmt.Errorf("%w: its parts have %d bytes", errEntry, len(p.part))
		}
	case len(part) > 0:
		ops = slices.Concat(part, ops)
		fx.apart += int64(len(ops))
	}
	s.producers[h.producer] = p
	fx.produced(Producer{h.producer, p.number, p.seq, p.part})
	return ops, nil
}

// forgetOldest takes out the producer that was quiet for the longest, if there is one
// that is not in the middle of an act.
func (s *State) forgetOldest(fx *effects) {
	oldest, at, whole := uint64(0), ^uint64(0), false
	for id, p := range s.producers {
		if w := len(p.part) == 0; w && !whole || w == whole && p.seq < at {
			oldest, at, whole = id, p.seq, w
		}
	}
	delete(s.producers, oldest)
	s.forgot = oldest
	fx.produced(Producer{ID: oldest})
}

// produced notes a change of a producer. There are few of them.
func (fx *effects) produced(p Producer) {
	for i := range fx.producers {
		if fx.producers[i].ID == p.ID {
			fx.producers[i] = p
			return
		}
	}
	fx.producers = append(fx.producers, p)
}

// genesis is the first entry of a shared log.
type genesis struct {
	log    LogID
	data   bool   // it begins with what one store held
	base   uint64 // what that store had applied
	digest uint64 // that the chain begins with: random, so that each is another
}

func appendGenesis(b []byte, g genesis) []byte {
	b = append(append(b, opGenesis), g.log[:]...)
	if g.data {
		b = append(b, 1)
	} else {
		b = append(b, 0)
	}
	b = binary.AppendUvarint(b, g.base)
	return binary.BigEndian.AppendUint64(b, g.digest)
}

func (r *reader) genesis() (g genesis) {
	copy(g.log[:], r.take(uint64(len(g.log))))
	switch r.byte() {
	case 0:
	case 1:
		g.data = true
	default:
		r.fail("its beginning can't be read")
	}
	g.base, g.digest = r.uvarint(), r.mark()
	return g
}

// genesis reads the first op of the first entry. In any other entry it does nothing:
// that is of a relay that came second.
func (s *State) genesis(r *reader) result {
	g := r.genesis()
	switch {
	case r.err != nil:
	case s.chain == nil:
		r.fail("it begins a shared log, this one is not shared")
	case s.seq == s.chain.base+1:
		if g.log != s.chain.id || g.base != s.chain.base {
			r.fail("it begins another log")
		}
		return result{outcome: cow.Stored}
	}
	return result{outcome: cow.Conflict}
}

// genesisOf reads the entry that must be the first of a log.
func genesisOf(log LogID, entry []byte) (genesis, error) {
	_, r, err := openEntry(entry)
	if err != nil {
		return genesis{}, fmt.Errorf("%w: %w", ErrNotOurs, err)
	}
	if r.byte() != opGenesis {
		return genesis{}, fmt.Errorf("%w: its first entry says nothing of it", ErrNotOurs)
	}
	g := r.genesis()
	if r.err != nil {
		return genesis{}, fmt.Errorf("%w: %w", ErrNotOurs, r.err)
	}
	if g.log != log {
		return genesis{}, fmt.Errorf("%w: its first entry is of log %x, this is log %x", ErrNotOurs, g.log, log)
	}
	return g, nil
}

// skim reads the ops of an entry and does nothing. A relay calls it before it sends
// them: what can't be read would stop all others.
func skim(ops []byte) error {
	r := reader{b: ops}
	records := 0
	for len(r.b) > 0 && r.err == nil {
		switch kind := r.byte(); kind {
		case opAppend:
			r.slot()
			r.uvarint()
			r.uvarint()
			r.mark()
			r.skipEvents()
		case opCreate, opCreateOwned:
			r.slot()
			r.token()
			if kind == opCreateOwned {
				r.token()
			}
		case opRemove:
			r.slot()
			r.uvarint()
		case opTouch:
			r.slot()
			r.varint()
			r.varint()
		case opTrim:
			r.slot()
			r.uvarint()
			r.uvarint()
			r.uvarint()
		case opPut, opDelete:
			if records++; records > maxRecords {
				r.fail("it has too many records")
			}
			r.uvarint()
			r.take(r.uvarint())
			if kind == opPut {
				r.take(r.uvarint())
				r.totals()
			}
		case opCount:
			r.totals()
		case opGenesis:
			r.genesis()
		default:
			r.fail(fmt.Sprintf("it has an op of unknown kind %d", kind))
		}
	}
	return r.err
}
