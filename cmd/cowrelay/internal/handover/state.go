package handover

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"cowrelay/fasthttp/conn"

	"golang.org/x/sys/unix"
)

// variable says that this program takes another one's place: it holds the number of the
// descriptor with the State, or tryValue.
const variable = "COWRELAY_HANDOVER"

// State is what one program leaves the next.
type State struct {
	Count     int       // times that the process was handed over, this time included
	From      string    // the version of the program that leaves it
	Began     time.Time // when that program accepted no connection any more
	Failed    string    // why the program before could not serve; "": it did
	Args      []string  // of the program that leaves it
	Old       int       // descriptor of the file of the program that leaves it; 0: there is no way back
	Listeners []Listener
	Conns     []conn.Kept // connections that wait for a request
}

// Listener is a listening socket.
type Listener struct {
	Name string
	FD   int
	Own  bool // a program of ours has made it, and the service manager has not
}

// Take returns what the program before has left, nil if there was none. It takes it out
// of the environment, so that no other process takes it for its own.
func Take() (*State, error) {
	text, there := os.LookupEnv(variable)
	os.Unsetenv(variable)
	if !there || text == tryValue {
		return nil, nil
	}
	fd, err := strconv.Atoi(text)
	if err != nil || fd < 3 {
		return nil, fmt.Errorf("%s=%q: only a relay that hands over sets it", variable, text)
	}
	f := os.NewFile(uintptr(fd), "handover")
	if f == nil {
		return nil, fmt.Errorf("%s=%q: there is no such descriptor", variable, text)
	}
	defer f.Close()
	s := new(State)
	if err := json.NewDecoder(io.NewSectionReader(f, 0, 1<<30)).Decode(s); err != nil {
		return nil, fmt.Errorf("%s=%q: cannot read what the program before has left: %w", variable, text, err)
	}
	return s, nil
}

// Sockets returns the listening sockets.
func (s *State) Sockets() (*Sockets, error) {
	all := new(Sockets)
	for _, l := range s.Listeners {
		if err := all.add(l.Name, l.FD, true); err != nil {
			return nil, fmt.Errorf("the socket %q of the program before: %w", l.Name, err)
		}
		all.list[len(all.list)-1].own = l.Own // else the path is the service manager's
	}
	return all, nil
}

// Settle says that this program serves: the one before is let go.
func (s *State) Settle() {
	if s.Old > 0 {
		unix.Close(s.Old)
		s.Old = 0
	}
}

// Program is a file that can be executed, and how it was called.
type Program struct {
	Path string
	Args []string // with the name at first, as in os.Args
}

// Self returns the program that the command line of this process names, which may be
// another file by now. It is to be called before the working folder changes.
func Self() (Program, error) {
	path, err := exec.LookPath(os.Args[0])
	if err == nil {
		path, err = filepath.Abs(path)
	}
	if err != nil { // the name was made up by who started it
		path, err = os.Executable()
	}
	return Program{path, os.Args}, err
}

// Exec executes the program in the place of this one and leaves it s. It only returns
// with an error, and then nothing has changed. Unless back is true, the new program may
// come back to this one, by its file, which need not have a name any more.
func (s *State) Exec(p Program) (err error) {
	if s.Old == 0 && s.Failed == "" {
		if s.Old, err = openSelf(); err != nil {
			return fmt.Errorf("cannot keep the running program: %w", err)
		}
	}
	s.Args = os.Args
	return s.exec(p)
}

// Back executes the program before again, because of an error of this one. It returns
// the error if there is none or no program before, and if that can't be executed.
func (s *State) Back(why error) error {
	if why == nil || s == nil || s.Old == 0 {
		return why
	}
	back := *s
	back.Count, back.Failed, back.Old = s.Count+1, why.Error(), 0
	// The kernel has opened the file by the time that it closes the descriptor.
	if _, err := unix.FcntlInt(uintptr(s.Old), unix.F_SETFD, unix.FD_CLOEXEC); err != nil {
		return errors.Join(why, err)
	}
	return errors.Join(why, back.exec(Program{"/proc/self/fd/" + strconv.Itoa(s.Old), s.Args}))
}

func (s *State) exec(p Program) error {
	f, err := s.file()
	if err != nil {
		return err
	}
	defer f.Close()
	kept := []int{int(f.Fd())}
	for _, c := range s.Conns {
		kept = append(kept, c.FD)
	}
	for _, l := range s.Listeners {
		kept = append(kept, l.FD)
	}
	if s.Old > 0 {
		kept = append(kept, s.Old)
	}
	for _, fd := range kept {
		if _, err := unix.FcntlInt(uintptr(fd), unix.F_SETFD, 0); err != nil {
			return fmt.Errorf("cannot leave the descriptor %d open: %w", fd, err)
		}
	}
	return fmt.Errorf("cannot execute %s: %w", p.Path, replace(p.Path, p.Args, append(environ(), variable+"="+strconv.Itoa(int(f.Fd())))))
}

// file is s as a file in memory.
func (s *State) file() (*os.File, error) {
	f, err := memoryFile()
	if err != nil {
		return nil, err
	}
	if err := json.NewEncoder(f).Encode(s); err != nil {
		return nil, errors.Join(fmt.Errorf("cannot write what the next program needs: %w", err), f.Close())
	}
	return f, nil
}

// environ is the environment without what is for this program alone.
func environ() (list []string) {
	for _, v := range os.Environ() {
		name, _, _ := strings.Cut(v, "=")
		switch name {
		case variable, "LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES":
		default:
			list = append(list, v)
		}
	}
	return list
}
