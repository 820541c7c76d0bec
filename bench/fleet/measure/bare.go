package measure

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/nats-io/nats.go"

	"cowrelay/bench/fleet/fault"
	"cowrelay/bench/load"
	"cowrelay/bench/wire"
)

// bareStream is a stream like that of the log, for bare publishes.
const bareStream = "BARE"

// bareAck is how long a publish waits for its acknowledgement.
const bareAck = 10 * time.Second

// bare publishes to a stream as a client without a relay would: one message a post, and
// its acknowledgement awaited. Connections are spread over the servers.
type bare struct {
	urls []string
	nc   *nats.Conn
}

func openBare(ctx context.Context, f *fault.Fleet) (*bare, error) {
	b := &bare{}
	for _, s := range f.Cluster.Servers {
		b.urls = append(b.urls, "nats://"+s.Addr())
	}
	var err error
	if b.nc, err = nats.Connect(strings.Join(b.urls, ",")); err != nil {
		return nil, err
	}
	js, err := b.nc.JetStream(nats.MaxWait(bareAck))
	if err == nil {
		_, err = js.AddStream(&nats.StreamConfig{
			Name: bareStream, Subjects: []string{bareStream}, Storage: nats.FileStorage, Replicas: len(b.urls),
			Discard: nats.DiscardNew, DenyDelete: true,
		}, nats.Context(ctx))
	}
	if err != nil {
		b.nc.Close()
		return nil, fmt.Errorf("cannot make a stream for bare publishes: %w", err)
	}
	return b, nil
}

// close drops the stream, so that its files are not in the way of what follows.
func (b *bare) close() {
	if js, err := b.nc.JetStream(); err == nil {
		_ = js.DeleteStream(bareStream) // the whole folder goes anyway
	}
	b.nc.Close()
}

// round publishes from n posters over conns connections; 0: one each.
func (b *bare) round(ctx context.Context, m *bench, n, conns int) (load.Sample, error) {
	if conns == 0 {
		conns = n
	}
	var open []*nats.Conn
	defer func() {
		for _, nc := range open {
			nc.Close()
		}
	}()
	for i := range conns {
		nc, err := nats.Connect(b.urls[i%len(b.urls)], nats.NoReconnect(), nats.Timeout(bareAck))
		if err != nil {
			return load.Sample{}, err
		}
		open = append(open, nc)
	}
	ws := make([]load.Worker, n)
	first := m.numbers(n)
	for i := range ws {
		js, err := open[i%conns].JetStream()
		if err != nil {
			return load.Sample{}, err
		}
		w := &publisher{js: js, t: m.session.Template, next: first + uint64(i)*load.NumbersPerPoster}
		w.ctx, w.cancel = context.WithCancel(ctx)
		ws[i] = w
	}
	return m.session.RunClosed(ctx, &load.Server{Name: "bare publish"}, ws)
}

// publisher is one poster.
type publisher struct {
	js     nats.JetStreamContext
	t      *wire.Template
	event  []byte
	next   uint64
	ctx    context.Context // Interrupt ends it
	cancel context.CancelFunc
}

func (p *publisher) Do(context.Context) error {
	p.event = p.t.AppendEvent(p.event[:0], p.next)
	p.next++
	ctx, cancel := context.WithTimeout(p.ctx, bareAck)
	defer cancel()
	ack, err := p.js.Publish(bareStream, p.event, nats.Context(ctx))
	if err == nil && (ack.Stream != bareStream || ack.Sequence == 0) {
		err = fmt.Errorf("a publish was acknowledged with %+v", *ack)
	}
	return err
}

func (p *publisher) Interrupt() { p.cancel() }

func (p *publisher) Close() { p.cancel() }

// taken is what the log took for events of relays.
type taken struct {
	events         int64
	entries, bytes uint64
}

// note tells it. The entries also hold what relays say beside: touches, members.
func (t *taken) note() string {
	if t.events == 0 || t.entries == 0 {
		return ""
	}
	return fmt.Sprintf("the log took %.0f B for each event, of which %.1f came in an entry",
		float64(t.bytes)/float64(t.events), float64(t.events)/float64(t.entries))
}

// watch runs a round of relays, and adds up what the log took for it.
func (b *bare) watch(ctx context.Context, to *taken, round func() (load.Sample, int64, error)) (load.Sample, error) {
	js, err := b.nc.JetStream(nats.MaxWait(bareAck))
	if err != nil {
		return load.Sample{}, err
	}
	before, err := js.StreamInfo(fault.Stream, nats.Context(ctx))
	if err != nil {
		return load.Sample{}, err
	}
	s, posted, err := round()
	if err != nil {
		return s, err
	}
	after, err := js.StreamInfo(fault.Stream, nats.Context(ctx))
	if err != nil {
		return s, err
	}
	to.events += posted
	to.entries += after.State.LastSeq - before.State.LastSeq
	to.bytes += after.State.Bytes - before.State.Bytes
	return s, nil
}
