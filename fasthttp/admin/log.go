package admin

import (
	"log"
	"log/slog"
	"strings"
)

// httpLog is the log of net/http. net/http logs panics with their values, and those
// may quote a request. So only that there was one is logged here; Server.rescue has
// the relay log the rest.
func httpLog(to *slog.Logger) *log.Logger { return log.New(httpLogger{to}, "", 0) }

type httpLogger struct{ *slog.Logger }

// Write implements io.Writer.
func (l httpLogger) Write(line []byte) (int, error) {
	text, _, _ := strings.Cut(string(line), "\n")
	if strings.Contains(text, "panic") {
		text = "a panic"
	}
	l.Debug("admin http server", "message", text)
	return len(line), nil
}
