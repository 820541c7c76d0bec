package secure

import (
	"net"
	"time"
)

// wire is a Conn as tls.Conn sees it: what is below. It has no deadlines of its own.
// Those above set the socket's, and tls.Conn would wait for seconds to close.
type wire Conn

// Read reads from the socket.
func (w *wire) Read(b []byte) (int, error) {
	if w.steps.Waits != nil {
		if err := w.steps.Waits(); err != nil {
			return 0, err
		}
	}
	n, err := w.Socket.Read(b)
	if n > 0 && w.steps.Computes != nil {
		if err := w.steps.Computes(); err != nil {
			return 0, err
		}
	}
	return n, err
}

// Write queues what is sealed. In the handshake it writes it, and waits.
func (w *wire) Write(b []byte) (int, error) {
	if !w.open.Load() {
		return w.Socket.Write(b)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.sealed == nil {
		w.sealed = buffers.Get().(*buffer)
	}
	if len(w.sealed.bytes)-w.sealed.sent+len(b) > mostSealed {
		return 0, errPeer
	}
	w.sealed.bytes = append(w.sealed.bytes, b...)
	return len(b), nil
}

// Close does nothing: Conn closes the socket.
func (w *wire) Close() error                     { return nil }
func (w *wire) LocalAddr() net.Addr              { return w.Socket.LocalAddr() }
func (w *wire) RemoteAddr() net.Addr             { return w.Socket.RemoteAddr() }
func (w *wire) SetDeadline(time.Time) error      { return nil }
func (w *wire) SetReadDeadline(time.Time) error  { return nil }
func (w *wire) SetWriteDeadline(time.Time) error { return nil }
