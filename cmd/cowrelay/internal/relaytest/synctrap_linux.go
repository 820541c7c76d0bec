package relaytest

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// SyncTrap decides what becomes of the relay's fsync and fdatasync calls: the
// kernel stops each and asks (a seccomp filter with user notification, which
// needs no privilege). The binary has no code for it and can't tell it from a
// disk that fails or hangs.
type SyncTrap struct {
	Mu      sync.Mutex
	fail    syscall.Errno // answer to syncs of the log from now on
	hold    chan struct{} // they wait until this is closed
	all     bool          // those of all other files wait too
	trapped int           // that failed or waited
	Synced  []string      // names of the files and folders, in order
}

const trapLauncher = "sync-trap"

func init() { launchers[trapLauncher] = launchTrapped }

// launchTrapped runs in the new process: it puts the filter on itself, hands
// the listener to the test and becomes the relay.
func launchTrapped(args []string) {
	runtime.LockOSThread()
	must := func(what string, err error) {
		if err != nil {
			fmt.Fprintf(os.Stderr, "cannot trap syncs: %s: %v\n", what, err)
			os.Exit(99)
		}
	}
	must("no_new_privs", unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
	const nr = 0 // offset of the call's number in seccomp_data
	code := []unix.SockFilter{
		{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, K: nr},
		{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, K: unix.SYS_FDATASYNC, Jt: 2},
		{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, K: unix.SYS_FSYNC, Jt: 1},
		{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_ALLOW},
		{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_USER_NOTIF},
	}
	prog := unix.SockFprog{Len: uint16(len(code)), Filter: &code[0]}
	fd, _, errno := unix.Syscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, unix.SECCOMP_FILTER_FLAG_NEW_LISTENER, uintptr(unsafe.Pointer(&prog)))
	if errno != 0 {
		must("seccomp", errno)
	}
	unix.CloseOnExec(3)
	must("sendmsg", unix.Sendmsg(3, []byte{1}, unix.UnixRights(int(fd)), nil, 0))
	must("exec", unix.Exec(args[0], args, os.Environ()))
}

// StartTrapped starts a relay with trapped syncs; they pass until FailSyncs or HoldSyncs.
func StartTrapped(t *testing.T, dir string, args ...string) (*Relay, *SyncTrap) {
	t.Helper()
	trap := new(SyncTrap)
	return LaunchTrap(t, trap, dir, args...).Ready(), trap
}

// LaunchTrap does not wait until the relay serves.
func LaunchTrap(t *testing.T, trap *SyncTrap, dir string, args ...string) *Relay {
	t.Helper()
	return LaunchTrapOn(t, trap, New(t, dir, args...))
}

// LaunchTrapOn starts what the command is, of the binary, with trapped syncs.
func LaunchTrapOn(t *testing.T, trap *SyncTrap, r *Relay) *Relay {
	t.Helper()
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(pair[0])
	theirs := os.NewFile(uintptr(pair[1]), "trap")
	env := r.Cmd.Env
	r.Cmd = exec.Command(os.Args[0], append([]string{trapLauncher}, r.Cmd.Args...)...)
	r.Cmd.Env = env
	r.Cmd.ExtraFiles = []*os.File{theirs}
	r.Launch()
	theirs.Close()
	rights := make([]byte, unix.CmsgSpace(4))
	_, n, _, _, err := unix.Recvmsg(pair[0], make([]byte, 1), rights, unix.MSG_CMSG_CLOEXEC)
	if err != nil {
		t.Fatal(err)
	}
	messages, err := unix.ParseSocketControlMessage(rights[:n])
	if err != nil || len(messages) != 1 {
		<-r.Exited
		t.Fatalf("no listener for trapped syncs: %v\n%s", err, r.Log.String())
	}
	fds, err := unix.ParseUnixRights(&messages[0])
	if err != nil {
		t.Fatal(err)
	}
	var served sync.WaitGroup
	served.Go(func() { trap.serve(t, fds[0]) })
	t.Cleanup(func() {
		r.Kill()
		served.Wait()
	})
	return r
}

// The kernel's structures, linux/seccomp.h.
type (
	seccompNotif struct {
		id         uint64
		pid, flags uint32
		nr         int32
		arch       uint32
		ip         uint64
		args       [6]uint64
	}
	seccompAnswer struct {
		id    uint64
		val   int64
		error int32
		flags uint32
	}
)

// serve answers until the process has ended.
func (s *SyncTrap) serve(t *testing.T, fd int) {
	var waiting sync.WaitGroup
	defer unix.Close(fd)
	defer waiting.Wait()
	defer func() {
		s.Mu.Lock()
		defer s.Mu.Unlock()
		if s.hold != nil {
			close(s.hold)
			s.hold = nil
		}
	}()
	for {
		p := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
		if _, err := unix.Poll(p, -1); err == unix.EINTR {
			continue
		}
		if p[0].Revents&unix.POLLIN == 0 {
			return // hung up
		}
		var n seccompNotif
		if _, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), unix.SECCOMP_IOCTL_NOTIF_RECV, uintptr(unsafe.Pointer(&n))); errno != 0 {
			continue // the process that asked is gone
		}
		name, _ := os.Readlink(fmt.Sprintf("/proc/%d/fd/%d", n.pid, n.args[0]))
		a := seccompAnswer{id: n.id, flags: unix.SECCOMP_USER_NOTIF_FLAG_CONTINUE}
		s.Mu.Lock()
		s.Synced = append(s.Synced, name)
		hold := s.hold
		if isLog := strings.HasSuffix(name, ".log") && filepath.Base(filepath.Dir(name)) == "log"; !isLog && !s.all {
			hold = nil
		} else if isLog && s.fail != 0 {
			a.flags, a.error = 0, -int32(s.fail)
		}
		if hold != nil || a.error != 0 {
			s.trapped++
		}
		s.Mu.Unlock()
		waiting.Go(func() {
			if hold != nil {
				<-hold
			}
			// It fails when the process is gone, which is what some tests want.
			unix.Syscall(unix.SYS_IOCTL, uintptr(fd), unix.SECCOMP_IOCTL_NOTIF_SEND, uintptr(unsafe.Pointer(&a)))
		})
	}
}

// FailSyncs makes all syncs of the log fail from now on.
func (s *SyncTrap) FailSyncs(errno syscall.Errno) {
	s.Mu.Lock()
	defer s.Mu.Unlock()
	s.fail = errno
}

// HoldSyncs makes the syncs of the commit log wait for release.
func (s *SyncTrap) HoldSyncs() (release func()) { return s.holdSyncs(false) }

// HoldAllSyncs makes all syncs wait for release, those of the store too.
func (s *SyncTrap) HoldAllSyncs() (release func()) { return s.holdSyncs(true) }

func (s *SyncTrap) holdSyncs(all bool) (release func()) {
	hold := make(chan struct{})
	s.Mu.Lock()
	defer s.Mu.Unlock()
	s.hold, s.all = hold, all
	return func() {
		s.Mu.Lock()
		defer s.Mu.Unlock()
		if s.hold == hold {
			close(hold)
			s.hold = nil
		}
	}
}

// Count is how many syncs failed or waited.
func (s *SyncTrap) Count() int {
	s.Mu.Lock()
	defer s.Mu.Unlock()
	return s.trapped
}

// Await returns when a sync has failed or waits.
func (s *SyncTrap) Await(t *testing.T) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); s.Count() == 0; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("the relay syncs nothing")
		}
	}
}
