package otlp

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	sdk "go.opentelemetry.io/otel/sdk/trace"
)

// logEvery is the time between two lines of the log that say that nothing is sent.
const logEvery = time.Minute

// exporter stands between the library's queue and what sends. It counts batches, logs
// the first failure of a row and one a minute, and lets no panic through. The library
// calls ExportSpans on one goroutine at a time.
type exporter struct {
	sdk.SpanExporter
	log *slog.Logger
	// Spans. waiting are those that the gate has let in and that are not sent or failed
	// yet. It is at most maxQueue, so the library's queue always has room.
	sent, failed, dropped atomic.Uint64
	waiting               atomic.Int64

	// Of ExportSpans alone.
	down   bool      // the last batch failed
	logged time.Time // when that was said last
}

func (e *exporter) ExportSpans(ctx context.Context, spans []sdk.ReadOnlySpan) error {
	err := e.send(ctx, spans)
	e.waiting.Add(-int64(len(spans)))
	if err == nil {
		e.sent.Add(uint64(len(spans)))
		if e.down {
			e.log.Info("traces are sent again", "lost_spans", e.failed.Load())
		}
		e.down = false
		return nil
	}
	lost := e.failed.Add(uint64(len(spans)))
	if !e.down || time.Since(e.logged) >= logEvery {
		e.log.Warn("traces can't be sent; the relay goes on without", "error", short(err), "lost_spans", lost)
		e.down, e.logged = true, time.Now()
	}
	return nil // it is said and counted
}

func (e *exporter) send(ctx context.Context, spans []sdk.ReadOnlySpan) (err error) {
	defer func() {
		if fault := recover(); fault != nil {
			err = fmt.Errorf("a fault in the exporter: a value of type %T", fault)
		}
	}()
	return e.SpanExporter.ExportSpans(ctx, spans)
}

// gate stands before the library's queue, which drops without a word what does not fit.
type gate struct {
	sdk.SpanProcessor
	exporter *exporter
}

func (g *gate) OnEnd(s sdk.ReadOnlySpan) {
	if g.exporter.waiting.Add(1) > maxQueue {
		g.exporter.waiting.Add(-1)
		g.exporter.dropped.Add(1)
		return
	}
	g.SpanProcessor.OnEnd(s)
}

// short is an error for the log. A collector's answer may be in it, of any length.
func short(err error) string {
	if errors.Is(err, context.DeadlineExceeded) {
		return "no answer in time"
	}
	const most = 200
	text := err.Error()
	return text[:min(len(text), most)]
}
