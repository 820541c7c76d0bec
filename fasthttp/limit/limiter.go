package limit

import (
	"sync/atomic"
	"time"

	"cowrelay/cow/rate"
	"cowrelay/fasthttp/accept"
)

// MaxClients is how many clients a class remembers, at some 100 bytes each. A
// client whose bucket is full again can be forgotten without a loss. With limits as
// wide as the default ones it soon is.
const MaxClients = 1 << 15

// Limiter holds clients to their rates, and counts those that asked too often. New
// makes it; any goroutine may ask.
type Limiter struct {
	rates    Rates
	byClient [Total]*rate.Limiter[accept.Client]
	total    *rate.Bucket
	refused  *[Classes]atomic.Uint64 // of this limiter and of those before it
}

// New returns a limiter. It takes over the counts of old, if there is one, and what
// old knows of the classes whose limit stays.
func New(to Rates, old *Limiter) *Limiter {
	l := &Limiter{rates: to}
	if old != nil {
		l.refused = old.refused
	} else {
		l.refused = new([Classes]atomic.Uint64)
	}
	for c := range l.byClient {
		if old != nil && old.rates[c] == to[c] {
			l.byClient[c] = old.byClient[c]
		} else {
			l.byClient[c] = rate.NewLimiter[accept.Client](to[c], MaxClients)
		}
	}
	if old != nil && old.rates[Total] == to[Total] {
		l.total = old.total
	} else {
		l.total = rate.NewBucket(to[Total])
	}
	return l
}

// Allow takes one request of a class from the client's rate and then from the
// total. If one of them is used up, it says which, and how long until there is room
// again. nowNs is a clock that never goes back.
func (l *Limiter) Allow(class Class, client accept.Client, nowNs int64) (over Class, wait time.Duration, ok bool) {
	if ok, wait := l.byClient[class].Allow(client, nowNs); !ok {
		l.refused[class].Add(1)
		return class, wait, false
	}
	// The total comes second: a client that is refused for itself takes nothing
	// from the others.
	if ok, wait := l.total.Allow(nowNs); !ok {
		l.refused[Total].Add(1)
		return Total, wait, false
	}
	return 0, 0, true
}

// AllowHandshake takes one handshake of TLS from the client's rate. It is no request,
// and counts for no total.
func (l *Limiter) AllowHandshake(client accept.Client, nowNs int64) bool {
	ok, _ := l.byClient[Handshake].Allow(client, nowNs)
	if !ok {
		l.refused[Handshake].Add(1)
	}
	return ok
}

// More takes n more for a request that Allow has let pass, which so counts for n
// requests and one. One that is larger than a client's or the total burst passes when
// that is whole, and the next ones wait until it is paid for.
func (l *Limiter) More(class Class, client accept.Client, n int, nowNs int64) (over Class, wait time.Duration, ok bool) {
	if ok, wait := l.byClient[class].More(client, n, nowNs); !ok {
		l.refused[class].Add(1)
		return class, wait, false
	}
	if ok, wait := l.total.More(n, nowNs); !ok {
		l.refused[Total].Add(1)
		return Total, wait, false
	}
	return 0, 0, true
}

// Refused calls show for each class with how many requests were refused.
func (l *Limiter) Refused(show func(class string, n uint64)) {
	for c, name := range names {
		show(name, l.refused[c].Load())
	}
}

// Clients returns how many clients are remembered, once for each class.
func (l *Limiter) Clients() (n int64) {
	for _, c := range l.byClient {
		n += int64(c.Keys())
	}
	return n
}
