package fasthttp

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"syscall"

	"cowrelay/fasthttp/conn"

	"github.com/valyala/fasthttp"
)

// serverLog brings what the server itself has to say into the structured log, in
// our words. The server's errors quote requests, and their headers hold tokens. So
// only addresses and the kind of an error are logged.
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

// errorKind says what kind of error a connection or a request met. The error's own
// text is never logged: it may quote the request.
func errorKind(err error) string {
	var errno syscall.Errno
	switch {
	case errors.As(err, &errno):
		return errno.Error()
	case errors.Is(err, conn.ErrFault):
		return conn.ErrFault.Error()
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
