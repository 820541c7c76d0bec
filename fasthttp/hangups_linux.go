package fasthttp

import (
	"os"
	"sync"

	"golang.org/x/sys/unix"
)

// hangups learns which clients of streams have left: closed, half-closed, or
// sent what nobody asked for. One epoll instance for all of them takes the place
// of a goroutine in Read for each, which is more than half of what an idle
// stream costs.
type hangups struct {
	epoll int
	file  *os.File // the epoll instance, which the runtime polls as it does sockets

	// sweeping is held from taking events to having acted on them, so that
	// whoever has swept knows that all who had left by then are gone.
	sweeping sync.Mutex
	events   [128]unix.EpollEvent

	mu    sync.Mutex
	table []watched
	spare []int32 // places in the table
}

// watched is a place in the table. An event names place and turn, as the stream
// that it is about may be closed by now, and another be in its place.
type watched struct {
	st   *stream
	turn int32
}

// newHangups returns hangups that watch nothing beside its error.
func newHangups() (*hangups, error) {
	epoll, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return &hangups{epoll: -1}, os.NewSyscallError("epoll_create1", err)
	}
	if err := unix.SetNonblock(epoll, true); err != nil {
		unix.Close(epoll)
		return &hangups{epoll: -1}, os.NewSyscallError("fcntl", err)
	}
	return &hangups{epoll: epoll, file: os.NewFile(uintptr(epoll), "epoll")}, nil
}

// run closes the streams of clients that leave, until close.
func (h *hangups) run() {
	raw, err := h.file.SyscallConn()
	if err != nil {
		return // closed already, or there is none
	}
	raw.Read(func(uintptr) bool {
		h.sweep()
		return false // wait for more
	})
}

// close ends run. No stream may be watched any more.
func (h *hangups) close() { h.file.Close() }

// watch begins to watch a stream's connection. False: the system can't.
func (h *hangups) watch(st *stream) bool {
	at, turn := h.place(st)
	var watched error
	err := st.raw.Control(func(fd uintptr) {
		watched = unix.EpollCtl(h.epoll, unix.EPOLL_CTL_ADD, int(fd), &unix.EpollEvent{
			Events: unix.EPOLLIN | unix.EPOLLRDHUP | unix.EPOLLET, Fd: at, Pad: turn,
		})
	})
	if err != nil || watched != nil {
		h.forget(st)
		return false
	}
	// Whoever closes it marks it first and has it forgotten second; we take the
	// place first and look at the mark second. So the place is given back.
	if st.closed.Load() {
		h.forget(st)
	}
	return true
}

func (h *hangups) place(st *stream) (at, turn int32) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if n := len(h.spare); n > 0 {
		at, h.spare = h.spare[n-1], h.spare[:n-1]
	} else {
		at = int32(len(h.table))
		h.table = append(h.table, watched{})
	}
	w := &h.table[at]
	w.st = st
	w.turn++
	st.watch = at + 1
	return at, w.turn
}

// forget gives the place of a stream back. The system stops watching when the
// connection is closed.
func (h *hangups) forget(st *stream) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if at := st.watch - 1; at >= 0 {
		h.table[at].st = nil
		h.spare = append(h.spare, at)
		st.watch = 0
	}
}

// sweep closes the streams whose clients have left by now.
func (h *hangups) sweep() {
	h.sweeping.Lock()
	defer h.sweeping.Unlock()
	for {
		n, err := unix.EpollWait(h.epoll, h.events[:], 0)
		if err == unix.EINTR {
			continue
		}
		for _, ev := range h.events[:max(n, 0)] {
			if st := h.watched(ev.Fd, ev.Pad); st != nil {
				st.close(endClient)
			}
		}
		if n < len(h.events) {
			return
		}
	}
}

func (h *hangups) watched(at, turn int32) *stream {
	h.mu.Lock()
	defer h.mu.Unlock()
	if w := h.table[at]; w.turn == turn {
		return w.st
	}
	return nil
}
