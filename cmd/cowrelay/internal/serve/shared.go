package serve

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"cowrelay/cmd/cowrelay/internal/fleet"
	"cowrelay/cmd/cowrelay/internal/plan"
	"cowrelay/cow/engine"
	"cowrelay/cow/natslog"
	"cowrelay/fasthttp/admin"
	"cowrelay/fasthttp/stats"
)

// say sets what /readyz tells operators while the relay starts, "" for nothing.
func (s *server) say(text string) { s.saying.Store(&text) }

// told is what /readyz tells: what the start waits for, and later how the relay stands
// to a log that it shares.
func (s *server) told() string {
	if text := s.saying.Load(); text != nil && *text != "" {
		return *text
	}
	if shared := s.shared.Load(); shared != nil {
		log := s.sharedLog.Status()
		switch h := shared.Health(); {
		case log.Refusal != "":
			return "refused: the NATS servers take no entries, so posts are refused: " + log.Refusal
		case h.Away > awayTold && log.LastError != "":
			return fmt.Sprintf("away: the shared log could not be reached for %v; posts are refused; the last error: %s", h.Away.Round(time.Second), log.LastError)
		case h.Away > awayTold:
			return fmt.Sprintf("away: the shared log could not be reached for %v; posts are refused", h.Away.Round(time.Second))
		case log.Unfit != "":
			return "unfit: " + log.Unfit
		case h.Head > h.Applied+behindTold:
			return fmt.Sprintf("behind: %d entries of the shared log are not applied yet", h.Head-h.Applied)
		}
	}
	return ""
}

const (
	awayTold   = 3 * time.Second // the log is not called away before
	behindTold = 1000            // entries
)

// logMemory is what the log has of the memory for entries on their way. The rest is for
// those that the journal keeps until it has seen them.
func logMemory(m plan.Budget) int64 { return m.Log - m.Log/4 }

// openShared opens the log that relays share, copies another relay's store if it shall,
// and brings the store up to the log's end. It waits for servers that can't be reached,
// for ever: a signal ends the process meanwhile.
func (s *server) openShared(ctx context.Context, o engine.Options) (err error) {
	// A folder of a fleet waits for the log of that fleet, and never begins another one.
	expect, err := engine.LogOf(s.DataDir, engine.Options{OpenFiles: s.files.Store, Logger: s.log})
	if err != nil {
		return err
	}
	s.say("waiting for the NATS servers")
	log, err := natslog.Open(ctx, natslog.Options{
		URLs: s.NATS.URLs, Creds: s.NATS.Creds, CA: s.NATS.CA, Cert: s.NATS.Cert, Key: s.NATS.Key, Stream: s.NATS.Stream,
		Replicas: s.NATS.Replicas, FewReplicas: s.NATS.Replicas < natslog.DefaultReplicas,
		Expect: expect, MonitorURLs: s.NATS.Monitor, TrustSync: s.NATS.TrustSync,
		Name: s.RelayName, Version: s.version, Logger: s.log, Memory: logMemory(s.memory),
		Waiting: func(reason error) { s.say("waiting for the NATS servers: " + reason.Error()) },
	})
	if err != nil {
		return err
	}
	s.sharedLog = log
	if err := s.join(ctx); err != nil {
		return errors.Join(err, log.Close())
	}
	s.say("replaying the shared log")
	o.Pending = s.memory.Log - logMemory(s.memory)
	var step *progress
	o.Progress = func(done, all uint64) {
		if step == nil {
			step = s.replaying(int64(all))
		}
		step.at(int64(done))
	}
	shared, err := engine.OpenShared(ctx, s.DataDir, log, o)
	if step != nil {
		step.end()
	}
	if err != nil {
		return errors.Join(err, log.Close())
	}
	s.journal = shared.Journal
	s.shared.Store(shared)
	s.say("")
	return nil
}

// openFleet begins to tell the other relays how this one is.
func (s *server) openFleet() (err error) {
	shared := s.shared.Load()
	if shared == nil {
		return nil
	}
	tells := ""
	if s.AdminToken != "" { // without one, nobody else may ask it
		tells = addrText(s.adminLn)
	}
	s.fleet, err = fleet.Open(fleet.Options{
		Name: s.RelayName, Version: s.version, Admin: tells, Journal: shared, Log: s.sharedLog, Formats: shared,
		Durable: shared.Durable, Flush: shared.Flush, Entries: func() uint64 { return shared.SharedStats().Own }, Keep: s.NATS.Keep, Logger: s.log,
	})
	if err != nil {
		return err
	}
	if s.admin != nil {
		s.admin.ShowFleet(s.fleet)
	}
	return nil
}

// barrierTime is how long a copy waits to hear what other relays have acknowledged.
const barrierTime = 10 * time.Second

// checkpoint makes a copy of the store, for operators. It has all that was acknowledged
// before, by any relay that shares the log.
func (s *server) checkpoint(ctx context.Context) (admin.Checkpoint, error) {
	if shared := s.shared.Load(); shared != nil {
		wait, cancel := context.WithTimeout(ctx, barrierTime)
		err := shared.Barrier(wait)
		if cancel(); err != nil {
			return nil, admin.ErrAway
		}
	}
	c, err := s.journal.Checkpoint(ctx)
	if errors.Is(err, engine.ErrCheckpoint) {
		return nil, admin.ErrBusy
	}
	if err != nil {
		return nil, err
	}
	return copied{c}, nil
}

// copied is a copy of the store as operators see it.
type copied struct{ *engine.Checkpoint }

// Send implements admin.Checkpoint.
func (c copied) Send(ctx context.Context, w io.Writer, o admin.SendOptions) (int64, error) {
	to := engine.SendOptions{Rate: o.Rate, LeftOut: o.LeftOut, Have: make([]engine.File, len(o.Have))}
	for i, h := range o.Have {
		to.Have[i] = engine.File(h)
	}
	return c.Checkpoint.Send(ctx, w, to)
}

// fleetFigures is what metrics show of the log that relays share, nil for a log of this
// relay alone.
func (s *server) fleetFigures() *stats.Fleet {
	shared := s.shared.Load()
	if shared == nil || s.fleet == nil {
		return nil
	}
	j, c, l := shared.SharedStats(), s.fleet.Counts(), s.sharedLog.Status()
	return &stats.Fleet{
		Applied: j.Health.Applied, Head: j.Health.Head, Durable: j.Durable, Purged: c.Purged, Lag: c.Lag, Away: j.Health.Away,
		Own: j.Own, Others: j.Seen - j.Own, Ignored: j.Ignored, Resent: j.Resent,
		Pending: uint64(j.Pending), PendingBytes: uint64(j.PendingBytes), FeedBytes: uint64(j.FeedBytes), FeedLost: j.FeedLost,
		Members: c.Members, Live: c.Live, Twins: c.Twins, Format: shared.Format(), Reads: shared.Reads(),
		Link: stats.Link{
			Connected: l.Connected, Unfit: l.Unfit != "", ErrorAt: l.LastErrorAt,
			Answered: l.Answered, Refused: l.Refused, Unanswered: l.Unanswered, InFlight: uint64(l.InFlight),
			Reconnects: l.Reconnects, Consumers: l.Consumers,
		},
	}
}
