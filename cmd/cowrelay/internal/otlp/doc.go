// Package otlp sends traces of requests to a collector, by OpenTelemetry's protocol
// over HTTP. It is the one package that knows OpenTelemetry's libraries.
//
//	Tracer.Start    decides by the parent's flag, or by the ratio
//	span.End        puts the span into a bounded queue; a full one drops it
//	the library     takes batches from the queue, on one goroutine
//	exporter        sends a batch, counts it, and logs what fails
//
// Nothing of it waits for the collector but that goroutine, and Close, within a
// bound.
package otlp
