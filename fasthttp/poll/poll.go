package poll

import (
	"sync/atomic"
	"syscall"
	"time"

	"cowrelay/cow"
	"cowrelay/cow/share"
	"cowrelay/fasthttp/accept"
	"cowrelay/fasthttp/stream"
)

// End says how a poll ended.
type End int

const (
	EndEvent  End = iota // there was something to pull
	EndTime              // the time that its client gave was over
	EndClient            // the client left
	EndShare             // it gave way to a newer one of its client, which had its share
	EndCap               // it gave way to another client's, when there were as many as there may be
	EndDrain             // the relay stops
	EndToken             // the token that let it in was revoked or replaced, or is over
	EndError             // what it waits for can't be read

	Ends // how many there are
)

var endNames = [Ends]string{"event", "time", "client", "share", "cap", "drain", "token", "error"}

// String returns the end's name, the label of its metric.
func (e End) String() string { return endNames[e] }

// Poll is a pull that waits. Set.Open makes it, Close ends it.
type Poll struct {
	set   *Set
	sub   *cow.Subscriber
	place share.Holder[accept.Client]
	wake  chan struct{} // holds one when there may be something, or the poll has ended
	ended atomic.Int32  // its End, from 1; set before wake is filled: pairs with the Load behind the wait
	start time.Time

	conn  syscall.RawConn // nil: the client can't be watched
	watch stream.Watch
}

// Wake implements cow.Waker.
func (p *Poll) Wake(int64) {
	select {
	case p.wake <- struct{}{}:
	default:
	}
}

// HungUp implements stream.Leaver.
func (p *Poll) HungUp() { p.end(EndClient) }

// end ends the poll for a counted reason, once. Any goroutine may call it.
func (p *Poll) end(why End) {
	if !p.ended.CompareAndSwap(0, int32(why)+1) {
		return
	}
	p.sub.Close()
	p.set.books.Give(&p.place)
	p.set.ended[why].Add(1)
	p.Wake(0)
}

// Close ends the poll, if nothing else has. It is for the request's goroutine.
func (p *Poll) Close(why End) {
	if p.conn != nil {
		p.set.hangs.Unwatch(&p.watch, p.conn)
	}
	p.end(why)
}

// leastWait is how long a poll waits that gives way. Where more clients of one
// address poll than it has places, they would else push each other out as fast
// as they can ask.
const leastWait = time.Second

// Await calls read at once and whenever the poll is woken, until read finds
// something or fails. It gives up after the time that the client gives, when the
// client leaves, when drain is closed, or when the poll has to give way to
// another. It returns how the wait ended, for Close.
func (p *Poll) Await(wait time.Duration, drain <-chan struct{}, read func() (found bool, err error)) (End, error) {
	timer := time.NewTimer(wait)
	defer timer.Stop()
	for end := EndError; ; {
		// Subscribed first, read second: nothing falls between.
		switch found, err := read(); {
		case err != nil:
			return end, err
		case found:
			return EndEvent, nil
		case end == EndTime:
			return end, nil
		}
		select {
		case <-p.wake:
			switch p.ended.Load() {
			case 0:
			case int32(EndClient) + 1:
				return EndClient, nil
			default: // it gives way
				timer.Reset(leastWait - time.Since(p.start))
			}
		case <-timer.C:
			end = EndTime // unless there is something now
		case <-drain:
			return EndDrain, nil
		}
	}
}
