package otlp

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"cowrelay/fasthttp/trace"

	sdk "go.opentelemetry.io/otel/sdk/trace"
)

func TestParseEndpoint(t *testing.T) {
	for _, good := range []string{"", "http://127.0.0.1:4318", "https://collector.example", "https://a.example/otlp/", "http://[::1]:4318"} {
		if got, err := ParseEndpoint(good); got != good || err != nil {
			t.Errorf("%q: %q, %v", good, got, err)
		}
	}
	for _, bad := range []string{"127.0.0.1:4318", "grpc://a.example", "http://", "http://a.example?x=1", "http://a.example#x", "http://u:p@a.example", "http://a.example/v1/traces", "http://a b/"} {
		if got, err := ParseEndpoint(bad); err == nil || strings.Contains(err.Error(), "u:p") {
			t.Errorf("%q: %q, %v", bad, got, err)
		}
	}
}

func TestParseRatio(t *testing.T) {
	for text, want := range map[string]float64{"0": 0, "1": 1, "0.01": 0.01} {
		if got, err := ParseRatio(text); got != want || err != nil {
			t.Errorf("%q: %v, %v", text, got, err)
		}
	}
	for _, bad := range []string{"", "x", "-0.1", "1.1", "NaN", "Inf"} {
		if got, err := ParseRatio(bad); err == nil {
			t.Errorf("%q: %v", bad, got)
		}
	}
}

// tracer returns one whose collector is the handler.
func tracer(t *testing.T, ratio float64, log io.Writer, collector http.HandlerFunc) *Tracer {
	t.Helper()
	server := httptest.NewServer(collector)
	t.Cleanup(server.Close)
	tr, err := Start(Options{Endpoint: server.URL, Ratio: ratio, Version: "test", Logger: slog.New(slog.NewTextHandler(log, nil))})
	if err != nil {
		t.Fatal(err)
	}
	return tr
}

func end(t *testing.T, tr *Tracer) error {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	return tr.Close(ctx)
}

func takes(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "application/x-protobuf")
}

const (
	traceID = "4bf92f3577b34da6a3ce929d0e0e4736"
	asked   = "00-" + traceID + "-00f067aa0ba902b7-01"
)

// The flag of a good parent decides; by the W3C's rules a bad one counts as none.
func TestTracer_Parents(t *testing.T) {
	never, always := tracer(t, 0, io.Discard, takes), tracer(t, 1, io.Discard, takes)
	defer end(t, never)
	defer end(t, always)
	for i, row := range []struct {
		parent string
		heard  bool // it is a parent
		traced bool // and wants to be traced
	}{
		{asked, true, true},
		{"00-" + traceID + "-00f067aa0ba902b7-03", true, true},
		{"cc-" + traceID + "-00f067aa0ba902b7-01", true, true}, // of a later version
		{"cc-" + traceID + "-00f067aa0ba902b7-01-what-else", true, true},
		{"00-" + traceID + "-00f067aa0ba902b7-00", true, false},
		{"", false, false},
		{"x", false, false},
		{asked + "-x", false, false},
		{"ff-" + traceID + "-00f067aa0ba902b7-01", false, false},
		{"00-" + strings.ToUpper(traceID) + "-00f067aa0ba902b7-01", false, false},
		{"00-" + strings.Repeat("0", 32) + "-00f067aa0ba902b7-01", false, false},
		{"00-" + traceID + "-0000000000000000-01", false, false},
		{"00-" + traceID + "-00f067aa0ba902b7-0g", false, false},
		{"00-" + traceID[1:] + "-00f067aa0ba902b7-01", false, false},
		{strings.Repeat("-", 9000), false, false},
	} {
		for _, state := range []string{"", "vendor=1,other=2", "no state at all"} {
			a := trace.Asked{Parent: row.parent, State: state, Client: uint64(i)}
			if s := never.Start(a); (s != nil) != row.traced || s != nil && s.TraceID() != traceID {
				t.Errorf("%.80q, ratio 0: %v", row.parent, s)
			}
			s := always.Start(a)
			if want := row.traced || !row.heard; (s != nil) != want {
				t.Errorf("%.80q, ratio 1: %v", row.parent, s)
			} else if s != nil && (s.TraceID() == traceID) != row.heard {
				t.Errorf("%.80q: of the trace %s", row.parent, s.TraceID())
			}
		}
	}
}

// One client that asks for traces all the time gets its share, and others theirs.
func TestTracer_ShareOfAClient(t *testing.T) {
	tr := tracer(t, 0, io.Discard, takes)
	defer end(t, tr)
	traced := 0
	for range 20 * asksAtOnce {
		if tr.Start(trace.Asked{Parent: asked, Client: 1}) != nil {
			traced++
		}
	}
	if most := asksAtOnce + int(time.Since(tr.begun).Seconds()*asksPerSecond) + 1; traced < asksAtOnce || traced > most {
		t.Errorf("%d traced, want %d to %d", traced, asksAtOnce, most)
	}
	if tr.Start(trace.Asked{Parent: asked, Client: 2}) == nil {
		t.Error("another client has no share")
	}
}

// A request that is not traced costs nothing.
func TestTracer_Allocs(t *testing.T) {
	tr := tracer(t, 0.0000001, io.Discard, takes)
	defer end(t, tr)
	if n := testing.AllocsPerRun(1000, func() { tr.Start(trace.Asked{}) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// A collector that hangs fills the queue and no more: nobody waits, and what does not
// fit is dropped. Close ends in its time.
func TestTracer_CollectorHangs(t *testing.T) {
	free := make(chan struct{})
	tr := tracer(t, 1, io.Discard, func(http.ResponseWriter, *http.Request) { <-free })
	defer close(free)
	const spans = 20_000
	began := time.Now()
	for range spans {
		tr.Start(trace.Asked{}).End(trace.Outcome{Route: "healthz", Status: 200})
	}
	if took := time.Since(began); took > sendTimeout {
		t.Errorf("%d spans took %v", spans, took)
	}
	if n := tr.Counts(); n != (trace.Counts{Ended: spans, Dropped: spans - maxQueue}) {
		t.Errorf("%+v", n)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if err := tr.Close(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Error(err)
	}
	if took := time.Since(began); took > sendTimeout {
		t.Errorf("the end took %v", took)
	}
}

// What fails is counted, and said once; it is said when it is over.
func TestExporter_SaysIt(t *testing.T) {
	var log bytes.Buffer
	inner := new(fake)
	e := &exporter{SpanExporter: inner, log: slog.New(slog.NewTextHandler(&log, nil))}
	batch := make([]sdk.ReadOnlySpan, 3)
	for _, next := range []func() error{
		func() error { return errors.New(strings.Repeat("y", 5000)) },
		func() error { panic("a fault that quotes the request") },
		func() error { return nil },
		func() error { return nil },
		func() error { panic("a fault that quotes the request") },
	} {
		inner.next = next
		if err := e.ExportSpans(t.Context(), batch); err != nil {
			t.Error(err)
		}
	}
	if e.sent.Load() != 6 || e.failed.Load() != 9 {
		t.Errorf("%d sent, %d failed", e.sent.Load(), e.failed.Load())
	}
	text := log.String()
	if strings.Count(text, "traces can't be sent") != 2 || strings.Count(text, "traces are sent again") != 1 || len(text) > 1500 || strings.Contains(text, "quotes") {
		t.Errorf("%s", text)
	}
}

type fake struct{ next func() error }

func (f *fake) ExportSpans(context.Context, []sdk.ReadOnlySpan) error { return f.next() }
func (f *fake) Shutdown(context.Context) error                        { return nil }
