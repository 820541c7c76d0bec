package admin

import (
	"context"
	"log/slog"
	"net/http"
	"sync/atomic"

	"cowrelay/cow/retention"
	"cowrelay/fasthttp/accept"
)

// Options are what operators may do, and who may. A zero field takes its default.
type Options struct {
	// Token is what the protected routes ask for. Without one they answer on a
	// loopback listener only.
	Token string
	// Level is the log level that operators may set (nil: they may not).
	Level *slog.LevelVar
	// Stop begins the end of the process, as SIGTERM does (nil: they may not).
	// It may be called again.
	Stop func()
	// MaxConns is how many connections operators may have (DefaultConns).
	MaxConns int
	// Checkpoint makes a copy of the relay's store, or returns ErrBusy (nil: it can't
	// be copied). ctx bounds the wait for it.
	Checkpoint func(ctx context.Context) (Checkpoint, error)
	// HandOver has another program take the relay's place. It returns that program's
	// version when it is found fit, or ErrUnderWay, or why it is not (nil: they may not).
	HandOver func(ctx context.Context) (version string, err error)
	// HandedOver returns how often the process was handed over, and why the last time
	// failed (nil: never).
	HandedOver func() (count int, failed string)
	// Policy is what ends by itself (zero: nothing but what slots ask for).
	Policy retention.Policy
	Logger *slog.Logger // slog.Default()

	times times // for tests
}

// Server is the operators' listener. Serve makes it on a listener, New without one.
type Server struct {
	opts   Options
	local  bool // the listener is on loopback
	mux    *http.ServeMux
	server http.Server
	relay  atomic.Pointer[attached] // nil before Attach
	rates  rates
	saying atomic.Pointer[func() string] // see Say; nil: nothing
	fleet  atomic.Pointer[Fleet]         // nil: there is none

	inviteKey [32]byte // see inviteID

	places     *accept.Places
	guesses    *guesses
	tally      tally
	backups    backups
	deniedUnix atomic.Int64  // when a refusal was logged last
	served     chan struct{} // closed when nothing is accepted any more; nil: nothing was
}

// tally counts requests to protected routes.
type tally struct {
	served, failed, refused atomic.Uint64 // failed ones are among the served
}

// acted logs an act of an operator, and returns its error.
func (s *Server) acted(req *http.Request, what, on string, err error, more ...any) error {
	result := "done"
	if err != nil {
		result = err.Error()
	}
	s.opts.Logger.Info("admin", append([]any{"remote", req.RemoteAddr, "act", what, "on", on, "result", result}, more...)...)
	return err
}
