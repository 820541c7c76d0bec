package main

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"time"

	"github.com/nats-io/nats.go"

	"cowrelay/bench/peer"
)

// streams is how many streams the lanes are spread over; a lane is a subject of
// one of them. A stream has costs of its own and a subject hardly any, so this
// is how NATS would hold a mailbox for each of many agents. One stream syncs
// one message at a time: posts from 64 clients to one stream were a third as
// fast as posts to 16 streams, and 64 streams were not faster than 16.
const streams = 16

// place names the stream and the subject of a lane.
func place(lane string) (stream, subject string) {
	h := fnv.New32a()
	_, _ = h.Write([]byte(lane)) // never fails
	n := h.Sum32() % streams
	return streamName(n), fmt.Sprintf("slots.%d.%s", n, lane)
}

func streamName(n uint32) string { return fmt.Sprintf("SLOTS-%d", n) }

// dedupeWindow is how long the server remembers a message id; this is its
// default.
const dedupeWindow = 2 * time.Minute

// connectTimeout is how long one connect may take.
const connectTimeout = 10 * time.Second

// A backend is a running server.
type backend struct{ url string }

// dial connects to a server and makes the streams, unless they are there.
func dial(addr string) (peer.Backend, error) {
	b := &backend{url: "nats://" + addr}
	nc, js, err := b.connect()
	if err != nil {
		return nil, err
	}
	defer nc.Close()
	for n := range uint32(streams) {
		_, err := js.AddStream(&nats.StreamConfig{
			Name: streamName(n), Subjects: []string{fmt.Sprintf("slots.%d.>", n)},
			Storage: nats.FileStorage, Replicas: 1, Duplicates: dedupeWindow,
		})
		if err != nil {
			return nil, fmt.Errorf("cannot make a stream: %w", err)
		}
	}
	return b, nil
}

func (b *backend) connect(opts ...nats.Option) (*nats.Conn, nats.JetStreamContext, error) {
	// A connection that breaks is an error of the round, so it is not made anew.
	nc, err := nats.Connect(b.url, append(opts, nats.Timeout(connectTimeout), nats.NoReconnect())...)
	if err != nil {
		return nil, nil, err
	}
	js, err := nc.JetStream()
	if err != nil {
		nc.Close()
		return nil, nil, err
	}
	return nc, js, nil
}

// A poster is one client with a connection of its own.
type poster struct {
	nc     *nats.Conn
	js     nats.JetStreamContext
	stream string
	msg    *nats.Msg
	id     []string // the value of the id's header, used again and again
}

// Poster implements peer.Backend.
func (b *backend) Poster(_ context.Context, lane string) (peer.Poster, error) {
	nc, js, err := b.connect()
	if err != nil {
		return nil, err
	}
	stream, subject := place(lane)
	p := &poster{nc: nc, js: js, stream: stream, msg: nats.NewMsg(subject), id: make([]string, 1)}
	p.msg.Header[nats.MsgIdHdr] = p.id
	return p, nil
}

// Post publishes an event and waits for the acknowledgement. The message has
// the event's id, so that an event that is sent twice is stored once.
func (p *poster) Post(ctx context.Context, id, event []byte) error {
	p.id[0] = string(id)
	p.msg.Data = event
	ack, err := p.js.PublishMsg(p.msg, nats.Context(ctx))
	switch {
	case err != nil:
		return fmt.Errorf("cannot publish: %w", err)
	case ack.Duplicate || ack.Stream != p.stream || ack.Sequence == 0:
		return fmt.Errorf("a post was acknowledged with %+v", *ack)
	}
	return nil
}

func (p *poster) Close() { p.nc.Close() }

// Stream subscribes with an ordered consumer, from the subject's first message.
// Such a consumer sees gaps, replays what it missed and can begin anywhere; a
// plain subscription can do none of that.
func (b *backend) Stream(_ context.Context, lane string, deliver func([]byte), failed func(error)) (io.Closer, error) {
	nc, js, err := b.connect(
		nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) { failed(err) }),
		nats.ClosedHandler(func(nc *nats.Conn) {
			err := nc.LastError()
			if err == nil {
				err = errors.New("connection closed")
			}
			failed(err)
		}),
	)
	if err != nil {
		return nil, err
	}
	stream, subject := place(lane)
	sub, err := js.Subscribe(subject, func(m *nats.Msg) { deliver(m.Data) },
		nats.OrderedConsumer(), nats.BindStream(stream))
	if err == nil {
		err = sub.SetPendingLimits(-1, -1) // no limit: a slow reader loses nothing
	}
	if err != nil {
		nc.Close()
		return nil, fmt.Errorf("cannot subscribe: %w", err)
	}
	return closer{nc}, nil
}

type closer struct{ nc *nats.Conn }

func (c closer) Close() error {
	c.nc.Close()
	return nil
}
