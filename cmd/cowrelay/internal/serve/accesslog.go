package serve

import (
	"fmt"
	"log/slog"
	"os"
	"sync"
)

// accessLog is the file of --access-log-file. Its lines pass through a logWriter of its
// own, so that no request waits for the disk. Another program rotates the file, and asks
// with SIGHUP that it is opened again.
type accessLog struct {
	path   string
	writer *logWriter
	logger *slog.Logger

	mu   sync.Mutex
	file *os.File // guarded by mu
}

// openAccessLog opens the file, which is made if it is missing.
func openAccessLog(path, format string) (*accessLog, error) {
	a := &accessLog{path: path}
	if err := a.reopen(); err != nil {
		return nil, err
	}
	a.writer = newLogWriter(a, func(lines uint64) []byte { return linesMissing(format, lines) })
	a.logger = slog.New(logHandler(format, slog.LevelInfo, a.writer))
	return a, nil
}

// reopen opens what now has the name. If that can't be, the file stays that it was.
func (a *accessLog) reopen() error {
	f, err := os.OpenFile(a.path, os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o600)
	if err != nil {
		return fmt.Errorf("--access-log-file: cannot open %s: %w", a.path, err)
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.file != nil {
		a.file.Close()
	}
	a.file = f
	return nil
}

// Write implements io.Writer for the logWriter.
func (a *accessLog) Write(p []byte) (int, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.file.Write(p)
}

// close writes out what waits.
func (a *accessLog) close() { a.writer.close(logFlush) }

// startAccessLog opens the file of the configuration, if it names one.
func (s *server) startAccessLog() (err error) {
	if s.AccessLogFile == "" {
		return nil
	}
	if s.access, err = openAccessLog(s.AccessLogFile, s.LogFormat); err == nil {
		s.later(s.access.close)
	}
	return err
}

// reopenAccessLog opens the file again, if there is one.
func (s *server) reopenAccessLog() {
	if s.access == nil {
		return
	}
	if err := s.access.reopen(); err != nil {
		s.log.Error("the access log goes on in the file that it had", "error", err)
	}
}

// accessLogger is where requests are logged: nil for the log of all else.
func (s *server) accessLogger() *slog.Logger {
	if s.access == nil {
		return nil
	}
	return s.access.logger
}

// linesDropped is how many lines of both logs found their queue full, and how many
// could not be written.
func (s *server) linesDropped() (full, failed uint64) {
	full, failed = s.process.lines.dropped()
	if s.access != nil {
		more, worse := s.access.writer.dropped()
		full, failed = full+more, failed+worse
	}
	return full, failed
}
