package natslog

import (
	"context"
	"errors"
	"fmt"
	"runtime/pprof"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"cowrelay/cow/replay"
)

// Log is a stream. All methods may be called concurrently.
type Log struct {
	o      Options
	ctx    context.Context // ends with Close
	cancel context.CancelFunc
	wg     sync.WaitGroup // of the goroutines send and watch, and of Follow
	nc     *nats.Conn
	js     jetstream.JetStream
	id     [16]byte
	acks   string // answers come to this subject and the number of what was sent

	queue   chan *parcel // to the goroutine send; has room for all that may be in flight
	trouble chan struct{}

	mu           sync.Mutex
	connected    bool                            // guarded by mu
	silent       bool                            // guarded by mu: that the connection is gone was logged
	closed       bool                            // guarded by mu
	number       uint64                          // guarded by mu: of the newest parcel
	pending      map[uint64]*parcel              // guarded by mu: not answered
	pendingBytes int                             // guarded by mu: of pending
	subs         map[*nats.Subscription]struct{} // guarded by mu: of sessions of Follow, nil while there is no connection
	lastError    string                          // guarded by mu
	lastErrorAt  time.Time                       // guarded by mu
	unfit        string                          // guarded by mu
	refusal      string                          // guarded by mu: see Status
	doubt        doubt                           // guarded by mu

	heard      atomic.Int64 // Unix nanoseconds: when the log last showed that it takes entries
	stuckUntil atomic.Int64 // Unix nanoseconds: answers to questions don't count as heard until then
	entryAt    atomic.Int64 // Unix nanoseconds: when Follow last yielded
	high       atomic.Uint64
	head       atomic.Uint64 // newest entry that the log is known to have
	fault      atomic.Pointer[error]
	troubled   atomic.Bool // Trouble at the next tick

	sent, answered, refused, unanswered, reconnects, sessions atomic.Uint64
}

// Log is what package replay needs.
var _ replay.SharedLog = (*Log)(nil)

// errClosed is returned by calls to a log that was closed.
var errClosed = errors.New("natslog: the log is closed")

// Open connects to the log, and makes it where there is none. It waits for servers that
// can't be reached until ctx ends. What no waiting can heal is an error at once; errors
// of type *Refusal say what the servers or the stream lack.
func Open(ctx context.Context, o Options) (*Log, error) {
	if err := o.complete(); err != nil {
		return nil, err
	}
	urls, err := serverURLs(o.URLs)
	if err != nil {
		return nil, err
	}
	l := &Log{
		o:       o,
		queue:   make(chan *parcel, maxInFlight),
		trouble: make(chan struct{}, 1),
		pending: make(map[uint64]*parcel),
	}
	l.ctx, l.cancel = context.WithCancel(context.Background())
	options, err := l.connOptions()
	if err != nil {
		l.cancel()
		return nil, err
	}
	stop := context.AfterFunc(ctx, l.cancel)
	err = l.persist(func() error { return l.open(urls, options) })
	if !stop() && err == nil {
		err = ctx.Err()
	}
	if err != nil {
		l.cancel()
		if l.nc != nil {
			l.nc.Close()
		}
		if ctx.Err() != nil {
			err = fmt.Errorf("natslog: %w while waiting for NATS at %s: %w", ctx.Err(), Redact(o.URLs), err)
		}
		return nil, err
	}
	l.run("natslog-send", l.send)
	l.run("natslog-watch", l.watch)
	return l, nil
}

// persist tries until it works, or can't work, or the log's context ends. Then the error
// is that of the try before, if there was one: the last was only cut off.
func (l *Log) persist(try func() error) error {
	said := ""
	var before error
	for {
		err := try()
		switch {
		case err == nil || hopeless(err):
			return err
		case l.ctx.Err() != nil && before != nil:
			return before
		case l.ctx.Err() != nil:
			return err
		}
		before = err
		if err.Error() != said {
			said = err.Error()
			l.o.Logger.Warn("waiting for NATS", "urls", Redact(l.o.URLs), "reason", said)
			l.o.Waiting(err)
		}
		select {
		case <-time.After(retryWait):
		case <-l.ctx.Done():
			return err
		}
	}
}

