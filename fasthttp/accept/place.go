package accept

import (
	"net"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"cowrelay/cow/share"
)

// Socket is a connection that takes a place: a *net.TCPConn or a *net.UnixConn.
type Socket interface {
	net.Conn
	syscall.Conn
	CloseRead() error
	CloseWrite() error
	SetWriteBuffer(bytes int) error
}

type holder = share.Holder[Client]

// Place is a connection's place, from Places.Take to Places.Give. It must not be
// copied.
type Place struct {
	holder holder
	socket Socket // set by Take
	// busy is true while a request is under way: from the end of its header to the
	// end of its reply, and for a stream to the stream's end. Set by the goroutine
	// that serves the connection; pairs with the Load in mayGo.
	busy atomic.Bool
	// evicted is set before the connection is shut; pairs with the Loads in Begin
	// and ReadError.
	evicted atomic.Bool
	// wake is held where the connection is woken, so that Prepares is not overtaken.
	wake sync.Mutex
	// prepares is true while what comes before the first request is read. Guarded by
	// wake.
	prepares bool
	// occupant is the Occupant, or nothing. Set by Serves; pairs with the Loads in
	// leave and cutOff.
	occupant atomic.Value
}

// Occupant is what a connection serves once the HTTP server has let go of it.
type Occupant interface {
	// Leave has it end in order, soon.
	Leave()
	// CutOff ends it at once.
	CutOff()
}

func mayGo(h *holder) bool { return !h.Owner.(*Place).busy.Load() }

// Begin says that a request is under way. It reports whether that is the
// connection's last one.
func (p *Place) Begin() (last bool) {
	p.busy.Store(true)
	return p.evicted.Load()
}

// Prepares says whether the connection reads what comes before its first request. With
// true, WakeReaders sets no deadline once it returns.
func (p *Place) Prepares(on bool) {
	p.wake.Lock()
	defer p.wake.Unlock()
	p.prepares = on
}

// wakeReader has the connection's read return if it waits for a request.
func (p *Place) wakeReader() {
	p.wake.Lock()
	defer p.wake.Unlock()
	if p.occupant.Load() == nil && !p.prepares {
		p.socket.SetReadDeadline(time.Unix(1, 0))
	}
}

// Evicted says whether the connection is to be closed, to make room.
func (p *Place) Evicted() bool { return p.evicted.Load() }

// Wait says that the connection waits for a request.
func (p *Place) Wait() { p.busy.Store(false) }

// Serves says what the connection serves from now on. All of a listener's are of
// one type.
func (p *Place) Serves(o Occupant) { p.occupant.Store(o) }

// evict has the connection closed by the goroutine that serves it. Only its
// reading side is shut: a request that arrives at this moment is still read and
// answered. Without one the next read finds the end.
func (p *Place) evict() {
	p.evicted.Store(true)
	p.socket.CloseRead()
}

// ReadError is what a read returns that met err. Of an evicted connection it is
// net.ErrClosed, and the connection is closed: evict may have cut a body, and that
// must not be answered as if the client had cut it.
func (p *Place) ReadError(err error) error {
	if err != nil && p.evicted.Load() {
		p.socket.Close()
		return net.ErrClosed
	}
	return err
}

// leave ends the connection's use in order: a stream between two frames, a long
// poll with what there is, another request with its reply, unless its body is
// still to come.
func (p *Place) leave() {
	if o, ok := p.occupant.Load().(Occupant); ok {
		o.Leave()
		return
	}
	p.evict()
}

// cutOff ends it at once.
func (p *Place) cutOff() {
	if o, ok := p.occupant.Load().(Occupant); ok {
		o.CutOff()
		return
	}
	p.socket.Close()
}
