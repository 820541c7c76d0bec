package replay

import (
	"errors"
	"log/slog"
	"os"
	"syscall"
	"time"
)

// Options of Open and OpenShared. The zero value means the defaults.
type Options struct {
	// Logger gets what an operator should know. Default slog.Default().
	Logger *slog.Logger
	// Fatal is called once, on a goroutine of its own, when the log or the store
	// failed: what is durable is unknown then. It should end the process. From then
	// on every call that waits for either waits for ever, and nothing is
	// acknowledged. Default: log what failed and what to do, Exit(1).
	Fatal func(error)
	// Exit ends the process for the default Fatal. Default os.Exit.
	Exit func(code int)
	// Observe is called after each write to the log with the time it took and the
	// bytes of its entry; of a shared log, when the entry was applied here. It must be fast and must not call the Journal. Default
	// none.
	Observe func(took time.Duration, bytes int)
	// Backlog bounds in bytes what may wait in memory for the store. Commits wait
	// beyond it. Default 64 MiB.
	Backlog int64
	// Progress is called now and then while Open replays the log: so many entries
	// of so many. Default none.
	Progress func(done, all uint64)

	// Newest is the newest format of entries that the journal takes, lower than that of
	// the program to stand for an older one. Default the program's.
	Newest byte

	// These are of a shared log.

	// Format is the format of entries that a log without the record FormatKey allows.
	// Default the first.
	Format byte
	// Patience is how long Put and Delete wait for it. Default 10 s.
	Patience time.Duration
	// ResendAfter is how long an entry waits until it is sent again. Default 2 s.
	ResendAfter time.Duration
	// FeedBytes bounds in bytes what waits for the function given to Feed. Beyond it
	// appends are told of without their events. Default 16 MiB.
	FeedBytes int64
	// PendingBytes bounds in bytes what was sent and not seen in the log when another
	// entry is made. Default 8 MiB.
	PendingBytes int64
}

// Defaults of Options, and how entries become batches.
const (
	DefaultBacklog = 64 << 20
	batchBytes     = 1 << 20                // of the entries that a batch is made of
	batchDelay     = 500 * time.Millisecond // that an entry waits for others at most

	DefaultPatience    = 10 * time.Second
	DefaultResendAfter = 2 * time.Second
	DefaultFeedBytes   = 16 << 20
	DefaultPending     = 8 << 20
)

func (o *Options) ensureDefaults() {
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	if o.Exit == nil {
		o.Exit = os.Exit
	}
	if o.Fatal == nil {
		o.Fatal = exit(o.Logger, o.Exit)
	}
	if o.Backlog <= 0 {
		o.Backlog = DefaultBacklog
	}
	if o.Patience <= 0 {
		o.Patience = DefaultPatience
	}
	if o.ResendAfter <= 0 {
		o.ResendAfter = DefaultResendAfter
	}
	if o.FeedBytes <= 0 {
		o.FeedBytes = DefaultFeedBytes
	}
	if o.PendingBytes <= 0 {
		o.PendingBytes = DefaultPending
	}
}

// advice is what an operator does about a failure.
func advice(err error) string {
	switch {
	case errors.Is(err, syscall.ENOSPC):
		return "make room on the disk, then start again: what the log then holds is the truth, and posts that got no answer may be sent again"
	case errors.Is(err, ErrTrimmed):
		return "this relay was away for too long: have it join again with a copy of another relay's store"
	case errors.Is(err, errNew):
		return "start a newer cowrelay on this data folder: it goes on where this one was"
	case errors.Is(err, ErrDiverged):
		return "stop all relays, keep a copy of their folders, and find out whose digest is alone: that one joins again with a copy of another relay's store"
	case errors.Is(err, ErrLost), errors.Is(err, errGap), errors.Is(err, errEntry):
		return "stop all relays and look at the servers of the log: what it holds is not what was written"
	}
	return "start again: what the log then holds is the truth, and posts that got no answer may be sent again; if it happens again, check the disk"
}

// exit is the default of Options.Fatal.
func exit(log *slog.Logger, end func(int)) func(error) {
	return func(err error) {
		log.Error("the store failed, the process ends", "error", err, "do", advice(err))
		end(1)
	}
}
