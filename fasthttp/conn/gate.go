package conn

import (
	"os"
	"sync"
	"time"

	"cowrelay/fasthttp/accept"
)

// gate lets few handshakes compute at once, and each client's by turns with those of
// others. So whoever begins many makes his own wait: another client's next one waits
// for as many as there are clients that have some, and requests find a processor
// soon. A handshake that waits for its client is not in the gate.
//
//	handshakes of a client ──▶ its lane, one at a time ──┐
//	                     ...                             ├──▶ slots ──▶ computes
//	handshakes of another  ──▶ its lane, one at a time ──┘
//
// Who waits is served in the order of coming: Go wakes the senders of a channel so.
type gate struct {
	slots chan struct{} // holds one for each that computes
	mu    sync.Mutex
	lanes map[accept.Client]*lane // guarded by mu; of clients that have some
}

// lane is a client's.
type lane struct {
	first chan struct{} // holds one for the client's that computes, or waits for a slot
	users int           // guarded by gate.mu; those and the ones behind them
}

func newGate(most int) *gate {
	return &gate{slots: make(chan struct{}, most), lanes: make(map[accept.Client]*lane)}
}

// turn is one handshake's place in the gate. It belongs to one goroutine.
type turn struct {
	gate   *gate
	client accept.Client
	lane   *lane // set between enter and leave
}

// enter waits for the handshake's turn, until late. Then it returns
// os.ErrDeadlineExceeded. To enter again without leave does nothing.
func (t *turn) enter(late <-chan time.Time) error {
	if t.lane != nil {
		return nil
	}
	g := t.gate
	g.mu.Lock()
	l := g.lanes[t.client]
	if l == nil {
		l = &lane{first: make(chan struct{}, 1)}
		g.lanes[t.client] = l
	}
	l.users++
	g.mu.Unlock()
	select {
	case l.first <- struct{}{}:
	case <-late:
		g.done(t.client, l)
		return os.ErrDeadlineExceeded
	}
	select {
	case g.slots <- struct{}{}:
	case <-late:
		<-l.first
		g.done(t.client, l)
		return os.ErrDeadlineExceeded
	}
	t.lane = l
	return nil
}

// leave lets the next one in. Without enter it does nothing.
func (t *turn) leave() {
	if t.lane == nil {
		return
	}
	<-t.gate.slots
	<-t.lane.first
	t.gate.done(t.client, t.lane)
	t.lane = nil
}

// done forgets a user of a lane, and the lane with its last one.
func (g *gate) done(client accept.Client, l *lane) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if l.users--; l.users == 0 {
		delete(g.lanes, client)
	}
}
