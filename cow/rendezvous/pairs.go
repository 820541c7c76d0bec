package rendezvous

import (
	"container/list"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"sync"
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

// Errors of Pairs.
var (
	ErrNoPair    = errors.New("rendezvous: no such pair")
	ErrRoleTaken = errors.New("rendezvous: that role has come already")
	ErrTooMany   = errors.New("rendezvous: as many as there may be")
)

// Pairs is where two agents that share a code meet: each leaves a message for the
// other, and later a sealed bootstrap. It lives in memory, and a pair that nobody
// touches is gone after a time. K names a source of requests.
//
// NewPairs makes it. All methods may be called concurrently; each takes one mutex
// for the time of a map access.
type Pairs[K comparable] struct {
	most int           // pairs at once
	idle time.Duration // after which a pair is gone
	now  func() int64  // monotonic, in nanoseconds

	books *share.Ledger[K] // bytes that each source's pairs take

	mu     sync.Mutex // guards all that follows, and the pairs
	byCode map[[sha256.Size]byte]*pair[K]
	byID   map[string]*pair[K]
	order  list.List // of *pair[K]: the one that was touched least recently is first
	opened uint64
}

// pair is one meeting.
type pair[K comparable] struct {
	code      [sha256.Size]byte // hash of the code's hash, which may be long
	id        string            // 32 hex digits
	touchedNs int64             // on Pairs.now
	place     *list.Element
	sides     [2]side
	held      []*share.Holder[K] // what sources hold for it
}

// side is what one role has left. Nil: nothing yet.
type side struct{ message, bootstrap *string }

// pairBytes is about what a pair takes beside its texts.
const pairBytes = 512

// NewPairs returns a place for most pairs at once, which take up to bytes, of
// which one source's take up to half.
func NewPairs[K comparable](most int, bytes int64, idle time.Duration, now func() int64) *Pairs[K] {
	return &Pairs[K]{
		most: most, idle: idle, now: now, books: share.New[K](bytes, bytes/2),
		byCode: make(map[[sha256.Size]byte]*pair[K]), byID: make(map[string]*pair[K]),
	}
}

// Open leaves a message for the other role of the code, and returns the pair's id,
// the same for both roles. Errors: ErrRoleTaken, ErrTooMany.
func (p *Pairs[K]) Open(source K, code, message string, role Role) (id string, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.sweep()
	key := sha256.Sum256([]byte(code))
	x := p.byCode[key]
	if x != nil && x.sides[role].message != nil {
		return "", ErrRoleTaken
	}
	made := x == nil
	if made {
		if len(p.byID) >= p.most {
			return "", ErrTooMany
		}
		x = &pair[K]{code: key, id: newPairID()}
	}
	if !p.hold(x, source, len(message)) {
		return "", ErrTooMany
	}
	x.sides[role].message = &message
	if made {
		x.place = p.order.PushBack(x)
		p.byCode[key], p.byID[x.id] = x, x
		p.opened++
	}
	p.touch(x)
	return x.id, nil
}

// Bootstrap leaves a sealed bootstrap for the other role. It replaces an earlier
// one. Errors: ErrNoPair, ErrTooMany.
func (p *Pairs[K]) Bootstrap(source K, id, sealed string, role Role) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.sweep()
	x := p.byID[id]
	if x == nil {
		return ErrNoPair
	}
	old := x.sides[role].bootstrap
	if n := len(sealed); old == nil || n > len(*old) {
		if old != nil {
			n -= len(*old)
		}
		if !p.hold(x, source, n) {
			return ErrTooMany
		}
	}
	x.sides[role].bootstrap = &sealed
	p.touch(x)
	return nil
}

// Look returns what the other role has left for this one, nil for what it has
// not. Errors: ErrNoPair.
func (p *Pairs[K]) Look(id string, as Role) (message, bootstrap *string, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.sweep()
	x := p.byID[id]
	if x == nil {
		return nil, nil, ErrNoPair
	}
	p.touch(x)
	there := x.sides[as.other()]
	return there.message, there.bootstrap, nil
}

// Has says whether there is a pair with this id.
func (p *Pairs[K]) Has(id string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.sweep()
	return p.byID[id] != nil
}

// Abandon drops the pair of a code, if there is one.
func (p *Pairs[K]) Abandon(code string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if x := p.byCode[sha256.Sum256([]byte(code))]; x != nil {
		p.drop(x)
	}
}

// Len returns how many pairs are open, and Opened how many have been since the
// start.
func (p *Pairs[K]) Len() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.sweep()
	return len(p.byID)
}

// Opened returns how many pairs have been opened.
func (p *Pairs[K]) Opened() uint64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.opened
}

// hold books n bytes of a source for a pair.
func (p *Pairs[K]) hold(x *pair[K], source K, n int) bool {
	h := new(share.Holder[K])
	if !p.books.Take(h, source, int64(n)+pairBytes/2) {
		return false
	}
	x.held = append(x.held, h)
	return true
}

func (p *Pairs[K]) touch(x *pair[K]) {
	x.touchedNs = p.now()
	p.order.MoveToBack(x.place)
}

// sweep drops pairs that have been idle for too long. It looks only at those.
func (p *Pairs[K]) sweep() {
	limit := p.now() - int64(p.idle)
	for e := p.order.Front(); e != nil; e = p.order.Front() {
		x := e.Value.(*pair[K])
		if x.touchedNs > limit {
			return
		}
		p.drop(x)
	}
}

func (p *Pairs[K]) drop(x *pair[K]) {
	for _, h := range x.held {
		p.books.Give(h)
	}
	p.order.Remove(x.place)
	delete(p.byCode, x.code)
	delete(p.byID, x.id)
}

func newPairID() string {
	var id [16]byte
	rand.Read(id[:])
	return hex.EncodeToString(id[:])
}
