package conn

import (
	"math"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"cowrelay/fasthttp/accept"
)

// gate lets few handshakes compute at once, and each client's by turns with those of
// others. So whoever begins many makes his own wait: another client's next one waits
// for as many as there are clients that have some, and requests find a processor
// soon. All together keep a pace. A handshake that waits for its client is not in the
// gate.
//
//	handshakes of a client ──▶ its lane, one at a time ──┐
//	                     ...                             ├──▶ slots ──▶ pace ──▶ computes
//	handshakes of another  ──▶ its lane, one at a time ──┘
//
// Handshakes that begin and those that go on stand in two lines, and a pace that is
// waited for lets one of each through. So who has begun does not wait for all that
// begin: else, with more of them than can be done in time, all would be late.
//
// Who waits is served in the order of coming: Go wakes the senders of a channel so.
type gate struct {
	first, next line
	pace        *pace
	waited      atomic.Int64 // nanoseconds, of all handshakes
}

// line is one of the two lines of a gate.
type line struct {
	slots chan struct{} // holds one for each that computes, or waits for the pace
	mu    sync.Mutex
	lanes map[accept.Client]*lane // guarded by mu; of clients that have some
}

// lane is a client's in a line.
type lane struct {
	first chan struct{} // holds one for the client's that computes, or waits for a slot
	users int           // guarded by line.mu; those and the ones behind them
}

// newGate returns a gate for so many processors, such as 0.5.
func newGate(cpus float64) *gate {
	most := max(1, int(math.Ceil(cpus)))
	newLine := func() line {
		return line{slots: make(chan struct{}, most), lanes: make(map[accept.Client]*lane)}
	}
	return &gate{first: newLine(), next: newLine(), pace: &pace{rate: cpus * paceShare, meter: threadMeter}}
}

// turn is one handshake's place in the gate. It belongs to one goroutine.
type turn struct {
	gate   *gate
	client accept.Client
	begun  bool  // it has computed before
	line   *line // set between enter and leave, with the next two
	lane   *lane
	spent  func() time.Duration // see meter
}

// enter waits for the handshake's turn, until late. Then it returns
// os.ErrDeadlineExceeded. To enter again without leave does nothing. What the goroutine
// computes from here to leave is the handshake's.
func (t *turn) enter(late <-chan time.Time) error {
	if t.lane != nil {
		return nil
	}
	came := time.Now()
	defer func() { t.gate.waited.Add(int64(time.Since(came))) }()
	line := &t.gate.first
	if t.begun {
		line = &t.gate.next
	}
	lane, err := line.enter(t.client, late)
	if err != nil {
		return err
	}
	if err := t.gate.pace.wait(late); err != nil {
		line.leave(t.client, lane)
		return err
	}
	t.line, t.lane, t.begun = line, lane, true
	t.spent = t.gate.pace.meter()
	return nil
}

// leave lets the next one in. Without enter it does nothing.
func (t *turn) leave() {
	if t.lane == nil {
		return
	}
	t.gate.pace.pay(t.spent())
	t.line.leave(t.client, t.lane)
	t.line, t.lane, t.spent = nil, nil, nil
}

// enter waits for a slot, and returns the lane that leave needs.
func (q *line) enter(client accept.Client, late <-chan time.Time) (*lane, error) {
	q.mu.Lock()
	l := q.lanes[client]
	if l == nil {
		l = &lane{first: make(chan struct{}, 1)}
		q.lanes[client] = l
	}
	l.users++
	q.mu.Unlock()
	select {
	case l.first <- struct{}{}:
	case <-late:
		q.done(client, l)
		return nil, os.ErrDeadlineExceeded
	}
	select {
	case q.slots <- struct{}{}:
		return l, nil
	case <-late:
		<-l.first
		q.done(client, l)
		return nil, os.ErrDeadlineExceeded
	}
}

// leave gives back what enter took.
func (q *line) leave(client accept.Client, l *lane) {
	<-q.slots
	<-l.first
	q.done(client, l)
}

// done forgets a user of a lane, and the lane with its last one.
func (q *line) done(client accept.Client, l *lane) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if l.users--; l.users == 0 {
		delete(q.lanes, client)
	}
}
