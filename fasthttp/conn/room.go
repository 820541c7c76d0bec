package conn

import (
	"time"

	"cowrelay/cow/share"
	"cowrelay/fasthttp/accept"
)

const (
	// A request that has waited for Grace gives way if it came slower than
	// slowBytes a second.
	Grace     = 500 * time.Millisecond
	slowBytes = 64 << 10

	// victims is how many requests may give way for one.
	victims = 64
)

// find takes n bytes for a request, if need be from others.
func (a *Arrivals) find(own *arrival, n int64, take func() bool) bool {
	for range victims {
		if own.on.cut.Load() {
			return false // it gave way itself
		}
		if take() {
			if !a.burst.Load() && a.Used() > a.limit/2 {
				a.burst.Store(true)
			}
			return true
		}
		v := a.victim(own, n)
		if v == nil {
			break
		}
		// Given back at once: its goroutine drops the bytes as soon as it runs.
		v.giveWay()
		a.books.Give(&v.holder)
		a.cut.Add(1)
	}
	a.burst.Store(true)
	a.refused.Add(1)
	return false
}

// victim names a request that is to give way for n bytes of own, or nil. It is one
// of the client itself, where that has its share; else one of the client that has
// the most. Of those it is the oldest that may go:
//
//   - an unfinished header for a body that may come: nobody knows yet whether that
//     header may ask for anything;
//   - a request that is slow;
//   - any, if the client that needs room has less, this request included.
func (a *Arrivals) victim(own *arrival, n int64) *arrival {
	now := a.now()
	yields := func(h *share.Holder[accept.Client]) bool {
		v := h.Owner.(*arrival)
		age := time.Duration(now - v.since)
		return v != own && (v.head.Load() && !own.head.Load() ||
			age > a.grace && v.gotBytes.Load() < int64(age.Seconds()*slowBytes))
	}
	held := a.books.Held(own.client) + n
	var h *share.Holder[accept.Client]
	if held > a.share {
		h = a.books.VictimOf(own.client, yields)
	} else {
		most := a.books.Most()
		h = a.books.Victim(func(h *share.Holder[accept.Client]) bool {
			return most > held && h.Owner.(*arrival).client != own.client || yields(h)
		})
	}
	if h == nil {
		return nil
	}
	return h.Owner.(*arrival)
}
