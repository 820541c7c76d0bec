package otlp

import (
	"context"
	"log/slog"
	"math/rand/v2"
	"runtime/pprof"
	"strings"
	"sync/atomic"
	"time"

	"cowrelay/cow/rate"
	"cowrelay/fasthttp/trace"

	"github.com/go-logr/logr"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/sdk/resource"
	sdk "go.opentelemetry.io/otel/sdk/trace"
	api "go.opentelemetry.io/otel/trace"
)

const (
	// maxQueue is how many spans may wait to be sent, and maxBatch how many go at once.
	maxQueue, maxBatch = 2048, 512
	sendTimeout        = 10 * time.Second // of a batch, all its tries together

	// A client may have so many requests traced by the flag of their parents. For
	// those beyond that the ratio decides, so that one client can't fill the queue.
	asksPerSecond, asksAtOnce = 50, 200
	maxClients                = 10_000
)

// Options say where traces go, and which.
type Options struct {
	Endpoint string  // as ParseEndpoint has checked it
	Ratio    float64 // of requests whose parent does not decide
	Version  string  // of the relay
	Logger   *slog.Logger
}

// Tracer is a trace.Tracer. Start makes it, and Close ends it. Any goroutine may use
// it.
type Tracer struct {
	ratio    float64
	provider *sdk.TracerProvider
	tracer   api.Tracer
	exporter *exporter
	asks     *rate.Limiter[uint64] // requests that are traced by the flag of their parents, by client
	begun    time.Time             // the clock of asks counts from it
	ended    atomic.Uint64
}

// Start returns a tracer that sends. It asks nobody yet: a collector that is not there
// is no error. What the library reads from the environment (OTEL_EXPORTER_OTLP_*,
// OTEL_SERVICE_NAME, OTEL_RESOURCE_ATTRIBUTES) applies, but for the endpoint, the
// sampling and the bounds.
func Start(o Options) (*Tracer, error) {
	// The library's messages may quote the environment, which holds what
	// authenticates. What fails is logged by the exporter.
	otel.SetLogger(logr.Discard())
	otel.SetErrorHandler(otel.ErrorHandlerFunc(func(error) {}))

	ctx := context.Background()
	sender, err := otlptracehttp.New(ctx, otlptracehttp.WithEndpointURL(strings.TrimRight(o.Endpoint, "/")+tracesPath))
	if err != nil {
		return nil, err
	}
	about, err := resource.New(ctx, resource.WithTelemetrySDK(), resource.WithHost(),
		resource.WithAttributes(attribute.String("service.name", "cowrelay"), attribute.String("service.version", o.Version)),
		resource.WithFromEnv()) // the last one wins
	if about == nil {
		return nil, err
	}
	if err != nil {
		o.Logger.Warn("traces: not all that the environment says of this service can be read")
	}
	t := &Tracer{
		ratio: o.Ratio, exporter: &exporter{SpanExporter: sender, log: o.Logger}, begun: time.Now(),
		asks: rate.NewLimiter[uint64](rate.PerSecond(asksPerSecond, asksAtOnce), maxClients),
	}
	// The library's goroutine inherits the label. Close ends it.
	pprof.Do(ctx, pprof.Labels("relay", "traces"), func(context.Context) {
		t.provider = sdk.NewTracerProvider(sdk.WithResource(about), sdk.WithSampler(sdk.AlwaysSample()), // Start has decided
			sdk.WithSpanProcessor(&gate{
				SpanProcessor: sdk.NewBatchSpanProcessor(t.exporter, sdk.WithMaxQueueSize(maxQueue), sdk.WithMaxExportBatchSize(maxBatch), sdk.WithExportTimeout(sendTimeout)),
				exporter:      t.exporter,
			}))
	})
	t.tracer = t.provider.Tracer("cowrelay")
	return t, nil
}

// Close sends what waits, until ctx ends, and ends the tracer. Spans that end later are
// dropped.
func (t *Tracer) Close(ctx context.Context) error { return t.provider.Shutdown(ctx) }

// Counts implements trace.Tracer.
func (t *Tracer) Counts() trace.Counts {
	return trace.Counts{Ended: t.ended.Load(), Sent: t.exporter.sent.Load(), Failed: t.exporter.failed.Load(), Dropped: t.exporter.dropped.Load()}
}

// Start implements trace.Tracer. A parent that is not one by the W3C's rules counts as
// none.
func (t *Tracer) Start(asked trace.Asked) trace.Span {
	ctx := context.Background()
	if asked.Parent != "" {
		ctx = propagation.TraceContext{}.Extract(ctx, header(asked))
	}
	if parent := api.SpanContextFromContext(ctx); parent.IsValid() {
		if !parent.IsSampled() {
			return nil
		}
		if ok, _ := t.asks.Allow(asked.Client, int64(time.Since(t.begun))); !ok && !t.chosen() {
			return nil
		}
	} else if !t.chosen() {
		return nil
	}
	s := &span{tracer: t}
	s.ctx, s.Span = t.tracer.Start(ctx, "request", api.WithSpanKind(api.SpanKindServer)) // End knows its name
	return s
}

// chosen says whether chance has a request traced.
func (t *Tracer) chosen() bool { return t.ratio > 0 && rand.Float64() < t.ratio }

// header shows the library the two fields that it reads.
type header trace.Asked

func (h header) Get(key string) string {
	switch key {
	case "traceparent":
		return h.Parent
	case "tracestate":
		return h.State
	}
	return ""
}

func (h header) Set(string, string) {}
func (h header) Keys() []string     { return []string{"traceparent", "tracestate"} }
