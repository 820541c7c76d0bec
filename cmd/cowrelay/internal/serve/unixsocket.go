package serve

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"syscall"

	"cowrelay/cmd/cowrelay/internal/wholefile"

	"golang.org/x/sys/unix"
)

// listenUnix listens on a Unix socket. Whoever can connect to it is served, so the
// socket is its owner's alone, and so is its folder, which is made if it is missing.
// A socket that nobody listens on any more is replaced. Nothing else is.
func listenUnix(path string) (net.Listener, error) {
	ln, err := replaceSocket(path)
	if err != nil {
		return nil, fmt.Errorf("--uds: cannot listen on %s: %w", path, err)
	}
	return ln, nil
}

func replaceSocket(path string) (net.Listener, error) {
	if most := len(unix.RawSockaddrUnix{}.Path) - 1; len(path) > most {
		return nil, fmt.Errorf("the path has %d bytes, and the system takes %d", len(path), most)
	}
	dir := filepath.Dir(path)
	if err := wholefile.MakeFolder(dir, 0o700); err != nil {
		return nil, err
	}
	folder, err := lockPrivate(dir)
	if err != nil {
		return nil, err
	}
	defer folder.Close() // gives the lock back
	if err := removeStale(path); err != nil {
		return nil, err
	}
	ln, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		return nil, err
	}
	// The umask may have left more. Until here the folder has kept others out.
	if err := os.Chmod(path, 0o600); err != nil {
		return nil, errors.Join(err, ln.Close())
	}
	return ln, nil
}

// lockPrivate opens a folder that must be ours alone, and locks it: of two relays
// that start at once, one would take the other's new socket for a stale one.
func lockPrivate(dir string) (*os.File, error) {
	folder, err := os.Open(dir)
	if err != nil {
		return nil, err
	}
	info, err := folder.Stat()
	switch stat, _ := info.Sys().(*syscall.Stat_t); {
	case err != nil:
	case !info.IsDir():
		err = fmt.Errorf("%s is not a folder", dir)
	case stat != nil && int(stat.Uid) != os.Geteuid():
		err = fmt.Errorf("the folder %s belongs to another user: choose one of your own", dir)
	case info.Mode().Perm()&0o077 != 0:
		err = fmt.Errorf("others can reach the folder %s (mode %04o): choose another folder, or chmod 700 %s", dir, info.Mode().Perm(), dir)
	default:
		err = unix.Flock(int(folder.Fd()), unix.LOCK_EX|unix.LOCK_NB)
		if errors.Is(err, unix.EWOULDBLOCK) {
			err = fmt.Errorf("another process holds the folder %s: choose another one", dir)
		} else if errors.Is(err, unix.EOPNOTSUPP) || errors.Is(err, unix.EINVAL) {
			err = nil // NFS has no locks of folders
		}
	}
	if err != nil {
		folder.Close()
		return nil, err
	}
	return folder, nil
}

// removeStale removes a socket that nobody listens on. It is an error if something
// else is at the path.
func removeStale(path string) error {
	info, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if info.Mode().Type() != fs.ModeSocket {
		return errors.New("something that is not a socket is there already")
	}
	c, err := net.Dial("unix", path)
	switch {
	case err == nil:
		c.Close()
		return errors.New("another process listens there")
	case !errors.Is(err, syscall.ECONNREFUSED):
		return fmt.Errorf("whether another process listens there is not known: %w", err)
	}
	return os.Remove(path)
}
