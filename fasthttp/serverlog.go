package fasthttp

import (
	"context"
	"errors"
	"io"
	"log"
	"log/slog"
	"net"
	"strings"
	"syscall"

	"github.com/valyala/fasthttp"
)

// serverLog brings what the server itself has to say into the structured log,
// in our words: its errors quote requests, whose headers hold tokens. Of what
// it gives, addresses are told, and what kind of error it is.
type serverLog struct{ *slog.Logger }

// Printf implements fasthttp.Logger. The server's formats are constants.
func (l serverLog) Printf(format string, args ...any) {
	if !l.Enabled(context.Background(), slog.LevelDebug) {
		return
	}
	said := []any{"about", format}
	for _, arg := range args {
		switch v := arg.(type) {
		case error:
			said = append(said, "error", errorKind(v))
		case net.Addr:
			said = append(said, "address", v.String())
		}
	}
	l.Debug("http server", said...)
}

// errorKind says what kind of error it is that a connection or a request met. Its
// text is never told: it may quote the request.
func errorKind(err error) string {
	var errno syscall.Errno
	switch {
	case errors.As(err, &errno):
		return errno.Error()
	case errors.Is(err, errFault):
		return errFault.Error()
	case asSmallBuffer(err):
		return "a header that is too large"
	case errors.Is(err, fasthttp.ErrBodyTooLarge):
		return "a body that is too large"
	case isTimeout(err):
		return "a passed deadline"
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return "an early end"
	case errors.Is(err, net.ErrClosed):
		return "a closed connection"
	}
	return "what is no request"
}

// loggedPath is a path as the log has it: without the query, and without parts
// that are longer than an id and could be a token.
func loggedPath(path []byte) string {
	const idLen = 32
	parts := strings.Split(string(path), "/")
	for i, part := range parts {
		if len(part) > idLen {
			parts[i] = "…"
		}
	}
	return strings.Join(parts, "/")
}

// loggedMethod is a method as the log has it, if it is one: a client may send
// any word in its place.
func loggedMethod(method []byte) string {
	if known := string(method); len(known) <= len(fasthttp.MethodOptions) {
		return known
	}
	return "…"
}

// httpLog is the log of net/http, which the operators' listener has. It tells
// of panics with their values, and those may quote a request; ours are logged
// elsewhere.
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
