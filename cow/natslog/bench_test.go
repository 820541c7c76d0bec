package natslog_test

import (
	"context"
	"fmt"
	"log/slog"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"cowrelay/cow/natslog"
)

var benchSizes = []int{512, 16 << 10, 64 << 10, 256 << 10}

// Entries through Send and Follow, some under way at a time, beside a bare publish of as
// many that waits for its answer.
func BenchmarkLog(b *testing.B) {
	for _, p := range places(b) {
		for _, size := range benchSizes {
			for _, window := range []int{1, 8, 64} {
				name := fmt.Sprintf("%s/size=%d/window=%d", p.name, size, window)
				p.o.Stream = newStream()
				p.o.Logger = slog.New(slog.DiscardHandler)
				b.Run(name+"/impl=cow", func(b *testing.B) { benchLog(b, p.o, size, window) })
				b.Run(name+"/impl=plain", func(b *testing.B) { benchBare(b, p.o, size, window) })
			}
		}
	}
}

func benchLog(b *testing.B, o natslog.Options, size, window int) {
	o.Stream = newStream()
	l := open(b, o)
	came := make(chan struct{}, window)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() {
		ended <- l.Follow(ctx, 1, func(uint64, []byte) error { came <- struct{}{}; return nil })
	}()
	e := make([]byte, size)
	if err := l.Send(e); err != nil {
		b.Fatal(err)
	}
	<-came
	b.SetBytes(int64(size))
	b.ReportAllocs()
	under := 0
	for b.Loop() {
		if under == window {
			<-came
			under--
		}
		for l.Send(e) != nil {
			time.Sleep(100 * time.Microsecond)
		}
		under++
	}
	for ; under > 0; under-- {
		<-came
	}
	cancel()
	<-ended
}

func benchBare(b *testing.B, o natslog.Options, size, window int) {
	js := admin(b, o)
	ctx := context.Background()
	name := newStream()
	if _, err := js.CreateStream(ctx, jetstream.StreamConfig{Name: name, Subjects: []string{name}, Replicas: benchReplicas(o), Storage: jetstream.FileStorage, MaxBytes: -1}); err != nil {
		b.Fatal(err)
	}
	e := make([]byte, size)
	b.SetBytes(int64(size))
	b.ReportAllocs()
	answers := make(chan jetstream.PubAckFuture, window)
	wait := func() {
		a := <-answers
		select {
		case <-a.Ok():
		case err := <-a.Err():
			b.Fatal(err)
		}
	}
	for b.Loop() {
		if len(answers) == window {
			wait()
		}
		a, err := js.PublishAsync(name, e)
		if err != nil {
			b.Fatal(err)
		}
		answers <- a
	}
	for len(answers) > 0 {
		wait()
	}
}

func benchReplicas(o natslog.Options) int {
	if o.Replicas == 0 {
		return natslog.DefaultReplicas
	}
	return o.Replicas
}
