package pebblelog

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"regexp"
	"strings"
	"syscall"

	"github.com/cockroachdb/pebble/v2"
)

// ErrCorrupt is wrapped by errors that say that the store can't be read or
// does not fit together.
var ErrCorrupt = errors.New("pebblelog: corrupt store")

// corrupt makes the error of something unreadable: what it is, where it lies,
// and what an operator can do.
func (l *Log) corrupt(cause error, format string, args ...any) error {
	l.corruptions.Add(1)
	what := fmt.Sprintf(format, args...)
	if cause == nil {
		return fmt.Errorf("%w: %s (data folder %q): restore the folder from a backup", ErrCorrupt, what, l.dir)
	}
	return fmt.Errorf("%w: %s (data folder %q): %w: check the disk, or restore the folder from a backup", ErrCorrupt, what, l.dir, nameFile(cause))
}

// tableNumber is how Pebble names a table where it doesn't name its file.
var tableNumber = regexp.MustCompile(`file (\d{6,}) \(type sstable\)`)

// nameFile has Pebble's errors say which file is damaged.
func nameFile(err error) error {
	if info := pebble.ExtractDataCorruptionInfo(err); info != nil {
		return fmt.Errorf("%s: %w", info.Path, info.Details)
	}
	if m := tableNumber.FindStringSubmatch(err.Error()); m != nil {
		return fmt.Errorf("%s.sst: %w", m[1], err)
	}
	if strings.Contains(err.Error(), "replaying WAL") {
		return fmt.Errorf("a log file *.log is damaged: %w", err)
	}
	return err
}

// die ends the process because nobody can tell any more what is durable. It
// never returns: even if Options.Fatal does, whoever waits for the store waits
// for ever, and nothing is acknowledged.
func (l *Log) die(err error) {
	if l.dead.CompareAndSwap(false, true) {
		l.lastError.Store(&err)
		// On a goroutine of its own: the caller may hold locks of Pebble's, and
		// a Fatal that panics or exits its goroutine would release them.
		go l.opts.Fatal(fmt.Errorf("data folder %q: %w", l.dir, err))
	}
	select {}
}

// exit is the default of Options.Fatal.
func exit(log *slog.Logger, end func(int)) func(error) {
	return func(err error) {
		do := "start again: what the store then holds is the truth, and posts that got no answer may be sent again; if it happens again, check the disk"
		if errors.Is(err, syscall.ENOSPC) {
			do = "make room on the disk, then start again: what the store then holds is the truth, and posts that got no answer may be sent again"
		}
		log.Error("the store failed, the process ends", "error", err, "do", do)
		end(1)
	}
}

// pebbleLogger gives Pebble's talk to slog.
type pebbleLogger struct{ l *Log }

func (p pebbleLogger) Infof(format string, args ...any) {
	if log := p.l.opts.Logger; log.Enabled(context.Background(), slog.LevelDebug) {
		log.Debug("pebble", "message", fmt.Sprintf(format, args...))
	}
}

func (p pebbleLogger) Errorf(format string, args ...any) {
	p.l.opts.Logger.Error("pebble", "message", fmt.Sprintf(format, args...))
}

// Fatalf never returns. Pebble calls it where it can't go on, for instance
// when the manifest can't be written; what is durable is then unknown.
func (p pebbleLogger) Fatalf(format string, args ...any) {
	for _, a := range args {
		if err, ok := a.(error); ok {
			p.l.die(fmt.Errorf("%s: %w", fmt.Sprintf(format, args...), err))
		}
	}
	p.l.die(fmt.Errorf(format, args...))
}
