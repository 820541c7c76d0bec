package share

import (
	"container/heap"
	"sync"
)

// A Ledger knows which client holds how many units of one bounded thing. New makes
// it. It must not be copied. All methods may be called concurrently.
type Ledger[K comparable] struct {
	// mu guards all that follows, and the accounts and holders.
	mu    sync.Mutex
	limit int64 // units in all
	share int64 // units of one client
	used  int64 // units that are held
	named int   // holders that Victim has named and that have not given back yet

	clients map[K]*account[K]
	order   accounts[K] // a heap: the client that holds the most is first
}

// A Holder holds some of a client's units. The zero value holds nothing and may
// take. It must not be copied, and must not take again while it holds.
type Holder[K comparable] struct {
	// Owner is what the caller of Victim ends. Set it before Take.
	Owner any

	// Guarded by Ledger.mu.
	account      *account[K] // nil: it holds nothing
	n            int64       // units
	leaving      bool        // Victim has named it
	older, newer *Holder[K]
}

// account is one client. Its holders stand in the order of their last use.
type account[K comparable] struct {
	client         K
	held           int64      // units
	at             int        // in the heap
	oldest, newest *Holder[K] // by their last use
	holders        int
}

// New returns a ledger of limit units, of which one client may hold share. A share
// of 0 is the limit.
func New[K comparable](limit, share int64) *Ledger[K] {
	l := &Ledger[K]{clients: make(map[K]*account[K])}
	l.SetLimits(limit, share)
	return l
}

// SetLimits changes both. Units that are held beyond them stay until they are given
// back.
func (l *Ledger[K]) SetLimits(limit, share int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if share <= 0 {
		share = limit
	}
	l.limit, l.share = limit, share
}

// Take takes n units, 0 or more, for the client. It reports whether limit and share
// allow it.
func (l *Ledger[K]) Take(h *Holder[K], client K, n int64) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if h.account != nil {
		panic("BUG: the holder holds a part already")
	}
	a := l.clients[client]
	if l.used+n > l.limit || n > l.share || a != nil && a.held+n > l.share {
		return false
	}
	if a == nil {
		a = &account[K]{client: client}
		l.clients[client] = a
		heap.Push(&l.order, a)
	}
	h.account, h.leaving = a, false
	a.append(h)
	a.holders++
	l.add(h, n)
	return true
}

// Grow takes n more units for a holder. It reports whether limit and share allow it.
// A holder that has given back can't grow.
func (l *Ledger[K]) Grow(h *Holder[K], n int64) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	a := h.account
	if a == nil || l.used+n > l.limit || a.held+n > l.share {
		return false
	}
	a.touch(h)
	l.add(h, n)
	return true
}

// Give gives back all units of the holder. If it holds none, nothing happens.
func (l *Ledger[K]) Give(h *Holder[K]) {
	l.mu.Lock()
	defer l.mu.Unlock()
	a := h.account
	if a == nil {
		return
	}
	l.add(h, -h.n)
	a.remove(h)
	h.account = nil
	if h.leaving {
		l.named--
	}
	if a.holders--; a.holders == 0 {
		heap.Remove(&l.order, a.at)
		delete(l.clients, a.client)
	}
}

// Touch makes the holder the last of its client's holders to give way.
func (l *Ledger[K]) Touch(h *Holder[K]) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if h.account != nil {
		h.account.touch(h)
	}
}

// Victim names a holder that is to give way (S3), or returns nil if it finds none.
// may says whether a holder may go. It is called under the ledger's lock and must
// not call the ledger.
//
// The holder still holds its units. The caller ends the holder's Owner and gives
// back for it. No holder is named twice.
func (l *Ledger[K]) Victim(may func(*Holder[K]) bool) *Holder[K] {
	l.mu.Lock()
	defer l.mu.Unlock()
	// The first three levels of the heap: the client that holds the most, and six
	// that hold nearly as much.
	for _, a := range l.order[:min(len(l.order), 7)] {
		if h := l.victim(a, may); h != nil {
			return h
		}
	}
	return nil
}

// VictimOf is Victim among one client's holders.
func (l *Ledger[K]) VictimOf(client K, may func(*Holder[K]) bool) *Holder[K] {
	l.mu.Lock()
	defer l.mu.Unlock()
	if a := l.clients[client]; a != nil {
		return l.victim(a, may)
	}
	return nil
}

// Each calls f for each holder. It is called under the ledger's lock and must not call
// the ledger.
func (l *Ledger[K]) Each(f func(*Holder[K])) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, a := range l.order {
		for h := a.oldest; h != nil; h = h.newer {
			f(h)
		}
	}
}

// Leaving returns how many holders were named to give way and have not given back
// yet.
func (l *Ledger[K]) Leaving() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.named
}

// Used returns how many units are held.
func (l *Ledger[K]) Used() int64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.used
}

// Held returns how many units the client holds.
func (l *Ledger[K]) Held(client K) int64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	if a := l.clients[client]; a != nil {
		return a.held
	}
	return 0
}

// Most returns the most units that any one client holds.
func (l *Ledger[K]) Most() int64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.order) == 0 {
		return 0
	}
	return l.order[0].held
}

// Clients returns how many clients hold something.
func (l *Ledger[K]) Clients() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.clients)
}

func (l *Ledger[K]) add(h *Holder[K], n int64) {
	h.n += n
	h.account.held += n
	l.used += n
	heap.Fix(&l.order, h.account.at)
}

// victimLook is how many of a client's holders one call looks at. It makes each of
// them the newest, so that the next call looks at others first.
const victimLook = 64

func (l *Ledger[K]) victim(a *account[K], may func(*Holder[K]) bool) *Holder[K] {
	for range min(a.holders, victimLook) {
		h := a.oldest
		a.touch(h)
		if !h.leaving && may(h) {
			h.leaving = true
			l.named++
			return h
		}
	}
	return nil
}

func (a *account[K]) touch(h *Holder[K]) {
	if a.newest != h {
		a.remove(h)
		a.append(h)
	}
}

func (a *account[K]) append(h *Holder[K]) {
	h.older, h.newer = a.newest, nil
	if a.newest != nil {
		a.newest.newer = h
	} else {
		a.oldest = h
	}
	a.newest = h
}

func (a *account[K]) remove(h *Holder[K]) {
	if h.older != nil {
		h.older.newer = h.newer
	} else {
		a.oldest = h.newer
	}
	if h.newer != nil {
		h.newer.older = h.older
	} else {
		a.newest = h.older
	}
	h.older, h.newer = nil, nil
}

// accounts implements heap.Interface.
type accounts[K comparable] []*account[K]

func (s accounts[K]) Len() int           { return len(s) }
func (s accounts[K]) Less(i, j int) bool { return s[i].held > s[j].held }
func (s accounts[K]) Swap(i, j int) {
	s[i], s[j] = s[j], s[i]
	s[i].at, s[j].at = i, j
}

func (s *accounts[K]) Push(x any) {
	a := x.(*account[K])
	a.at = len(*s)
	*s = append(*s, a)
}

func (s *accounts[K]) Pop() any {
	old := *s
	a := old[len(old)-1]
	old[len(old)-1] = nil
	*s = old[:len(old)-1]
	return a
}
