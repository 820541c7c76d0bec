package otlp

import (
	"context"
	"strconv"
	"time"

	"cowrelay/fasthttp/trace"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	api "go.opentelemetry.io/otel/trace"
)

// span is a trace.Span.
type span struct {
	api.Span
	tracer *Tracer
	ctx    context.Context // holds the span, for its parts
}

func (s *span) TraceID() string { return s.SpanContext().TraceID().String() }

func (s *span) Part(name string, from, to time.Time) {
	_, part := s.tracer.tracer.Start(s.ctx, name, api.WithTimestamp(from))
	part.End(api.WithTimestamp(to))
	s.tracer.ended.Add(1)
}

// End names the span and its attributes by OpenTelemetry's conventions for HTTP. The
// path is not among them: it may hold what authenticates.
func (s *span) End(o trace.Outcome) {
	method := o.Method
	if method == "" {
		method = "_OTHER"
	}
	about := []attribute.KeyValue{
		attribute.String("http.request.method", method), attribute.String("http.route", o.Route),
		attribute.Int("http.response.status_code", o.Status),
	}
	if o.Slot != "" {
		about = append(about, attribute.String("cowrelay.slot.id", o.Slot))
	}
	if o.RequestID != "" {
		about = append(about, attribute.String("cowrelay.request.id", o.RequestID))
	}
	if o.Status >= 500 {
		about = append(about, attribute.String("error.type", strconv.Itoa(o.Status)))
		s.SetStatus(codes.Error, "")
	}
	s.SetName(o.Route)
	s.SetAttributes(about...)
	s.Span.End()
	s.tracer.ended.Add(1)
}
