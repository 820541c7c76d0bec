package rendezvous

import (
	"container/list"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"cowrelay/cow/share"
)

// Role is one of the two sides that pair.
type Role uint8

const (
	Host Role = iota
	Guest
)

// ParseRole reads a role's name.
func ParseRole(name string) (Role, bool) {
	switch name {
	case "host":
		return Host, true
	case "guest":
		return Guest, true
	}
	return 0, false
}

func (r Role) other() Role { return 1 - r }

// MaxPairField is how many bytes each text may have that a side leaves.
const MaxPairField = 8 << 10

// Errors of Pairs. ErrTooMany and ErrShare are those of invites too.
var (
	ErrNoPair    = errors.New("rendezvous: no such pair")
	ErrRoleTaken = errors.New("rendezvous: that role has come already")
	ErrTooMany   = errors.New("rendezvous: as many as there may be")
	ErrShare     = errors.New("rendezvous: as many as one source may have")
)

// Pairs is where two agents that share a code meet: each leaves a message for the
// other, and later a sealed bootstrap. A pair that nobody touches is gone after a
// time. Pairs live in memory, or in the records where relays share them.
//
// One source may open a quarter of the pairs, and its texts may take half of the
// bytes. Source 0 is held by the totals only.
//
// NewPairs makes it. All methods may be called concurrently; each takes one mutex
// for the time of a map access.
type Pairs struct {
	most  int           // pairs at once
	bytes int64         // of texts
	idle  time.Duration // after which a pair is gone
	now   func() int64  // monotonic, in nanoseconds

	// Both ledgers have a lock of their own, taken under mu.
	places *share.Ledger[Source] // pairs
	texts  *share.Ledger[Source] // bytes

	shared *sharedPairs // nil: the pairs are this relay's own

	refused atomic.Uint64
	count   func()      // what a pair that was made is counted with; nil: nothing
	charge  func(int64) // counts the bytes of texts on a budget; nil: nothing

	mu     sync.Mutex // guards all that follows, and the pairs
	byCode map[[sha256.Size]byte]*pair
	byID   map[string]*pair
	order  list.List // of *pair: the one that was touched least recently is first
	held   int64     // bytes of texts
	opened uint64
}

// pair is one meeting.
type pair struct {
	code      [sha256.Size]byte // hash of the code's hash, which may be long
	id        string            // 32 hex digits
	touchedNs int64             // on Pairs.now
	order     *list.Element
	place     share.Holder[Source] // of whoever opened it
	sides     [2]side
}

// side is what one role has left.
type side struct{ message, bootstrap text }

// text is one text, with the bytes that a source holds for it.
type text struct {
	value *string // nil: nothing yet
	held  *share.Holder[Source]
}

// textBytes is about what a text takes beside its bytes.
const textBytes = 256

// NewPairs returns a place for most pairs at once, whose texts take up to so many
// bytes.
func NewPairs(most int, bytes int64, idle time.Duration, now func() int64) *Pairs {
	return &Pairs{
		most: most, bytes: bytes, idle: idle, now: now,
		places: share.New[Source](int64(most), max(1, int64(most)/4)), texts: share.New[Source](2*bytes, bytes/2), // held bounds the sum
		byCode: make(map[[sha256.Size]byte]*pair), byID: make(map[string]*pair),
	}
}

// Open leaves a message for the other role of the code, and returns the pair's id,
// the same for both roles. Errors: ErrRoleTaken, ErrTooMany, ErrShare.
func (p *Pairs) Open(source Source, code, message string, role Role) (id string, err error) {
	if p.shared != nil {
		id, err := p.shared.open(source, code, message, role)
		return id, p.refusedIf(err)
	}
	id, made, err := p.open(source, code, message, role)
	if made && p.count != nil {
		p.count() // without the lock
	}
	return id, err
}

// open is Open. made: the role is the first of the two.
func (p *Pairs) open(source Source, code, message string, role Role) (id string, made bool, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.sweep()
	key := sha256.Sum256([]byte(code))
	x := p.byCode[key]
	if x != nil && x.sides[role].message.value != nil {
		return "", false, ErrRoleTaken
	}
	made = x == nil
	if made {
		x = &pair{code: key, id: newPairID()}
		switch {
		case len(p.byID) >= p.most:
			return "", false, p.refuse(ErrTooMany)
		case source != 0 && !p.places.Take(&x.place, source, 1):
			return "", false, p.refuse(ErrShare)
		}
	}
	if err := p.leave(&x.sides[role].message, source, message); err != nil {
		if made {
			p.places.Give(&x.place)
		}
		return "", false, err
	}
	if made {
		x.order = p.order.PushBack(x)
		p.byCode[key], p.byID[x.id] = x, x
		p.opened++
	}
	p.touch(x)
	return x.id, made, nil
}

