package relay

import (
	"io"
	"os"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// copyLog copies the log's pipe to its file, until CloseLog or StallLog.
func (r *Process) copyLog() error {
	log, err := os.OpenFile(r.log, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o644)
	if err != nil {
		return err
	}
	copied, pipe := make(chan struct{}), r.pipe
	r.copied = copied
	go func() {
		defer close(copied)
		defer log.Close()
		_, _ = io.Copy(log, pipe) // ends with the pipe, or at its deadline
	}()
	return nil
}

// CloseLog closes the reader's end of the log's pipe.
func (r *Process) CloseLog() error {
	err := r.pipe.Close()
	<-r.copied
	return err
}

// StallLog stops reading the log's pipe. A pipe holds little.
func (r *Process) StallLog() error {
	if err := r.pipe.SetReadDeadline(time.Now()); err != nil {
		return err
	}
	<-r.copied
	c, err := r.pipe.SyscallConn()
	if err != nil {
		return err
	}
	return c.Control(func(fd uintptr) {
		// The smallest size. If it holds more at the moment, it stays as it is.
		_, _ = unix.FcntlInt(fd, unix.F_SETPIPE_SZ, os.Getpagesize())
	})
}

// tail returns the end of the relay's log.
func (r *Process) tail() string {
	b, err := os.ReadFile(r.log)
	if err != nil {
		return ""
	}
	return lastOf(b)
}

func lastOf(b []byte) string {
	const most = 700
	if len(b) > most {
		b = b[len(b)-most:]
	}
	return strings.TrimSpace(string(b))
}
