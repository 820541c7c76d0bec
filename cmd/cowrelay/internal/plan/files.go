package plan

import (
	"fmt"
	"io"
	"log/slog"

	"cowrelay/cow/engine"
	relayhttp "cowrelay/fasthttp"
	"cowrelay/fasthttp/admin"

	"golang.org/x/sys/unix"
)

// OpenFiles is how the descriptors that the process may have are shared out. Each
// connection takes one, and so does each file of the store. The store can't do
// without, so a small limit costs connections.
type OpenFiles struct {
	Conns int // connections of clients
	Admin int // connections of operators
	Store int // files of the store

	limit  int // of the process
	wanted int // connections of clients as configured; Conns is at most that
	others int // what is open already, what else the process opens, and a reserve
}

const (
	// ownFiles are the listeners, the hang-up watch, a probe of the relay by
	// itself, the service manager's socket, a configuration file that is read
	// again, and what metrics read from /proc. A file whose page cache is dropped
	// takes from the reserve: without one, the cache stays.
	ownFiles = 9
	// leastConns is the fewest connections that a relay starts with.
	leastConns = 4
)

// Files shares out what the process's limit of open files allows. conns is how many
// connections of clients are configured. It is an error if the limit leaves less
// than the store and a few connections need.
func Files(conns int) (OpenFiles, error) {
	var l unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &l); err != nil {
		return OpenFiles{}, fmt.Errorf("cannot find the limit of open files: %w", err)
	}
	limit := int(min(uint64(l.Cur), 1<<24)) // more is no limit
	return shareFiles(limit, countFiles(limit), conns)
}

// countFiles returns how many of the descriptors that the limit allows are
// open: the standard ones, the runtime's, and those that were inherited. Connections
// that a program before has left are no others than those of clients.
func countFiles(limit int) (n int) {
	for fd := range min(limit, 4096) {
		if _, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0); err == nil && (fd < 3 || !connection(fd)) {
			n++
		}
	}
	return n
}

// connection says whether a descriptor is a stream socket that does not listen.
func connection(fd int) bool {
	kind, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_TYPE)
	if err != nil || kind != unix.SOCK_STREAM {
		return false
	}
	listens, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_ACCEPTCONN)
	return err == nil && listens == 0
}

// shareFiles shares out limit descriptors, of which open are taken. The store gets
// an eighth of them and operators a sixteenth, both within bounds, and the clients
// what is left, up to conns. Beside each connection the relay may have others in
// hand that it is about to turn away (OverConns): they take descriptors too.
func shareFiles(limit, open, conns int) (OpenFiles, error) {
	f := OpenFiles{
		limit: limit, wanted: conns,
		Store:  min(max(limit/8, engine.MinOpenFiles), engine.DefaultOpenFiles),
		Admin:  min(max(limit/16, 3), admin.DefaultConns),
		others: open + ownFiles + min(max(limit/32, 2), 64),
	}
	room := limit - f.others - f.Store - f.Admin - 1 // one of the operators' that is being accepted
	for f.Conns = min(conns, room); f.Conns+relayhttp.OverConns(f.Conns) > room && f.Conns > 0; f.Conns-- {
	}
	if f.Conns < min(leastConns, conns) {
		need := limit - room + leastConns + relayhttp.OverConns(leastConns)
		return f, fmt.Errorf("the limit of open files is %d, and the relay needs at least %d: raise it (%s)", limit, need, RaiseFiles)
	}
	return f, nil
}

// RaiseFiles says where the limit of open files is raised.
const RaiseFiles = "ulimit -n, LimitNOFILE= of systemd, ulimits.nofile of compose"

// Enough is the limit that leaves room for all connections that are configured.
func (f OpenFiles) Enough() int {
	return f.wanted + relayhttp.OverConns(f.wanted) + engine.DefaultOpenFiles + admin.DefaultConns + 1 + f.others + 64
}

// Log warns if the limit leaves fewer connections than are configured.
func (f OpenFiles) Log(log *slog.Logger) {
	if f.Conns < f.wanted {
		log.Warn("connections limited by open files", "limit", f.limit, "connections", f.Conns, "configured", f.wanted,
			"store", f.Store, "operators", f.Admin, "others", f.others,
			"do", fmt.Sprintf("raise the limit to %d (%s), or lower --max-connections", f.Enough(), RaiseFiles))
	}
}

// Print writes the same, for check-config.
func (f OpenFiles) Print(w io.Writer) {
	if f.Conns < f.wanted {
		fmt.Fprintf(w, "# connections limited by open files: %d of %d. The limit is %d; the store has %d of them, operators %d, the rest of the process %d.\n"+
			"# Raise the limit to %d (%s), or lower --max-connections.\n",
			f.Conns, f.wanted, f.limit, f.Store, f.Admin, f.others, f.Enough(), RaiseFiles)
	}
}

// Limit is the process's limit of open files.
func (f OpenFiles) Limit() int { return f.limit }