// open is one try.
func (l *Log) open(urls string, options []nats.Option) error {
	if l.nc == nil {
		nc, err := nats.Connect(urls, options...)
		if err != nil {
			return fmt.Errorf("natslog: no connection to %s: %w", Redact(l.o.URLs), err)
		}
		l.mu.Lock()
		l.nc, l.connected = nc, nc.IsConnected()
		l.mu.Unlock()
		if l.js, err = jetstream.New(nc); err != nil {
			return err
		}
		// The last part is the number of what is answered.
		l.acks = nats.NewInbox() + "."
		if _, err := nc.Subscribe(l.acks+"*", l.answer); err != nil {
			return err
		}
	}
	if err := checkServer(l.nc); err != nil {
		return err
	}
	if err := l.checkMonitors(); err != nil {
		return err
	}
	return l.openStream()
}

// run starts a goroutine that Close waits for.
func (l *Log) run(name string, f func()) {
	l.wg.Add(1)
	go pprof.Do(context.Background(), pprof.Labels("goroutine", name), func(context.Context) {
		defer l.wg.Done()
		f()
	})
}

// ID is in the stream's metadata.
func (l *Log) ID() [16]byte { return l.id }

// Limit is how long an entry may be.
func (l *Log) Limit() int { return MaxEntry }

// Trouble gets a value when entries that were sent may be lost. Refusals of a server are
// told at most four times a second.
func (l *Log) Trouble() <-chan struct{} { return l.trouble }

// signal tells of trouble at once.
func (l *Log) signal() {
	select {
	case l.trouble <- struct{}{}:
	default:
	}
}

// Close ends all calls and waits for them.
func (l *Log) Close() error {
	l.mu.Lock()
	if l.closed {
		l.mu.Unlock()
		return nil
	}
	l.closed = true
	l.mu.Unlock()
	l.cancel()
	l.wg.Wait()
	l.nc.Close()
	return nil
}

// Status is for metrics and for people.
type Status struct {
	Connected   bool
	Server      string // name of the server that the connection is to
	LastError   string // the last thing that went wrong, "" for none
	LastErrorAt time.Time
	Unfit       string // which server breaks the promise, as far as its monitoring port says; "" for none
	Refusal     string // why a server refused the entry that was sent last; "" it did not, or did not answer
	Head        uint64 // newest entry that the log is known to have

	Sent       uint64 // entries
	Answered   uint64 // entries that a server said to have stored
	Refused    uint64 // entries that a server refused
	Unanswered uint64 // entries that no server answered in time
	InFlight   int    // entries that wait for an answer
	Reconnects uint64
	Consumers  uint64 // begun by Follow: one, and one more for each interruption

	InFlightBytes int64 // of InFlight
	WaitingBytes  int64 // bytes that consumers have delivered and that were not yielded
}

// Status takes one short lock.
func (l *Log) Status() Status {
	s := Status{
		Head: l.head.Load(), Sent: l.sent.Load(), Answered: l.answered.Load(), Refused: l.refused.Load(),
		Unanswered: l.unanswered.Load(), Reconnects: l.reconnects.Load(), Consumers: l.sessions.Load(),
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	s.Connected, s.LastError, s.LastErrorAt, s.InFlight = l.connected, l.lastError, l.lastErrorAt, len(l.pending)
	s.Unfit, s.Refusal, s.InFlightBytes = l.unfit, l.refusal, int64(l.pendingBytes)
	for sub := range l.subs {
		if _, bytes, err := sub.Pending(); err == nil {
			s.WaitingBytes += int64(bytes)
		}
	}
	if s.Connected {
		s.Server = l.nc.ConnectedServerName()
	}
	return s
}

// noteError keeps the text of what went wrong. It says whether that is another one than
// the last.
func (l *Log) noteError(err error) (other bool) {
	text := err.Error()
	l.mu.Lock()
	defer l.mu.Unlock()
	other = text != l.lastError
	l.lastError, l.lastErrorAt = text, time.Now()
	return other
}
