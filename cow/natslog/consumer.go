package natslog

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"cowrelay/cow/replay"
)

// consumer is one that is to be made. Only one goroutine uses it at a time.
type consumer struct {
	l        *Log
	from     uint64 // its first entry
	patience time.Duration
	sub      *nats.Subscription // what it delivers to; nil before begin
	unhook   func() bool
}

// begin makes the consumer. Its name is random, so a repeated request finds it, and no
// other is touched. The server drops it when nobody listens any more.
func (c *consumer) begin(ctx context.Context) error {
	l := c.l
	st, err := l.ask(ctx, c.patience)
	if err != nil {
		return err
	}
	if st.first > c.from {
		return final{fmt.Errorf("%w: it begins with entry %d, and entry %d is needed", replay.ErrTrimmed, st.first, c.from)}
	}
	inbox := nats.NewInbox()
	if c.sub, err = l.nc.SubscribeSync(inbox); err != nil {
		return err
	}
	if err := c.sub.SetPendingLimits(-1, int(l.o.Memory/2)); err != nil {
		return err
	}
	if !l.hold(c.sub) {
		return errors.New("natslog: not connected to NATS")
	}
	sub := c.sub
	c.unhook = context.AfterFunc(ctx, func() { _ = sub.Unsubscribe() })
	l.sessions.Add(1)
	ctx, cancel := context.WithTimeout(ctx, c.patience)
	defer cancel()
	_, err = l.js.CreateOrUpdatePushConsumer(ctx, l.o.Stream, jetstream.ConsumerConfig{
		Name:              "cowrelay_" + inbox[strings.LastIndexByte(inbox, '.')+1:],
		Description:       "cowrelay " + l.o.Version + " " + l.o.Name,
		DeliverPolicy:     jetstream.DeliverByStartSequencePolicy,
		OptStartSeq:       c.from,
		AckPolicy:         jetstream.AckNonePolicy,
		DeliverSubject:    inbox,
		FlowControl:       true,
		IdleHeartbeat:     heartbeat,
		InactiveThreshold: consumerIdle,
		Replicas:          1,
		MemoryStorage:     true,
	})
	return err
}

// end gives back what begin took.
func (c *consumer) end() {
	if c.unhook != nil {
		c.unhook()
	}
	if c.sub != nil {
		c.l.release(c.sub)
		_ = c.sub.Unsubscribe()
	}
}

// Fetching needs neither the stream's leader nor the cluster's: any server that has the
// stream answers. Making a consumer needs both, and it takes seconds to choose them
// anew. So Follow goes on meanwhile.
const (
	fetchAfter   = 200 * time.Millisecond
	fetchEvery   = 50 * time.Millisecond
	fetchTimeout = 300 * time.Millisecond // the server that was asked may be gone
	fetchEntries = 2048                   // so many a time also where the servers are far away
	fetchBytes   = 4 << 20                // at most: a small Memory has less
)

// catchUp fetches until a server has no more. It is for a follower that was sent more
// than it may keep: what is fetched comes when it is asked for.
func (f *follower) catchUp(ctx context.Context) error {
	for ctx.Err() == nil {
		was := f.next
		if err := f.fetch(ctx); err != nil || f.next == was {
			return err
		}
	}
	return nil
}

// fetch yields what a server has behind the last entry. Its errors are of yield. All else
// that goes wrong is of no interest: it is tried again.
func (f *follower) fetch(ctx context.Context) error {
	l := f.l
	request, err := json.Marshal(struct {
		Seq      uint64 `json:"seq"`
		Batch    int    `json:"batch"`
		MaxBytes int    `json:"max_bytes"`
	}{f.next, fetchEntries, int(min(fetchBytes, l.o.Memory/4))})
	if err != nil {
		return nil
	}
	inbox := nats.NewInbox()
	came := make(chan *nats.Msg, fetchEntries+1) // and the end
	sub, err := l.nc.ChanSubscribe(inbox, came)
	if err != nil {
		return nil
	}
	defer sub.Unsubscribe()
	if l.nc.PublishRequest("$JS.API.DIRECT.GET."+l.o.Stream, inbox, request) != nil {
		return nil
	}
	late := time.NewTimer(fetchTimeout)
	defer late.Stop()
	for {
		var m *nats.Msg
		select {
		case m = <-came:
			late.Reset(fetchTimeout)
		case <-late.C:
			return nil
		case <-ctx.Done():
			return nil
		}
		if m.Header.Get("Status") != "" {
			return nil // the end of what it has, or a refusal
		}
		// The server steps over what it lacks. Only the next entry will do.
		if m.Header.Get("Nats-Sequence") != strconv.FormatUint(f.next, 10) {
			return nil
		}
		if err := f.take(m.Data); err != nil {
			return err
		}
		late.Reset(fetchTimeout) // a slow reader is no silence of the server
	}
}