// Bootstrap leaves a sealed bootstrap for the other role. It replaces an earlier
// one. Errors: ErrNoPair, ErrTooMany, ErrShare.
func (p *Pairs) Bootstrap(source Source, id, sealed string, role Role) error {
	if p.shared != nil {
		return p.refusedIf(p.shared.bootstrap(source, id, sealed, role))
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.sweep()
	x := p.byID[id]
	if x == nil {
		return ErrNoPair
	}
	if err := p.leave(&x.sides[role].bootstrap, source, sealed); err != nil {
		return err
	}
	p.touch(x)
	return nil
}

// Look returns what the other role has left for this one, nil for what it has
// not. Errors: ErrNoPair.
func (p *Pairs) Look(id string, as Role) (message, bootstrap *string, err error) {
	if p.shared != nil {
		return p.shared.look(id, as)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.sweep()
	x := p.byID[id]
	if x == nil {
		return nil, nil, ErrNoPair
	}
	p.touch(x)
	there := x.sides[as.other()]
	return there.message.value, there.bootstrap.value, nil
}

// Has says whether there is a pair with this id.
func (p *Pairs) Has(id string) bool {
	if p.shared != nil {
		_, ok := p.shared.keyOf(id)
		return ok
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.sweep()
	return p.byID[id] != nil
}

// Abandon drops the pair of a code, and says whether there is one.
func (p *Pairs) Abandon(code string) (there bool, err error) {
	if p.shared != nil {
		return p.shared.abandon(code)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	x := p.byCode[sha256.Sum256([]byte(code))]
	if x != nil {
		p.drop(x)
	}
	return x != nil, nil
}

// Len returns how many pairs are open.
func (p *Pairs) Len() int {
	if p.shared != nil {
		return p.shared.len()
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.sweep()
	return len(p.byID)
}

// Opened returns how many pairs have been opened here, and Refused how many texts were
// refused because there was no room.
func (p *Pairs) Opened() uint64 {
	if p.shared != nil {
		return p.shared.opened()
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.opened
}

// Refused is described at Opened.
func (p *Pairs) Refused() uint64 { return p.refused.Load() }

// Most returns how many pairs there may be at once.
func (p *Pairs) Most() int { return p.most }

// leave sets a text, in place of an earlier one.
func (p *Pairs) leave(at *text, source Source, value string) error {
	n := int64(len(value)) + textBytes
	if p.held+n-at.bytes() > p.bytes {
		return p.refuse(ErrTooMany)
	}
	h := new(share.Holder[Source])
	if source != 0 && !p.texts.Take(h, source, n) {
		return p.refuse(ErrShare)
	}
	p.take(at)
	*at = text{&value, h}
	p.hold(n)
	return nil
}

// take takes a text away.
func (p *Pairs) take(at *text) {
	if at.value != nil {
		p.hold(-at.bytes())
		p.texts.Give(at.held)
	}
}

// hold counts bytes of texts.
func (p *Pairs) hold(n int64) {
	p.held += n
	if p.charge != nil {
		p.charge(n)
	}
}

func (t *text) bytes() int64 {
	if t.value == nil {
		return 0
	}
	return int64(len(*t.value)) + textBytes
}

func (p *Pairs) refuse(err error) error {
	p.refused.Add(1)
	return err
}

// refusedIf counts an error of shared pairs that says that there is no room.
func (p *Pairs) refusedIf(err error) error {
	if errors.Is(err, ErrTooMany) || errors.Is(err, ErrShare) {
		p.refused.Add(1)
	}
	return err
}

func (p *Pairs) touch(x *pair) {
	x.touchedNs = p.now()
	p.order.MoveToBack(x.order)
}

// sweep drops pairs that have been idle for too long. It looks only at those.
func (p *Pairs) sweep() {
	limit := p.now() - int64(p.idle)
	for e := p.order.Front(); e != nil; e = p.order.Front() {
		x := e.Value.(*pair)
		if x.touchedNs > limit {
			return
		}
		p.drop(x)
	}
}

func (p *Pairs) drop(x *pair) {
	for i := range x.sides {
		p.take(&x.sides[i].message)
		p.take(&x.sides[i].bootstrap)
	}
	p.places.Give(&x.place)
	p.order.Remove(x.order)
	delete(p.byCode, x.code)
	delete(p.byID, x.id)
}

// close drops all pairs that are in memory.
func (p *Pairs) close() {
	if p.shared != nil {
		p.shared.close()
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, x := range p.byID {
		p.drop(x)
	}
}

func newPairID() string {
	var id [16]byte
	rand.Read(id[:])
	return hex.EncodeToString(id[:])
}
