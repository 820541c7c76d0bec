package stream

import (
	"errors"
	"os"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"
)

// Hangups learns which clients of streams and long polls have left: closed,
// half-closed, or, on a stream, sent bytes that nobody asked for. One epoll
// instance for all of them takes the place of a goroutine in Read for each, which
// is more than half of what an idle stream costs. The zero value watches nothing.
//
// A client that leaves is told of once by the kernel (EPOLLET), as an event that
// names a place in the table and the turn in which the place was given away:
//
//	Watch ── place, turn ──▶ epoll ── event ──▶ Sweep ── table ──▶ HungUp
type Hangups struct {
	file *os.File        // the epoll instance, which the runtime polls as it does sockets
	raw  syscall.RawConn // its descriptor, which can't be used once it is closed; nil: there is none

	// sweeping is held from taking events to having acted on them. So whoever has
	// swept knows that all clients that had left by then are gone.
	sweeping sync.Mutex
	events   [128]unix.EpollEvent // guarded by sweeping

	mu    sync.Mutex
	table []watched // guarded by mu
	spare []int32   // guarded by mu; free places in the table
}

// watched is a place in the table. By the time an event is handled its
// connection may be gone and another one may have the place: the turn tells them
// apart.
type watched struct {
	who  Leaver // nil: the place is free
	turn int32
}

// newHangups returns hangups that watch nothing beside its error.
func newHangups() (*Hangups, error) {
	epoll, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return new(Hangups), os.NewSyscallError("epoll_create1", err)
	}
	if err := unix.SetNonblock(epoll, true); err != nil {
		unix.Close(epoll)
		return new(Hangups), os.NewSyscallError("fcntl", err)
	}
	h := &Hangups{file: os.NewFile(uintptr(epoll), "epoll")}
	if h.raw, err = h.file.SyscallConn(); err != nil {
		h.file.Close()
		return new(Hangups), err
	}
	return h, nil
}

// run tells of clients that leave, until close.
func (h *Hangups) run() {
	if h.raw == nil {
		return
	}
	h.raw.Read(func(uintptr) bool {
		h.Sweep()
		return false // wait for more
	})
}

// close ends run. Nobody is told any more.
func (h *Hangups) close() { h.file.Close() }

// Watch begins to watch a connection on behalf of who, which keeps at. A client
// with nothing to say has left too when it says something. False: the system
// can't watch it.
func (h *Hangups) Watch(who Leaver, at *Watch, conn syscall.RawConn, nothingToSay bool) bool {
	ev := unix.EpollEvent{Events: unix.EPOLLRDHUP | unix.EPOLLET} // EPOLLHUP and EPOLLERR are told always
	if nothingToSay {
		ev.Events |= unix.EPOLLIN
	}
	ev.Fd, ev.Pad = h.take(who, at)
	if h.control(unix.EPOLL_CTL_ADD, conn, &ev) != nil {
		h.forget(at)
		return false
	}
	return true
}

// take gives a place in the table away.
func (h *Hangups) take(who Leaver, at *Watch) (place, turn int32) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if n := len(h.spare); n > 0 {
		place, h.spare = h.spare[n-1], h.spare[:n-1]
	} else {
		place = int32(len(h.table))
		h.table = append(h.table, watched{})
	}
	w := &h.table[place]
	w.who = who
	w.turn++
	*at = Watch(place + 1)
	return place, w.turn
}

// control changes what the epoll instance watches. Both descriptors stay open
// meanwhile, so neither can belong to something else by now.
func (h *Hangups) control(op int, conn syscall.RawConn, ev *unix.EpollEvent) error {
	if h.raw == nil {
		return os.ErrInvalid
	}
	var errConn, errCtl error
	errEpoll := h.raw.Control(func(epoll uintptr) {
		errConn = conn.Control(func(fd uintptr) {
			errCtl = unix.EpollCtl(int(epoll), op, int(fd), ev)
		})
	})
	return errors.Join(errEpoll, errConn, errCtl)
}

// Unwatch ends the watch of a connection that stays open. Its owner may be told
// once more: a sweep may have taken the event already.
func (h *Hangups) Unwatch(at *Watch, conn syscall.RawConn) {
	h.control(unix.EPOLL_CTL_DEL, conn, nil)
	h.forget(at)
}

// forget gives a place back, if at has one. The system stops watching when the
// connection is closed.
func (h *Hangups) forget(at *Watch) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if place := int32(*at) - 1; place >= 0 {
		h.table[place].who = nil
		h.spare = append(h.spare, place)
		*at = 0
	}
}

// Watched returns how many connections are watched.
func (h *Hangups) Watched() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return len(h.table) - len(h.spare)
}

// Sweep tells of the clients that have left by now. When it returns, their
// HungUp has run.
func (h *Hangups) Sweep() {
	if h.raw == nil {
		return
	}
	h.sweeping.Lock()
	defer h.sweeping.Unlock()
	h.raw.Control(func(epoll uintptr) {
		for {
			n, err := unix.EpollWait(int(epoll), h.events[:], 0)
			if err == unix.EINTR {
				continue
			}
			for _, ev := range h.events[:max(n, 0)] {
				if who := h.watched(ev.Fd, ev.Pad); who != nil {
					who.HungUp()
				}
			}
			if n < len(h.events) {
				return
			}
		}
	})
}

// watched returns the Leaver that has a place in that turn, or nil.
func (h *Hangups) watched(place, turn int32) Leaver {
	h.mu.Lock()
	defer h.mu.Unlock()
	if w := h.table[place]; w.turn == turn {
		return w.who
	}
	return nil
}
