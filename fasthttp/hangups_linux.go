package fasthttp

import (
	"errors"
	"os"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"
)

// hangups learns which clients of streams and long polls have left: closed,
// half-closed, or, on a stream, sent what nobody asked for. One epoll instance
// for all of them takes the place of a goroutine in Read for each, which is more
// than half of what an idle stream costs.
type hangups struct {
	file *os.File        // the epoll instance, which the runtime polls as it does sockets
	raw  syscall.RawConn // its descriptor, which can't be used once it is closed

	// sweeping is held from taking events to having acted on them, so that
	// whoever has swept knows that all who had left by then are gone.
	sweeping sync.Mutex
	events   [128]unix.EpollEvent

	mu    sync.Mutex
	table []watched
	spare []int32 // places in the table
}

// watched is a place in the table. An event names place and turn, as the one
// that it is about may be gone by now, and another be in its place.
type watched struct {
	who  leaver
	turn int32
}

// newHangups returns hangups that watch nothing beside its error.
func newHangups() (*hangups, error) {
	epoll, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return new(hangups), os.NewSyscallError("epoll_create1", err)
	}
	if err := unix.SetNonblock(epoll, true); err != nil {
		unix.Close(epoll)
		return new(hangups), os.NewSyscallError("fcntl", err)
	}
	h := &hangups{file: os.NewFile(uintptr(epoll), "epoll")}
	if h.raw, err = h.file.SyscallConn(); err != nil {
		h.file.Close()
		return new(hangups), err
	}
	return h, nil
}

// run tells of clients that leave, until close.
func (h *hangups) run() {
	if h.raw == nil {
		return
	}
	h.raw.Read(func(uintptr) bool {
		h.sweep()
		return false // wait for more
	})
}

// close ends run. Nobody is told any more.
func (h *hangups) close() { h.file.Close() }

// watch begins to watch a connection for who, to whom at belongs. A client with
// nothing to say has left too when it says something. False: the system can't.
func (h *hangups) watch(who leaver, at *watch, conn syscall.RawConn, nothingToSay bool) bool {
	ev := unix.EpollEvent{Events: unix.EPOLLRDHUP | unix.EPOLLET} // EPOLLHUP and EPOLLERR are told always
	if nothingToSay {
		ev.Events |= unix.EPOLLIN
	}
	ev.Fd, ev.Pad = h.place(who, at)
	if h.control(unix.EPOLL_CTL_ADD, conn, &ev) != nil {
		h.forget(at)
		return false
	}
	return true
}

func (h *hangups) place(who leaver, at *watch) (place, turn int32) {
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
	*at = watch(place + 1)
	return place, w.turn
}

// control changes what the epoll instance watches. Both descriptors stay open
// meanwhile, so that neither can be another's by now.
func (h *hangups) control(op int, conn syscall.RawConn, ev *unix.EpollEvent) error {
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

// unwatch ends the watch of a connection that stays open. Its owner may be told
// once more by whoever has taken the event already.
func (h *hangups) unwatch(at *watch, conn syscall.RawConn) {
	h.control(unix.EPOLL_CTL_DEL, conn, nil)
	h.forget(at)
}

// forget gives a place back, where there is one. The system stops watching when
// the connection is closed.
func (h *hangups) forget(at *watch) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if place := int32(*at) - 1; place >= 0 {
		h.table[place].who = nil
		h.spare = append(h.spare, place)
		*at = 0
	}
}

// sweep tells of the clients that have left by now.
func (h *hangups) sweep() {
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
					who.hungUp()
				}
			}
			if n < len(h.events) {
				return
			}
		}
	})
}

func (h *hangups) watched(place, turn int32) leaver {
	h.mu.Lock()
	defer h.mu.Unlock()
	if w := h.table[place]; w.turn == turn {
		return w.who
	}
	return nil
}
